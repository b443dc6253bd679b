package conduct

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// Kind is what a command wants.
type Kind string

// The commands. A kind of workflow obeys those that it opened its conductor with.
const (
	Pause       Kind = "pause"        // hold at the next edge of a step or partition
	Resume      Kind = "resume"       // go on
	Cancel      Kind = "cancel"       // stop at the next edge and turn back
	SetLanes    Kind = "set-lanes"    // how many lanes work
	RetryFailed Kind = "retry-failed" // what failed is tried again
	Skip        Kind = "skip"         // what failed is left out
)

// maxLanes bounds set-lanes: each lane is a session of the warehouse.
const maxLanes = 64

// Command steers a workflow. The same value arrives by update or by signal.
type Command struct {
	Kind   Kind   `json:"command"`
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	Lanes  int    `json:"lanes,omitempty"` // of set-lanes
	// Items are the names of what skip leaves out; none is all that failed.
	Items []string `json:"items,omitempty"`
}

func (m Command) sentence() string {
	text := map[Kind]string{
		Pause: "paused", Resume: "resumed", Cancel: "cancelled", SetLanes: fmt.Sprintf("set to %d lanes", m.Lanes),
		RetryFailed: "what failed is tried again", Skip: "what failed is left out",
	}[m.Kind] + " by " + m.By
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return cut(text, eventText)
}

// failing is a line of work as commands reach it.
type failing interface {
	// failures are the names of what failed.
	failures() []string
	retry()
	skip(names []string)
}

// mayObey refuses, before anything is recorded, what cannot be obeyed.
func (c *Conductor) mayObey(_ workflow.Context, m Command) error {
	return activities.ApplicationError(c.objection(m))
}

func (c *Conductor) objection(m Command) error {
	refuse := func(class fault.Class, hint, reason string) error {
		return fault.Newf(class, string(m.Kind), c.head.Pipeline, hint, reason)
	}
	const look = "see where it is: drawbridge status"
	switch {
	case !slices.Contains([]Kind{Pause, Resume, Cancel, SetLanes, RetryFailed, Skip}, m.Kind):
		return refuse(fault.Invalid, "choose one of: pause, resume, cancel, set-lanes, retry-failed, skip", "there is no such command")
	case !slices.Contains(c.takes, m.Kind):
		return refuse(fault.Refused, look, "a "+c.head.Kind+" does not take it")
	case m.By == "":
		return refuse(fault.Invalid, "say who: --as NAME", "nobody is named")
	case gate.Unfit(m.By, m.Reason) != "":
		return refuse(fault.Invalid, "write them as plain text, and shorter", gate.Unfit(m.By, m.Reason))
	case c.ending:
		return refuse(fault.Conflict, look, fmt.Sprintf("it is too late: %s", c.Header().Stage))
	case m.Kind == Pause && (c.head.Stage == StageWatching || c.head.Stage == StageCompensating):
		return refuse(fault.Conflict, look, fmt.Sprintf("it is %s: there is no work to hold", c.head.Stage))
	case m.Kind == SetLanes && (m.Lanes < 1 || m.Lanes > maxLanes):
		return refuse(fault.Invalid, fmt.Sprintf("give 1 to %d", maxLanes), fmt.Sprintf("%d is no number of lanes", m.Lanes))
	case m.Kind == RetryFailed || m.Kind == Skip:
		if c.line == nil || len(c.line.failures()) == 0 {
			return refuse(fault.Conflict, look, "nothing has failed")
		}
		for _, name := range m.Items {
			if !slices.Contains(c.line.failures(), name) {
				return refuse(fault.Conflict, look, cut(name, eventText)+" has not failed")
			}
		}
	}
	return nil
}

// obey does what an update wants. The same command twice is once.
func (c *Conductor) obey(ctx workflow.Context, m Command) error {
	if err := c.objection(m); err != nil {
		return activities.ApplicationError(err)
	}
	switch m.Kind {
	case Pause:
		if c.head.Paused != nil {
			return nil
		}
		c.head.Paused = &m
	case Resume:
		if c.head.Paused == nil {
			return nil
		}
		c.head.Paused = nil
	case Cancel:
		c.cancelled = &m
		c.stop()
	case SetLanes:
		c.head.Lanes = m.Lanes
	case RetryFailed:
		c.line.retry()
	case Skip:
		c.line.skip(m.Items)
	}
	c.Tell(ctx, Scope{Environment: c.head.Environment, Step: c.head.Step}, m.sentence())
	return nil
}

// told obeys a command that arrived as a signal. A signal cannot be refused, so one that does not count is recorded.
func (c *Conductor) told(ctx workflow.Context, m Command) {
	if err := c.obey(ctx, m); err != nil {
		c.refuse(ctx, fmt.Sprintf("%s by %s: %s", m.Kind, m.By, Reason(err)))
	}
}

// Checkpoint is an edge at which a workflow may be held: it returns at once, or when a pause is over. It fails when the
// workflow is cancelled.
func (c *Conductor) Checkpoint(ctx workflow.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return workflow.Await(ctx, func() bool { return c.head.Paused == nil })
}
