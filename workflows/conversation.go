package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// eventLimit bounds the story in a status; the whole of it is the workflow's history.
const eventLimit = 200

// conversation is what deployment, run, rollback and recovery share: a status that people read, gates that they decide,
// and both entrances of a decision. Its Status is carried across continue-as-new; the rest is made anew.
type conversation struct {
	Status
	document string // the plan, for people: shown below the gates
	// attributes says that all search attributes are registered: the starter could set them. Setting one that is not would
	// block the workflow for ever.
	attributes bool
	shown      [4]string // the attributes as they were set last: only a change is worth an event in history
}

// converse restores a status and sets every handler. It does not block.
func converse(ctx workflow.Context, s Status) (*conversation, error) {
	c := &conversation{Status: s}
	attrs := workflow.GetTypedSearchAttributes(ctx)
	c.attributes = true
	for _, name := range Attributes() {
		c.attributes = c.attributes && attrs.ContainsKey(temporal.NewSearchAttributeKeyKeyword(name))
	}
	if err := workflow.SetQueryHandler(ctx, StatusQuery, func() (Status, error) { return c.Status, nil }); err != nil {
		return nil, err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, Decide, c.decide, workflow.UpdateHandlerOptions{
		Validator: c.mayDecide, Description: "decide the open gate: a gate.Decision",
	})
	if err != nil {
		return nil, err
	}
	workflow.Go(ctx, c.listen)
	return c, nil
}

// mayDecide refuses, before anything is recorded, what the gate's rules do not allow.
func (c *conversation) mayDecide(ctx workflow.Context, d gate.Decision) error {
	g, err := c.named(d)
	if err != nil {
		return activities.ApplicationError(err)
	}
	return activities.ApplicationError(g.Check(d, workflow.Now(ctx)))
}

// decide counts a decision that arrived as an update.
func (c *conversation) decide(ctx workflow.Context, d gate.Decision) (gate.Gate, error) {
	g, err := c.named(d)
	if err != nil {
		return gate.Gate{}, activities.ApplicationError(err)
	}
	if err := g.Apply(d, workflow.Now(ctx)); err != nil {
		return gate.Gate{}, activities.ApplicationError(err)
	}
	c.show(ctx)
	return *g, nil
}

// listen counts decisions that arrive as signals. A signal cannot be refused, so one that does not count is recorded.
func (c *conversation) listen(ctx workflow.Context) {
	channel := workflow.GetSignalChannel(ctx, Decide)
	for {
		var d gate.Decision
		if more := channel.Receive(ctx, &d); !more {
			return
		}
		c.heard(ctx, d)
	}
}

func (c *conversation) heard(ctx workflow.Context, d gate.Decision) {
	_, err := c.decide(ctx, d)
	if err == nil {
		return
	}
	line := fmt.Sprintf("%s by %s at gate %s: %s", d.Choice, d.By, d.Gate, reason(err))
	c.RefusedDecisions = append(c.RefusedDecisions, line)
	c.RefusedDecisions = c.RefusedDecisions[max(0, len(c.RefusedDecisions)-eventLimit):]
	c.event(ctx, "decision refused: "+line)
}

// drain counts the signals that wait, before the workflow continues as new or ends.
func (c *conversation) drain(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	channel := workflow.GetSignalChannel(ctx, Decide)
	for {
		var d gate.Decision
		if ok := channel.ReceiveAsync(&d); !ok {
			return nil
		}
		c.heard(ctx, d)
	}
}

// named finds the gate that a decision is about: the open one of its name, else the newest decided one.
func (c *conversation) named(d gate.Decision) (*gate.Gate, error) {
	var open, same *gate.Gate
	for i := range c.Gates {
		g := &c.Gates[i]
		if g.Decided == "" {
			open = g
		}
		if g.Name == d.Gate {
			same = g
		}
	}
	if same != nil {
		return same, nil
	}
	if open != nil {
		return open, nil
	}
	return nil, fault.Newf(fault.Conflict, "decide gate", d.Gate, "see what it does: drawbridge status", "no gate is open")
}

// ask opens a gate and waits until it is decided or expires. Its name is made unique by a number when it was asked before.
func (c *conversation) ask(ctx workflow.Context, g gate.Gate) (gate.Gate, error) {
	g.Plan, g.Requester, g.OpenedAt = c.Plan, c.By, workflow.Now(ctx)
	base := g.Name
	for n := 2; slices.ContainsFunc(c.Gates, func(have gate.Gate) bool { return have.Name == g.Name }); n++ {
		g.Name = fmt.Sprintf("%s-%d", base, n)
	}
	c.Gates = append(c.Gates, g)
	at := len(c.Gates) - 1
	before, sentence := c.Stage, c.Sentence
	c.Stage, c.Sentence = StageWaiting, g.Question
	c.event(ctx, "waits at gate "+g.Name+": "+g.Question)
	decided := func() bool { return c.Gates[at].Decided != "" }
	var err error
	if g.Endless {
		err = workflow.Await(ctx, decided)
	} else {
		_, err = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout: g.Deadline().Sub(workflow.Now(ctx)), TimerOptions: workflow.TimerOptions{Summary: "gate " + g.Name + " expires"},
		}, decided)
	}
	if err != nil {
		c.Gates[at].Decided, c.Gates[at].Why = gate.Reject, "the workflow was cancelled"
		return c.Gates[at], err
	}
	if !decided() {
		c.Gates[at].Expire()
	}
	c.Stage, c.Sentence = before, sentence
	c.event(ctx, "gate "+g.Name+": "+c.Gates[at].Why)
	return c.Gates[at], nil
}

// perform runs one activity. A fault is the caller's to decide upon; what could not be run at all, after its retries, is
// asked about: retry, or reject.
func (c *conversation) perform(ctx workflow.Context, name string, opts workflow.ActivityOptions, activity, in, out any) error {
	for {
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, opts), activity, in).Get(ctx, out)
		if err == nil || temporal.IsCanceledError(err) {
			return err
		}
		if class, _ := faultOf(err); class != "" {
			return err
		}
		g, askErr := c.ask(ctx, gate.Gate{
			Name: name, Question: fmt.Sprintf("%s could not run: %s", name, reason(err)),
			Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: reason(err)},
			Choices: []gate.Choice{gate.Retry, gate.Reject},
		})
		if askErr != nil {
			return askErr
		}
		if g.Decided != gate.Retry {
			return refused(name, g.Why)
		}
	}
}

// tidy runs an activity whose failure changes nothing for readers: it is told, and left for the next time.
func (c *conversation) tidy(ctx workflow.Context, opts workflow.ActivityOptions, activity, in any) error {
	opts.RetryPolicy = questionRetry()
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, opts), activity, in).Get(ctx, nil)
	if err == nil || temporal.IsCanceledError(err) {
		return err
	}
	c.event(ctx, "left for the next time: "+opts.Summary+": "+reason(err))
	return nil
}

// refused is a gate that said no.
func refused(op, why string) error {
	return fault.Newf(fault.Refused, op, "", "see the evidence: drawbridge status", why)
}

// at moves the status to an environment's step.
func (c *conversation) at(ctx workflow.Context, stage Stage, environment, step, sentence string) {
	c.Stage, c.Environment, c.Step, c.Sentence = stage, environment, step, sentence
	c.event(ctx, sentence)
}

// event adds a line to the story and shows the status.
func (c *conversation) event(ctx workflow.Context, text string) {
	c.Events = append(c.Events, Event{At: workflow.Now(ctx), Environment: c.Environment, Step: c.Step, Text: text})
	c.Events = c.Events[max(0, len(c.Events)-eventLimit):]
	workflow.GetLogger(ctx).Info(text, "correlation_id", workflow.GetInfo(ctx).WorkflowExecution.ID, "environment", c.Environment, "step", c.Step)
	c.show(ctx)
}

// show brings search attributes and the Web UI's current details up to the status.
func (c *conversation) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, details(c.Status, c.document))
	if !c.attributes {
		return
	}
	open := ""
	if g, ok := c.Open(); ok {
		open = g.Name
	}
	now := [4]string{string(c.Stage), c.Environment, c.Release.Version, open}
	if now == c.shown {
		return
	}
	c.shown = now
	var updates []temporal.SearchAttributeUpdate
	for i, name := range []string{StageAttribute, EnvironmentAttribute, ReleaseAttribute, GateAttribute} {
		updates = append(updates, temporal.NewSearchAttributeKeyKeyword(name).ValueSet(now[i]))
	}
	err := workflow.UpsertTypedSearchAttributes(ctx, updates...)
	if err != nil {
		workflow.GetLogger(ctx).Warn("search attributes were not updated", "error", err)
	}
}
