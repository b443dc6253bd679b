package main

import (
	"fmt"
	"io"
	"slices"

	"drawbridge/workflows"
)

// teller tells a followed workflow's story: a line per event, and in a terminal a last line that is written over, with
// where it is now. With --json the story goes to stderr, since stdout is for the answer.
type teller struct {
	*app
	told    *workflows.Event // the last event that was shown
	turn    int
	transit bool // the last line on the screen is to be written over
}

func (t *teller) out() io.Writer {
	if t.json {
		return t.Stderr
	}
	return t.Stdout
}

func (t *teller) status(s workflows.Status) {
	fresh := newEvents(s.Events, t.told)
	if len(fresh) > 0 {
		t.end()
		last := fresh[len(fresh)-1]
		t.told = &last
	}
	for _, e := range fresh {
		fmt.Fprintf(t.out(), "%s  %-9s %-15s %s\n", t.clock(e.At, "15:04:05"), e.Environment, e.Step, e.Text)
	}
	if t.terminal(t.out()) && !s.Stage.Finished() {
		t.turn++
		spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
		fmt.Fprintf(t.out(), "\r\x1b[2K%s %s", string(spinner[t.turn%len(spinner)]), progressLine(s))
		t.transit = true
	}
}

func (t *teller) workers(missing []queue) {
	t.end()
	if len(missing) == 0 {
		fmt.Fprintln(t.Stderr, "workers are back")
		return
	}
	t.sayMissing(missing)
}

func (t *teller) end() {
	if t.transit {
		fmt.Fprint(t.out(), "\r\x1b[2K")
		t.transit = false
	}
}

// newEvents are those after the last one that was told. The workflow keeps only the last events, so the told one may be
// gone: then those are new that happened since.
func newEvents(events []workflows.Event, told *workflows.Event) []workflows.Event {
	if told == nil {
		return events
	}
	for i, e := range slices.Backward(events) {
		if e.At.Equal(told.At) && e.Text == told.Text && e.Environment == told.Environment && e.Step == told.Step {
			return events[i+1:]
		}
	}
	for i, e := range events {
		if e.At.After(told.At) {
			return events[i:]
		}
	}
	return nil
}

// progressLine is where a workflow is, short enough for one line of a narrow terminal.
func progressLine(s workflows.Status) string {
	text := string(s.Stage)
	if s.Environment != "" {
		text += " " + s.Environment
	}
	if s.Step != "" {
		text += " · " + s.Step
	}
	for _, c := range s.Crossings {
		if c.Environment == s.Environment && c.Slices > 0 && c.SlicesDone > 0 {
			text += fmt.Sprintf(" · %d of %d steps published", c.SlicesDone, c.Slices)
		}
	}
	const narrow = 76
	if runes := []rune(text); len(runes) > narrow {
		text = string(runes[:narrow-1]) + "…"
	}
	return text
}
