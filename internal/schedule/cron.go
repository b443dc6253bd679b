package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"drawbridge/internal/fault"
)

// Cron is a cron expression of five fields: minute, hour, day of the month, month, day of the week. Where both fields of days are
// restricted, either of them is enough, as everywhere else.
type Cron struct {
	minute, hour, day, month, weekday set
	either                            bool
}

// set has a bit for each value that a field has.
type set uint64

func (s set) has(v int) bool { return s&(1<<v) != 0 }

// values are those of a set, in order.
func (s set) values() []int {
	var all []int
	for v := range 64 {
		if s.has(v) {
			all = append(all, v)
		}
	}
	return all
}

// field is one of the five.
type field struct {
	name     string
	min, max int
	names    []string // of the values, from min on
}

// macro is what a word stands for; anything else stands for itself.
func macro(text string) string {
	switch text {
	case "@hourly":
		return "0 * * * *"
	case "@daily", "@midnight":
		return "0 0 * * *"
	case "@weekly":
		return "0 0 * * 0"
	case "@monthly":
		return "0 0 1 * *"
	case "@yearly", "@annually":
		return "0 0 1 1 *"
	}
	return text
}

// Parse reads an expression strictly.
func Parse(text string) (Cron, error) {
	refuse := func(err error) (Cron, error) {
		return Cron{}, fault.New(fault.Invalid, "read cron expression", strconv.Quote(text),
			"write minute, hour, day of the month, month and day of the week: 0 6 * * *", err)
	}
	parts := strings.Fields(macro(strings.ToLower(strings.TrimSpace(text))))
	if len(parts) != 5 {
		return refuse(fmt.Errorf("it has %d fields, not 5", len(parts)))
	}
	var c Cron
	for i, f := range []struct {
		field
		into *set
	}{
		{field{name: "minute", max: 59}, &c.minute},
		{field{name: "hour", max: 23}, &c.hour},
		{field{name: "day of the month", min: 1, max: 31}, &c.day},
		{field{name: "month", min: 1, max: 12, names: strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")}, &c.month},
		{field{name: "day of the week", max: 7, names: strings.Fields("sun mon tue wed thu fri sat")}, &c.weekday},
	} {
		got, err := f.read(parts[i])
		if err != nil {
			return refuse(fmt.Errorf("%s: %w", f.name, err))
		}
		*f.into = got
	}
	if c.weekday.has(7) { // Sunday too
		c.weekday = c.weekday&^(1<<7) | 1
	}
	c.either = !strings.HasPrefix(parts[2], "*") && !strings.HasPrefix(parts[4], "*")
	if !c.ever() {
		return refuse(errors.New("there is no such day in any year"))
	}
	return c, nil
}

func (f field) read(text string) (set, error) {
	var all set
	for part := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		by := 1
		if stepped {
			var err error
			if by, err = strconv.Atoi(step); err != nil || by < 1 || by > f.max {
				return 0, fmt.Errorf("%q is no step", step)
			}
		}
		first, last, ranged := strings.Cut(span, "-")
		from, to := f.min, f.max
		if f.name == "day of the week" {
			to = 6
		}
		if span != "*" {
			var err error
			if from, err = f.value(first); err != nil {
				return 0, err
			}
			switch {
			case ranged:
				if to, err = f.value(last); err != nil {
					return 0, err
				}
				if to < from {
					return 0, fmt.Errorf("%q ends before it begins", span)
				}
			case !stepped:
				to = from
			}
		}
		for v := from; v <= to; v += by {
			all |= 1 << v
		}
	}
	return all, nil
}

func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if text == name {
			return f.min + i, nil
		}
	}
	v, err := strconv.Atoi(text)
	if err != nil || strings.HasPrefix(text, "+") || v < f.min || v > f.max {
		return 0, fmt.Errorf("%q is none of %d to %d", text, f.min, f.max)
	}
	return v, nil
}

// ever says that there is a day in some year.
func (c Cron) ever() bool {
	if c.either {
		return true
	}
	for _, month := range c.month.values() {
		longest := time.Date(2000, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day() // of a leap year
		if c.day.values()[0] <= longest {
			return true
		}
	}
	return false
}

// Calendar is what a time has to match, field by field.
type Calendar struct {
	Minute, Hour, Day, Month, Weekday []int
}

// Calendars are those of which a time has to match one.
func (c Cron) Calendars() []Calendar {
	one := Calendar{
		Minute: c.minute.values(), Hour: c.hour.values(), Day: c.day.values(), Month: c.month.values(), Weekday: c.weekday.values(),
	}
	if !c.either {
		return []Calendar{one}
	}
	byDay, byWeekday := one, one
	byDay.Weekday, byWeekday.Day = values(0, 6), values(1, 31)
	return []Calendar{byDay, byWeekday}
}

func values(from, to int) []int {
	var all []int
	for v := from; v <= to; v++ {
		all = append(all, v)
	}
	return all
}

// on says whether there are times on a day.
func (c Cron) on(t time.Time) bool {
	day, weekday := c.day.has(t.Day()), c.weekday.has(int(t.Weekday()))
	return c.month.has(int(t.Month())) && (c.either && (day || weekday) || day && weekday)
}

// Times are those of an expression in a zone. Where the clocks skip a time there is none that day; where they repeat one there are two,
// of which Temporal may start one.
type Times struct {
	cron Cron
	zone *time.Location
}

// horizon is how far ahead a time is looked for: a 29 February is at most eight years away.
const horizon = 9 * 366 * 24 * time.Hour

// Next is the first time after a moment; zero: there is none.
func (ts Times) Next(after time.Time) time.Time {
	t := after.In(ts.zone).Truncate(time.Second)
	t = t.Add(time.Duration(60-t.Second()) * time.Second)
	for end := t.Add(horizon); t.Before(end); {
		switch {
		case !ts.cron.on(t):
			next := time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, ts.zone)
			if !next.After(t) || next.Day() == t.Day() { // midnight is skipped there, or repeated
				next = t.Add(time.Duration(60-t.Minute()) * time.Minute)
			}
			t = next
		case !ts.cron.hour.has(t.Hour()):
			t = t.Add(time.Duration(60-t.Minute()) * time.Minute)
		case !ts.cron.minute.has(t.Minute()):
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}

// Last is the last time that has come at a moment; zero: there is none.
func (ts Times) Last(at time.Time) time.Time {
	var last time.Time
	for back := time.Hour; last.IsZero() && back < 4*horizon; back *= 4 {
		for t := ts.Next(at.Add(-back)); !t.IsZero() && !t.After(at); t = ts.Next(t) {
			last = t
		}
	}
	return last
}

// mostCounted bounds what Between counts.
const mostCounted = 1000

// Between counts the times after one moment, up to and with another; at most 1000.
func (ts Times) Between(after, to time.Time) int {
	n := 0
	for t := ts.Next(after); !t.IsZero() && !t.After(to) && n < mostCounted; t = ts.Next(t) {
		n++
	}
	return n
}
