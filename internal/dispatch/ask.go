package dispatch

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

// questionTimeout ends a question that no worker could answer.
const questionTimeout = 30 * time.Minute

// Ask starts a workflow that only answers, under the ID of its turn or one of its own, and returns its answer. Where no worker polls
// it says so at once and asks nothing. Interrupted, it withdraws the question.
func Ask[T any](ctx context.Context, d *Desk, kind string, o Order) (T, error) {
	var answer T
	if missing := d.Missing(ctx, o.Environments); len(missing) > 0 {
		return answer, noWorker(missing)
	}
	o.ID = o.Turn
	if o.ID == "" {
		o.ID = workflows.QuestionID(kind, o.Pipeline, strings.ToLower(rand.Text()[:8]))
	}
	o.timeout = cmp.Or(o.Longest, questionTimeout)
	t, err := d.start(ctx, o)
	for until := d.Now().Add(turn); errors.Is(err, errRunning) && d.Now().Before(until); {
		waiting, stop := context.WithTimeout(ctx, turn)
		_ = d.Client.GetWorkflow(waiting, o.ID, "").Get(waiting, nil) // however it ends, its turn is over
		stop()
		if ctx.Err() != nil {
			return answer, ctx.Err()
		}
		t, err = d.start(ctx, o)
	}
	if errors.Is(err, errRunning) {
		return answer, fault.Newf(fault.Conflict, "ask", o.ID, "say it again when that has ended; where no worker runs, "+startHint(Queues(o.Environments)),
			fmt.Sprintf("another is asked since more than %s", turn))
	}
	if err != nil {
		return answer, err
	}
	done := make(chan error, 1)
	go func() { done <- d.Client.GetWorkflow(ctx, t.ID, t.Run).Get(ctx, &answer) }()
	if o.untaken == 0 {
		o.untaken = untaken
	}
	idle := time.NewTicker(idleEvery)
	defer idle.Stop()
	taken := d.Now()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	said := attendance{listener: d.Listener, said: o.said}
	quiet := false // workers are on the books, and none takes it up
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil {
				withdraw(ctx, t)
			}
			return answer, t.explain(err)
		case <-idle.C:
			now := d.Now()
			if !t.idle(ctx, now) {
				taken = now
			}
			if was := quiet; now.Sub(taken) >= unheard != was {
				quiet = !was
				said.look(d.absent(ctx, o.Environments, quiet))
			}
			if now.Sub(taken) >= o.untaken {
				withdraw(ctx, t)
				return answer, noTaker(Queues(o.Environments), o.untaken)
			}
		case <-look.C:
			said.look(d.absent(ctx, o.Environments, quiet))
		}
	}
}

const (
	// turn is how long a question waits for the one before it.
	turn = 30 * time.Second
	// idleEvery is how often it is looked whether anybody works on a question.
	idleEvery = time.Second
	// unheard is how long a question lies until it is said that nobody works on it.
	unheard = 2 * time.Second
	// untaken is how long a question lies until nobody counts as working on it: a worker that died is on the books for longer.
	untaken = 15 * time.Second
)

// absent are the queues that nobody polls; where workers are only on the books, all of them.
func (d *Desk) absent(ctx context.Context, environments []string, quiet bool) []Queue {
	if quiet {
		return Queues(environments)
	}
	return d.Missing(ctx, environments)
}

// noTaker says that workers are on the books and none takes anything up.
func noTaker(all []Queue, after time.Duration) *fault.Error {
	return fault.Newf(fault.Refused, "find", "a worker", startHint(all)+"; or read the log of the one that runs",
		fmt.Sprintf("none of %s has taken it up for %s", strings.Join(Names(all), ", "), after))
}

// idle says that a workflow waits for workers, and none of them works on it. What failed and is tried again later is no idleness.
func (t Talk) idle(ctx context.Context, now time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d, err := t.client.DescribeWorkflowExecution(ctx, t.ID, t.Run)
	if err != nil {
		return false
	}
	for _, a := range d.GetPendingActivities() {
		later := a.GetNextAttemptScheduleTime() != nil && a.GetNextAttemptScheduleTime().AsTime().After(now)
		if a.GetState() != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED || later {
			return false
		}
	}
	task := d.GetPendingWorkflowTask()
	return task == nil && len(d.GetPendingActivities()) > 0 || task.GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
}

// withdraw cancels a question that nobody waits for any more. It only reads, so an error harms nothing.
func withdraw(ctx context.Context, t Talk) {
	calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	_ = t.client.CancelWorkflow(calm, t.ID, t.Run)
}
