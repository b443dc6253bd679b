package notice

import (
	"fmt"
	"time"
)

const (
	// chaseLeast is how far apart two words to one consumer are, at the least: of a short window not all of them are worth it.
	chaseLeast = 10 * time.Minute
	// overdueEvery and overdueMost bound how often it is said that a consumer's time is over.
	overdueEvery = 24 * time.Hour
	overdueMost  = 14
)

// AckQuestion is what a consumer is reminded of, until it has said that it is ready.
func AckQuestion(consumer string) string { return "ack/" + consumer }

// Chase is what is owed later of a consumer that was asked to say that it is ready, until the event's deadline: a reminder at half of that
// time, and when a tenth of it is left; when it is over, that it is overdue, and so every day for two weeks. What would have been told before
// the event is left out.
func Chase(asked Event) []Owed {
	if asked.Deadline == nil {
		return nil
	}
	since, until := asked.At, *asked.Deadline
	var chase []Owed
	add := func(kind Kind, n int, due time.Time) {
		if !due.After(asked.At) {
			return
		}
		e := asked.as(kind, fmt.Sprintf("%s-%d", kind, n))
		e.Reminder, e.Notice = n, ""
		e.What = asked.Consumer + " has not said yet that it is ready: " + asked.What
		if kind == ConsumerOverdue {
			e.What = "the time is over in which " + asked.Consumer + " was to say that it is ready, and nothing goes on without that: " + asked.What
		}
		chase = append(chase, Owed{Event: e, Due: due, Question: AckQuestion(asked.Consumer)})
	}
	window := until.Sub(since)
	if window/2 >= chaseLeast {
		add(ConsumerReminded, 1, since.Add(window/2))
	}
	if window/10 >= chaseLeast {
		add(ConsumerReminded, 2, until.Add(-window/10))
	}
	for n := range overdueMost {
		add(ConsumerOverdue, n+1, until.Add(time.Duration(n)*overdueEvery))
	}
	return chase
}
