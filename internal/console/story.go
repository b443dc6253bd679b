package console

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// Story tells a followed workflow's story: a line per event, and in a terminal a last line that is written over, with where
// it is now. Its methods return what to write.
type Story struct {
	Screen
	// Live says that a line can be written over.
	Live bool
	// Told is the last event that was told; nil is the beginning of the story.
	Told *workflows.Event
	// ID is the workflow's, for the commands to type while it waits for a person.
	ID string
	// Through says that following goes on at an open gate: then the story says how to decide it. Else a screen follows that does.
	Through bool

	asked   map[string]bool // what a person was told to type something about
	turn    int
	transit int               // so many lines at the end of the screen are to be written over
	retried map[string]string // activity -> the error that was told
}

// clearLine goes to the start of the line and empties it.
const clearLine = "\r\x1b[2K"

// lineUp goes to the line above.
const lineUp = "\x1b[1A"

// Status tells what is new since the last call.
func (t *Story) Status(s workflows.Status, retries []view.Retry) string {
	p := t.page()
	fresh := newEvents(s.Events, t.Told)
	if len(fresh) > 0 {
		last := fresh[len(fresh)-1]
		t.Told = &last
	}
	for _, e := range fresh {
		p.line("%s  %-9s %-15s %s", t.clock(e.At, "15:04:05"), e.Environment, e.Step, e.Text)
	}
	p.newRetries(t, retries)
	p.newWaits(t, s)
	text := p.String()
	if text != "" {
		text = t.End() + text
	}
	if t.Live && !s.Stage.Finished() {
		t.turn++
		spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
		live := []ink{t.progress(string(spinner[t.turn%len(spinner)]), s, retries)}
		live = append(live, t.below(s)...)
		text = t.End() + text
		for i, line := range live {
			if i > 0 {
				text += "\n"
			}
			text += clearLine + string(t.fit(line))
		}
		t.transit = len(live)
	}
	return text
}

// newRetries tells each error that makes an activity be tried again, once.
func (p *page) newRetries(t *Story, retries []view.Retry) {
	now := map[string]string{}
	for _, r := range retries {
		now[r.Activity] = r.Error
		if said, ok := t.retried[r.Activity]; !ok || said != r.Error {
			p.line("%s", p.retryText(r))
		}
	}
	t.retried = now
}

// newWaits tells what to type about each gate that has opened, and about a pause that has begun to hold, once.
func (p *page) newWaits(t *Story, s workflows.Status) {
	now := map[string]bool{}
	wait := func(what string, commands ...string) {
		if now[what] = true; !t.asked[what] {
			p.next(commands...)
		}
	}
	if s.Stage.Finished() {
		return
	}
	for _, g := range s.Gates {
		if t.Through && g.Decided == "" {
			wait(fmt.Sprint("gate ", g.Name, g.Plan, g.OpenedAt.UnixNano()), g.Commands(typed(t.ID))...)
		}
	}
	if s.Paused != nil && s.Paused.Held != nil {
		wait(fmt.Sprint("pause ", s.Paused.At.UnixNano()), resumeLines(t.ID)...)
	}
	t.asked = now
}

// resumeLines are the commands about a workflow that is paused.
func resumeLines(id string) []string {
	paused := view.View{ID: id}
	paused.Stage = workflows.StagePaused
	return nextAfter(paused)
}

// End clears what is shown only while following.
func (t *Story) End() string {
	if t.transit == 0 {
		return ""
	}
	above := strings.Repeat(clearLine+lineUp, t.transit-1)
	t.transit = 0
	return above + clearLine
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

// narrow is the width of a line that is written over, where the terminal does not say its own.
const narrow = 76

// progress is where a workflow is, in one line that fits the terminal: a line that wraps cannot be written over.
func (s Screen) progress(spin string, x workflows.Status, retries []view.Retry) ink {
	parts := []string{strings.TrimSpace(string(x.Stage) + " " + x.Environment)}
	if x.Step != "" {
		parts = append(parts, x.Step)
	}
	text := inkf("%s %s", spin, strings.Join(parts, " · "))
	for _, c := range x.Crossings {
		if c.Environment == x.Environment && c.Slices > 0 && c.SlicesDone > 0 {
			text += inkf(" · %s %s", s.bar(c.SlicesDone, c.Slices), slicesText(c))
		}
	}
	if b := x.Backfill; b != nil && b.Partitions > 0 {
		text += inkf(" · %s %s", s.bar(max(b.Published, b.Built), b.Partitions), backfillText(*b))
	}
	if m := x.Migration; m != nil && m.Rows > 0 && m.Left != "" {
		text += inkf(" · %s", s.brought(*m))
	}
	for _, r := range retries {
		text += inkf(" · %s attempt %d", r.Activity, r.Attempt)
	}
	return s.fit(text)
}

// below are the further lines about a backfill that are written over: its strip, how fast it is, and what holds it up.
func (s Screen) below(x workflows.Status) []ink {
	b := x.Backfill
	if b == nil || b.Partitions == 0 || b.Heat == "" {
		return nil
	}
	lines := []ink{"  " + s.heat(b.Heat), "  " + amount(x)}
	if b.Throttled != "" {
		lines = append(lines, inkf("  %s", s.waits(*b)))
	}
	if b.Stalled != nil {
		lines = append(lines, inkf("  %s since %s", s.red("stalled"), s.clock(*b.Stalled, "01-02 15:04")))
	}
	return lines
}

// fit cuts what would wrap.
func (s Screen) fit(text ink) ink {
	room := narrow
	if s.Width > 0 {
		room = s.Width - 1
	}
	if lipgloss.Width(string(text)) <= room {
		return text
	}
	return ink(ansi.Truncate(string(text), room, "…"))
}
