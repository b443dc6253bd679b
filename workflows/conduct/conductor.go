package conduct

import (
	"cmp"
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

// Names on the wire.
const (
	// StatusQuery answers the status of a workflow: a Header and what its kind adds.
	StatusQuery = "status"
	// Decide is an update (answers at once) and a signal (durable, also from the Web UI): a gate.Decision.
	Decide = "decide"
	// Steer is an update and a signal: a Command.
	Steer = "steer"
)

// Search attributes, all of type Keyword. Where they are not registered, workflows run without them.
const (
	PipelineAttribute    = "DrawbridgePipeline"
	EnvironmentAttribute = "DrawbridgeEnvironment"
	ReleaseAttribute     = "DrawbridgeRelease"
	StageAttribute       = "DrawbridgeStage"
	GateAttribute        = "DrawbridgeGate"
)

// Attributes lists the search attributes.
func Attributes() []string {
	return []string{PipelineAttribute, EnvironmentAttribute, ReleaseAttribute, StageAttribute, GateAttribute}
}

// Face is what a kind of workflow adds to what people see.
type Face interface {
	// Status returns the whole status: the header, and what the kind adds.
	Status(h Header) any
	// Details are lines of Markdown below the gates of the live page in the Web UI.
	Details() []string
}

// Conductor conducts one workflow.
type Conductor struct {
	// head is where the work itself is; its gates are the decided ones. What people see is Header.
	head  Header
	open  []*question
	rules map[string]gate.Approval
	face  Face
	takes []Kind

	stop      func()      // ends the body's context
	cancelled *Command    // the command that did
	no        []gate.Gate // at which a person rejected, or wanted back what was published
	saidAll   bool        // and wanted everything back
	ending    bool        // the body has returned: nothing is steered any more
	line      running     // the line that runs, if any
	edges     int         // how many of the body and the lanes wait at an edge
	past      string      // why nothing is turned back any more; empty: it is

	consumers []string  // whose word ack takes
	ready     []string  // those of them who have given it
	acks      []Command // their words that were not taken yet

	// attributes says that all search attributes are registered: the starter could set them. Setting one that is not would
	// block the workflow for ever.
	attributes bool
	// listeners are the environments in which people are told what happens; unsaid is what is not noted yet, announcing that it is being
	// noted.
	listeners  map[string]activities.Target
	unsaid     []announcement
	announcing bool
	shown      [4]string // the attributes as they were set last: only a change is worth an event in history
}

// Open restores a header and sets every handler. It does not block. takes are the commands that this kind of workflow obeys.
func Open(ctx workflow.Context, h Header, face Face, takes ...Kind) (*Conductor, error) {
	h.By = fault.Bound(h.By)
	c := &Conductor{head: h, face: face, takes: takes, rules: map[string]gate.Approval{}, listeners: map[string]activities.Target{}, attributes: true, stop: func() {}}
	attrs := workflow.GetTypedSearchAttributes(ctx)
	for _, name := range Attributes() {
		c.attributes = c.attributes && attrs.ContainsKey(temporal.NewSearchAttributeKeyKeyword(name))
	}
	if err := workflow.SetQueryHandler(ctx, StatusQuery, func() (any, error) { return face.Status(c.Header()), nil }); err != nil {
		return nil, err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, Decide, c.decide, workflow.UpdateHandlerOptions{
		Validator: c.mayDecide, Description: "decide an open gate: a gate.Decision",
	})
	if err != nil {
		return nil, err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, Steer, c.obey, workflow.UpdateHandlerOptions{
		Validator: c.mayObey, Description: "a Command: " + nameAll(takes),
	})
	if err != nil {
		return nil, err
	}
	workflow.Go(ctx, func(ctx workflow.Context) { listen(ctx, Decide, c.heard) })
	workflow.Go(ctx, func(ctx workflow.Context) { listen(ctx, Steer, c.told) })
	return c, nil
}

// listen counts signals as they come.
func listen[T any](ctx workflow.Context, name string, count func(workflow.Context, T)) {
	channel := workflow.GetSignalChannel(ctx, name)
	for {
		var value T
		if more := channel.Receive(ctx, &value); !more {
			return
		}
		count(ctx, value)
	}
}

// sweep counts the signals that wait.
func sweep[T any](ctx workflow.Context, name string, count func(workflow.Context, T)) {
	channel := workflow.GetSignalChannel(ctx, name)
	for {
		var value T
		if !channel.ReceiveAsync(&value) {
			return
		}
		count(ctx, value)
	}
}

// drain counts every decision and command that has arrived, and has noted what people are to be told, before the workflow continues
// as new or ends.
func (c *Conductor) drain(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) && !c.announcing }); err != nil {
		return err
	}
	sweep(ctx, Decide, c.heard)
	sweep(ctx, Steer, c.told)
	return nil
}

// About says what the workflow is about, as far as it is known by now.
func (c *Conductor) About(r release.Release, digest string) { c.head.Release, c.head.Plan = r, digest }

// Rule says by which rule the gates of an environment are decided: every gate has that of its environment.
func (c *Conductor) Rule(environment string, rule gate.Approval) { c.rules[environment] = rule }

// No are the decisions by which people wanted back what the workflow did: gates at which they said no, and a cancel.
func (c *Conductor) No(ctx workflow.Context, cause error) []gate.Gate {
	said := slices.Clone(c.no)
	if !cancelled(cause) {
		return said
	}
	d := gate.Decision{Gate: gate.Cancel, Plan: c.head.Plan, Choice: gate.Reject, By: "whoever cancelled it in Temporal", Reason: "cancelled"}
	if m := c.cancelled; m != nil && !m.stops() {
		d.By, d.Reason = m.By, cmp.Or(m.Reason, d.Reason)
	}
	return append(said, gate.Gate{Name: d.Gate, Plan: d.Plan, Requester: c.head.By, Answers: []gate.Answer{{Decision: d, At: workflow.Now(ctx)}}})
}

// SaidAll says that who rejected wanted the earlier environments back too.
func (c *Conductor) SaidAll() bool { return c.saidAll }

// Asked counts the gates that were ever opened. It grows whenever a person was asked, so it tells rounds apart.
func (c *Conductor) Asked() int { return c.head.Asked }

// Release is what the workflow is about.
func (c *Conductor) Release() release.Release { return c.head.Release }

// Header is where the workflow is, as people see it: it waits if and only if a gate is open.
func (c *Conductor) Header() Header {
	h := c.head
	h.Gates = make([]gate.Gate, 0, len(c.open)+len(c.head.Gates))
	for _, q := range c.open {
		h.Gates = append(h.Gates, q.Gate)
	}
	h.Gates = append(h.Gates, c.head.Gates...)
	waits := c.undecided()
	switch {
	case h.Stage.Finished():
	case len(waits) > 0:
		first := waits[0]
		h.Stage, h.Environment, h.Step, h.Sentence = StageWaiting, first.at.Environment, first.at.Step, first.Question
		if more := len(waits) - 1; more > 0 {
			h.Sentence = fmt.Sprintf("%s (and %d more open)", h.Sentence, more)
		}
	case h.Paused != nil:
		h.Stage, h.Sentence = StagePaused, h.Paused.sentence()
	}
	return h
}

// undecided are the gates that wait for a person.
func (c *Conductor) undecided() []*question {
	var waits []*question
	for _, q := range c.open {
		if q.Decided == "" {
			waits = append(waits, q)
		}
	}
	return waits
}

// Carried is the header for continue-as-new: where the work is, and less of the past.
func (c *Conductor) Carried() Header {
	h := c.head
	h.Events = h.Events[max(0, len(h.Events)-carriedEvents):]
	return h
}

// ContinueAsNew starts the workflow over with an input, once history has grown. Its lanes have been drained by then. A cancel
// that comes in at the last moment counts.
func (c *Conductor) ContinueAsNew(ctx workflow.Context, name string, input func(carried Header) any) error {
	if err := workflow.Await(ctx, func() bool { return len(c.open) == 0 }); err != nil {
		return err
	}
	if err := c.drain(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, name, input(c.Carried()))
}
