package console

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// Steered is the answer of pause, resume, set-lanes, set-window, retry-failed, skip, and the commands of a migration.
type Steered struct {
	ID       string          `json:"id"`
	Delivery string          `json:"delivery"` // applied, or recorded for the worker that comes next
	Command  conduct.Command `json:"command"`
	// Now is how the workflow stands; nil where no worker answered.
	Now *conduct.Steered `json:"now,omitempty"`
}

// Steered shows what became of a command. startWorker is the command that has a recorded one applied.
func (s Screen) Steered(x Steered, startWorker string) string {
	p := s.page()
	id := word(typed(x.ID))
	if x.Now == nil {
		p.line("%s of %s by %s", x.Command.Kind, s.bold(x.ID), x.Command.By)
		p.line("No worker answered: recorded, will be applied when a worker returns (%s).", startWorker)
		p.next("drawbridge status " + id)
		return p.String()
	}
	next := "drawbridge status " + id + " --watch"
	text := ink("")
	switch x.Command.Kind {
	case conduct.Pause:
		text = inkf("is %s", pausedBy(*x.Now.Paused))
		if x.Now.Already {
			text = inkf("was already %s", pausedBy(*x.Now.Paused))
		}
	case conduct.Resume:
		text = "goes on"
		if x.Now.Already {
			text = "was not paused: nothing has changed"
		}
	case conduct.SetLanes:
		text = inkf("works in %s", lanes(x.Now.Lanes))
		if x.Now.Already {
			text = inkf("was already set to %s", lanes(x.Now.Lanes))
		}
		if x.Now.Paused != nil {
			text += inkf("; it is %s", pausedBy(*x.Now.Paused))
		}
	case conduct.SetWindow:
		when := cmp.Or(x.Now.Window, "whenever its environment does")
		text = inkf("works %s", when)
		if x.Now.Already {
			text = inkf("was already set to work %s", when)
		}
	case conduct.RetryFailed:
		text = "tries again what has failed"
	case conduct.Skip:
		text = inkf("leaves out %s", strings.Join(x.Command.Items, ", "))
	case conduct.Ack:
		text = inkf("knows that %s is ready", strings.Join(x.Command.Items, ", "))
		if x.Now.Already {
			text = inkf("knew already that %s is ready: what was said first stays", strings.Join(x.Command.Items, ", "))
		}
	case conduct.Withdraw:
		text = inkf("knows that %s is not ready after all", strings.Join(x.Command.Items, ", "))
		if x.Now.Already {
			text = inkf("knew of no word of %s", strings.Join(x.Command.Items, ", "))
		}
	case conduct.Cancel:
		text = "stops at the next edge, and undoes what it has done"
	}
	p.line("%s %s", s.bold(x.ID), text)
	if x.Now.Paused != nil {
		p.holds(*x.Now.Paused)
		next = "drawbridge resume " + id
	}
	p.next(next)
	return p.String()
}

// pausedBy is who paused it and why.
func pausedBy(x conduct.Paused) ink {
	text := inkf("paused by %s", x.By)
	if x.Reason != "" {
		text += inkf(": %s", x.Reason)
	}
	return text
}

// holds says since when a pause holds, or why it does not yet.
func (p *page) holds(x conduct.Paused) {
	const layout = "01-02 15:04:05"
	asked := p.clock(x.At, layout)
	if x.Held == nil {
		p.line("asked for at %s; it does not hold yet: what has begun goes on to the edge of its step or partition", asked)
		return
	}
	p.line("asked for at %s; it holds since %s, %s later", asked, p.clock(*x.Held, layout), x.Held.Sub(x.At).Round(time.Second))
}

// paused is the pause of a workflow. Where the stage is another, as at an open gate, it says by whom and how to go on.
func (p *page) paused(v view.View) {
	if v.Paused == nil || view.Over(v.Stage) {
		return
	}
	if v.Stage == workflows.StagePaused {
		p.holds(*v.Paused)
		return
	}
	p.line("%s", p.yellow(pausedBy(*v.Paused)))
	p.holds(*v.Paused)
	p.hint("", "go on: drawbridge resume "+word(typed(v.ID)))
}

// lanes are how many slices are built at the same time.
func lanes(n int) string {
	if n == 1 {
		return "1 lane"
	}
	return fmt.Sprintf("%d lanes", n)
}

// lanesOf are the lanes of a crossing: those that a person set, or the plan's.
func lanesOf(c workflows.Crossing, set int) ink {
	n := cmp.Or(set, c.Lanes)
	if n == 0 || c.Slices < 2 {
		return ""
	}
	text := inkf(", %s", lanes(n))
	if set > 0 {
		text += " (set by a person)"
	}
	return text
}
