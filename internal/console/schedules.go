package console

import (
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/partition"
	"drawbridge/internal/schedule"
)

// Schedules is one line per schedule.
func (s Screen) Schedules(all []schedule.Standing) string {
	p := s.page()
	if len(all) == 0 {
		p.line("Nothing runs by itself.")
		p.next("write schedule: into config.ENV.yaml of a pipeline, then: drawbridge deploy DIR --to ENV")
		return p.String()
	}
	rows := [][]any{{"PIPELINE", "WHEN", "RUNS", "NEXT", "LAST", ""}}
	for _, x := range all {
		last := ""
		if x.Last != "" {
			last = "for " + s.clock(x.LastFor, "01-02 15:04")
		}
		rows = append(rows, []any{x.Pipeline + " in " + x.Environment, x.Schedule.When(x.Scheme), x.Release.Version, s.nextTime(x), last, s.standing(x)})
	}
	p.table("", rows...)
	p.blank()
	first := all[0]
	of, in := word(first.Pipeline), word(first.Environment)
	for _, x := range all {
		if x.Pause != nil && x.Pause.TurnBack == "" {
			p.next("drawbridge schedule resume " + word(x.Pipeline) + " --env " + word(x.Environment))
			return p.String()
		}
	}
	p.next("drawbridge schedule next "+of+" --env "+in, "drawbridge gaps "+of+" --env "+in)
	return p.String()
}

// nextTime is when a schedule starts something again by itself.
func (s Screen) nextTime(x schedule.Standing) string {
	switch {
	case x.Pause != nil:
		return ""
	case len(x.Next) == 0:
		return "never"
	}
	return s.clock(x.Next[0], "2006-01-02 15:04")
}

// standing is what else is to be said of a schedule: who has paused it, what runs and waits, and what was left out.
func (s Screen) standing(x schedule.Standing) ink {
	var parts []ink
	if x.Pause != nil {
		parts = append(parts, s.yellow(x.Pause.String()))
	}
	for _, c := range []struct {
		n    int
		what string
	}{{len(x.Running), "open"}, {x.Waiting, "waiting"}, {x.Skipped, "left out while another was open"}, {x.Missed, "too late to be made up"}} {
		if c.n > 0 {
			parts = append(parts, inkf("%d %s", c.n, c.what))
		}
	}
	var text ink
	for i, part := range parts {
		if i > 0 {
			text += ", "
		}
		text += part
	}
	return text
}

// Next is a time of a schedule, with what is due then.
type Next struct {
	At        time.Time       `json:"at"`
	Partition partition.Key   `json:"partition"`
	Before    []partition.Key `json:"before,omitempty"`
}

// NextOf says what is due at some times of a schedule.
func NextOf(x schedule.Standing, times []time.Time) ([]Next, error) {
	next := []Next{}
	for _, at := range times {
		key, before, err := x.Schedule.Keys(x.Scheme, at)
		if err != nil {
			return nil, fmt.Errorf("what is due at %s: %w", at, err)
		}
		next = append(next, Next{At: at, Partition: key, Before: before})
	}
	return next, nil
}

// Next lists the next times of a schedule.
func (s Screen) Next(x schedule.Standing, next []Next) string {
	p := s.page()
	p.line("%s in %s: %s", s.bold(x.Release.String()), x.Environment, x.Schedule.Words(x.Scheme))
	if x.Pause != nil {
		p.line("%s: nothing starts until it goes on", s.yellow(x.Pause.String()))
	}
	zone, err := partition.Zone(x.Schedule.Zone(x.Scheme))
	if err != nil {
		zone = time.UTC
	}
	rows := [][]any{{"TIME", "PARTITION", "RUN AGAIN"}}
	for _, n := range next {
		var before []string
		for _, key := range n.Before {
			before = append(before, string(key))
		}
		if len(before) > 3 {
			before = []string{before[0], fmt.Sprintf("… (%d)", len(before)), before[len(before)-1]}
		}
		rows = append(rows, []any{n.At.In(zone).Format("Mon 2006-01-02 15:04 MST"), n.Partition, strings.Join(before, " ")})
	}
	p.table("", rows...)
	p.blank()
	of, in := word(x.Pipeline), word(x.Environment)
	p.next("drawbridge schedule trigger "+of+" --env "+in, "drawbridge gaps "+of+" --env "+in)
	return p.String()
}

// SteeredSchedule is the answer of pause and resume.
type SteeredSchedule struct {
	Command  string            `json:"command"`
	Already  bool              `json:"already,omitempty"`
	Schedule schedule.Standing `json:"schedule"`
}

// SteeredSchedule shows what became of a schedule.
func (s Screen) SteeredSchedule(x SteeredSchedule) string {
	p := s.page()
	of, in := word(x.Schedule.Pipeline), word(x.Schedule.Environment)
	name := s.bold(schedule.ID(x.Schedule.Pipeline, x.Schedule.Environment))
	switch {
	case x.Schedule.Pause != nil && x.Already:
		p.line("%s was paused already: %s", name, x.Schedule.Pause.String())
	case x.Schedule.Pause != nil:
		p.line("%s is %s; what runs goes on", name, x.Schedule.Pause.String())
	case x.Already:
		p.line("%s was not paused: nothing has changed", name)
	default:
		p.line("%s goes on; next: %s", name, s.nextTime(x.Schedule))
	}
	if x.Schedule.Pause != nil {
		p.next("drawbridge schedule resume " + of + " --env " + in)
		return p.String()
	}
	p.next("drawbridge schedule next "+of+" --env "+in, "drawbridge gaps "+of+" --env "+in)
	return p.String()
}

// scheduled is when a schedule starts something next, in the list of what goes on.
func (s Screen) scheduled(x schedule.Standing) string {
	if next := s.nextTime(x); next != "" {
		return "next " + next
	}
	return ""
}
