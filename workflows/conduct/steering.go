package conduct

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/window"
)

// Kind is what a command wants.
type Kind string

// The commands. A kind of workflow obeys those that it opened its conductor with.
const (
	Pause       Kind = "pause"        // hold at the next edge of a step or partition
	Resume      Kind = "resume"       // go on
	Cancel      Kind = "cancel"       // stop at the next edge and turn back
	SetLanes    Kind = "set-lanes"    // how many lanes work
	SetWindow   Kind = "set-window"   // when they work
	RetryFailed Kind = "retry-failed" // what failed is tried again
	Skip        Kind = "skip"         // what failed is left out
	Ack         Kind = "ack"          // a consumer says that it is ready
	Withdraw    Kind = "withdraw"     // it takes that back
)

// Always is the window that closes nothing.
const Always = "always"

// MaxLanes bounds set-lanes: each lane is a session of the warehouse.
const MaxLanes = 64

// Command steers a workflow. The same value arrives by update or by signal.
type Command struct {
	Kind   Kind   `json:"command"`
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	Lanes  int    `json:"lanes,omitempty"`  // of set-lanes
	Window string `json:"window,omitempty"` // of set-window: window.Example, or always
	// Items are the names of what skip leaves out; none is all that failed. Of ack and withdraw it is the one consumer.
	Items []string `json:"items,omitempty"`
	// For is the start of the workflow that is meant, where it is not whichever runs: a turn-back ends what it has stopped, and none
	// that was started since.
	For effect.Owner `json:"for,omitempty"`
}

// Owner is the workflow as effects and fences know it.
func Owner(ctx workflow.Context) effect.Owner {
	info := workflow.GetInfo(ctx)
	return effect.OwnerOf(info.WorkflowExecution.ID, info.FirstRunID)
}

// stops says that it is no person's cancel: another workflow has stopped this one, which changes nothing any more.
func (m Command) stops() bool { return m.Kind == Cancel && m.For != "" }

func (m Command) sentence() string {
	if m.stops() {
		return cut("stopped by "+m.By+": "+m.Reason, eventText)
	}
	text := map[Kind]string{
		Pause: "paused", Resume: "resumed", Cancel: "cancelled", SetLanes: fmt.Sprintf("set to %d lanes", m.Lanes), SetWindow: "set to work " + m.Window,
		RetryFailed: "what failed is tried again", Skip: "what failed is left out", Ack: strings.Join(m.Items, ", ") + " is ready, said",
		Withdraw: strings.Join(m.Items, ", ") + " is not ready after all, said",
	}[m.Kind] + " by " + m.By
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return cut(text, eventText)
}

// opens is the window of set-window; empty: it is always open.
func (m Command) opens() string {
	if m.Window == Always {
		return ""
	}
	return m.Window
}

// Paused is a pause that stands.
type Paused struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Held is since when it holds: until then something that had begun goes on, to its edge.
	Held *time.Time `json:"held,omitempty"`
}

func (p Paused) sentence() string {
	return Command{Kind: Pause, By: p.By, Reason: p.Reason}.sentence()
}

// Steered is how a workflow stands when it has obeyed a command.
type Steered struct {
	// Already says that it stood so before, and nothing has changed.
	Already bool    `json:"already,omitempty"`
	Stage   Stage   `json:"stage"`
	Paused  *Paused `json:"paused,omitempty"`
	// Lanes is how many a person set; 0 leaves it to the plan.
	Lanes int `json:"lanes,omitempty"`
	// Window is when a person lets it work; empty: whenever the environment does.
	Window string `json:"window,omitempty"`
}

// running is a line of work as commands reach it.
type running interface {
	// lanes is how many are there.
	lanes() int
	// failures are the names of what failed.
	failures() []string
	retry()
	skip(names []string)
}

// mayObey refuses, before anything is recorded, what cannot be obeyed.
func (c *Conductor) mayObey(ctx workflow.Context, m Command) error {
	return activities.ApplicationError(c.objection(ctx, m))
}

// NotTaken refuses a command that a workflow does not obey, and names what it does.
func NotTaken(id string, m Kind, takes []Kind) error {
	hint := "see where it is: drawbridge status " + id
	if slices.Contains(takes, Cancel) {
		hint = "let it go on, or stop it: drawbridge cancel " + id
	}
	return fault.Newf(fault.Refused, string(m), id, hint, "this workflow takes "+nameAll(takes))
}

func nameAll(takes []Kind) string {
	if len(takes) == 0 {
		return "no commands"
	}
	names := make([]string, len(takes))
	for i, k := range takes {
		names[i] = string(k)
	}
	return "only " + strings.Join(names, ", ")
}

func (c *Conductor) objection(ctx workflow.Context, m Command) error {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	look := "see where it is: drawbridge status " + id
	refuse := func(class fault.Class, hint, reason string) error {
		return fault.Newf(class, string(m.Kind), id, hint, reason)
	}
	switch {
	case !slices.Contains(c.takes, m.Kind):
		return NotTaken(id, m.Kind, c.takes)
	case m.For != "" && m.For != Owner(ctx):
		return refuse(fault.Conflict, look, "it is meant for an earlier start of it")
	case m.By == "":
		return refuse(fault.Invalid, "say who: --as NAME", "nobody is named")
	case gate.Unfit(m.By, m.Reason) != "":
		return refuse(fault.Invalid, "write them as plain text, and shorter", gate.Unfit(m.By, m.Reason))
	case c.ending:
		return refuse(fault.Conflict, look, fmt.Sprintf("it is too late: %s", c.Header().Stage))
	case m.Kind == Cancel && c.past != "":
		return refuse(fault.Conflict, "let it go on: drawbridge status "+id, "it is past its point of no return: "+c.past)
	case m.Kind == Withdraw && c.past != "":
		return refuse(fault.Conflict, "let it go on: drawbridge status "+id, "it is past its point of no return: "+c.past)
	case m.Kind == Withdraw && strings.TrimSpace(m.Reason) == "":
		return refuse(fault.Invalid, "say why: --reason TEXT", "the reason is missing")
	case (m.Kind == Ack || m.Kind == Withdraw) && (len(m.Items) != 1 || !slices.Contains(c.consumers, m.Items[0])):
		return refuse(fault.Invalid, look, fmt.Sprintf("name one of its consumers: %s", cmp.Or(strings.Join(c.consumers, ", "), "it has none, or is not planned yet")))
	case m.Kind == Pause && c.head.Stage == StageWatching:
		return refuse(fault.Conflict, "let it watch, or turn it back: drawbridge cancel "+id, "it is watching: there is no work to hold")
	case m.Kind == SetLanes && (m.Lanes < 1 || m.Lanes > MaxLanes):
		return refuse(fault.Invalid, fmt.Sprintf("give 1 to %d", MaxLanes), fmt.Sprintf("%d is no number of lanes", m.Lanes))
	case m.Kind == SetWindow && m.Window != Always:
		if _, err := window.Parse(m.Window); err != nil {
			return err
		}
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

// obey does what an update wants, and answers how the workflow stands then. The same command twice is once.
func (c *Conductor) obey(ctx workflow.Context, m Command) (Steered, error) {
	if err := c.objection(ctx, m); err != nil {
		return Steered{}, activities.ApplicationError(err)
	}
	already := c.stands(m)
	if !already {
		c.follow(ctx, m)
	}
	return Steered{Already: already, Stage: c.Header().Stage, Paused: c.head.Paused, Lanes: c.head.Lanes, Window: c.head.Window}, nil
}

// stands says that the workflow is as a command wants it.
func (c *Conductor) stands(m Command) bool {
	switch m.Kind {
	case Pause:
		return c.head.Paused != nil
	case Resume:
		return c.head.Paused == nil
	case SetLanes:
		return c.head.Lanes == m.Lanes
	case SetWindow:
		return c.head.Window == m.opens()
	case Ack:
		return slices.Contains(c.ready, m.Items[0])
	case Withdraw:
		return !slices.Contains(c.ready, m.Items[0])
	case Cancel, RetryFailed, Skip:
	}
	return false
}

// Consumers says whose word ack takes, and who has given it already.
func (c *Conductor) Consumers(all, ready []string) {
	c.consumers = all
	for _, name := range ready {
		if !slices.Contains(c.ready, name) {
			c.ready = append(c.ready, name)
		}
	}
}

// Acks waits for the next word of a consumer that was not taken yet; it is there until the returned function is called.
func (c *Conductor) Acks(ctx workflow.Context) (m Command, taken func(), err error) {
	if err := workflow.Await(ctx, func() bool { return len(c.acks) > 0 }); err != nil {
		return Command{}, nil, err
	}
	return c.acks[0], func() { c.acks = c.acks[1:] }, nil
}

// Untaken are the words of consumers that were not taken yet, to be carried across continue-as-new.
func (c *Conductor) Untaken() []Command { return c.acks }

// Retake has words of consumers taken that were given to the run before a continue-as-new.
func (c *Conductor) Retake(carried []Command) {
	for _, m := range carried {
		c.word(m)
	}
}

// word is a consumer's, to be taken after those that came before it.
func (c *Conductor) word(m Command) {
	c.acks = append(c.acks, m)
	c.ready = slices.DeleteFunc(c.ready, func(name string) bool { return slices.Contains(m.Items, name) })
	if m.Kind == Ack {
		c.ready = append(c.ready, m.Items...)
	}
}

// Past says that nothing is turned back any more, and why: from here on a cancel is refused.
func (c *Conductor) Past(why string) { c.past = why }

func (c *Conductor) follow(ctx workflow.Context, m Command) {
	switch m.Kind {
	case Pause:
		c.head.Paused = &Paused{By: cut(m.By, cellLimit), Reason: cut(m.Reason, eventText), At: workflow.Now(ctx)}
	case Resume:
		c.head.Paused = nil
	case Cancel:
		if c.cancelled == nil || !m.stops() { // a person's word stays
			c.cancelled = &m
		}
		c.stop()
	case SetLanes:
		c.head.Lanes = m.Lanes
	case SetWindow:
		c.head.Window = m.opens()
	case RetryFailed:
		c.line.retry()
	case Skip:
		c.line.skip(m.Items)
	case Ack, Withdraw:
		c.word(m)
	}
	c.Tell(ctx, Scope{Environment: c.head.Environment, Step: c.head.Step}, m.sentence())
	c.settle(ctx)
}

// told obeys a command that arrived as a signal. A signal cannot be refused, so one that does not count is recorded; but for one that
// stops what has met its turn-back by itself.
func (c *Conductor) told(ctx workflow.Context, m Command) {
	if c.ending && m.stops() && m.For == Owner(ctx) {
		return
	}
	if _, err := c.obey(ctx, m); err != nil {
		c.refuse(ctx, fmt.Sprintf("%s by %s: %s", m.Kind, m.By, Reason(err)))
	}
}

// Checkpoint is an edge at which a workflow may be held: it returns at once, or when a pause is over. It fails when the
// workflow is cancelled.
func (c *Conductor) Checkpoint(ctx workflow.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.await(ctx, func() bool { return c.head.Paused == nil })
}

// Rest waits at an edge for so long at most, or until something is so.
func (c *Conductor) Rest(ctx workflow.Context, most time.Duration, what string, so func() bool) error {
	c.edges++
	defer func() { c.edges-- }()
	c.settle(ctx)
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: most, TimerOptions: workflow.TimerOptions{Summary: what}}, so)
	return err
}

// Window is when a person lets it work; empty: whenever the environment does.
func (c *Conductor) Window() string { return c.head.Window }

// await waits at an edge.
func (c *Conductor) await(ctx workflow.Context, so func() bool) error {
	c.edges++
	defer func() { c.edges-- }()
	c.settle(ctx)
	return workflow.Await(ctx, so)
}

// settle notes since when a pause holds: since the body and all the lanes that there are wait at an edge.
func (c *Conductor) settle(ctx workflow.Context) {
	p, working := c.head.Paused, 1
	if c.line != nil {
		working += c.line.lanes()
	}
	if p == nil || p.Held != nil || c.edges < working {
		return
	}
	now := workflow.Now(ctx)
	p.Held = &now
	c.Tell(ctx, Scope{Environment: c.head.Environment, Step: c.head.Step}, fmt.Sprintf("the pause holds, %s after it was asked for", now.Sub(p.At).Round(time.Second)))
}
