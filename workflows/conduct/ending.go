package conduct

import (
	"cmp"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/fault"
)

// Outcome is what turning back came to.
type Outcome struct {
	// Changed says that something that readers saw went back; What is that in words, where it is not what was published.
	Changed bool
	What    string
	// Left is what was left as it is, by rule or by a person's word.
	Left []string
	// Onward says why nothing goes back any more, and how it goes on: there is more to do, and none of it is undone.
	Onward string
}

// leftLimit bounds how much of what was left a sentence names.
const leftLimit = 8

// Run is the one life of a workflow. body goes forward, and ends by Finish; its error turns back, by back, in a context that
// no cancel ends. Then every decision and command is counted, and the workflow ends:
//
//	refused      completed: a rule, a gate, a person or a moved world said no, and readers see what they saw
//	rolled_back  completed, whatever the cause: it was visible, and was turned back
//	stuck        completed: it was turned back in part, and the sentence says what is left
//
// A workflow that Temporal was asked to cancel ends as cancelled with the same status in its details; one that met an input
// that can never work, or something that nobody decided about, fails with that class, if readers see what they saw.
func (c *Conductor) Run(ctx workflow.Context, op string, body func(workflow.Context) error, back func(calm workflow.Context, cause error) (Outcome, error)) error {
	forward, stop := workflow.WithCancel(ctx)
	c.stop = stop
	err := body(forward)
	if workflow.IsContinueAsNewError(err) {
		return err
	}
	c.ending, c.head.Paused = true, nil
	if c.cancelled != nil && temporal.IsTimeoutError(err) { // the step that the cancel met has died of something else
		err = temporal.NewCanceledError()
	}
	if ctx.Err() == nil {
		err = c.stopped(ctx, err)
	}
	calm, _ := workflow.NewDisconnectedContext(ctx)
	if err != nil {
		c.turn(calm, err, back)
	}
	if err := c.drain(calm); err != nil {
		return err
	}
	switch class, _ := faultOf(err); {
	case err == nil:
		return nil
	case cancelled(err):
		if ctx.Err() != nil {
			return temporal.NewCanceledError(c.face.Status(c.Header()))
		}
		return nil
	case class == fault.Refused, class == fault.Conflict, c.head.Stage != StageRefused:
		return nil
	}
	return Failure(op, err)
}

// stopped is the error of a body that a turn-back has ended: a moved world, and no person's word.
func (c *Conductor) stopped(ctx workflow.Context, err error) error {
	if !cancelled(err) || c.cancelled == nil || !c.cancelled.stops() {
		return err
	}
	h := c.Header()
	hint := fmt.Sprintf("see what has gone back: drawbridge history %s --env %s; where this is still wanted, start it again", h.Pipeline, h.Environment)
	if h.Kind == "deployment" {
		hint += ": drawbridge deploy " + h.Release.String() + " --to " + h.Environment
	}
	return fault.Newf(fault.Conflict, "go on with", workflow.GetInfo(ctx).WorkflowExecution.ID, hint, c.cancelled.sentence())
}

// turn turns back and says how it ended.
func (c *Conductor) turn(calm workflow.Context, cause error, back func(workflow.Context, error) (Outcome, error)) {
	why := Reason(cause)
	if cancelled(cause) {
		why = "cancelled"
		if c.cancelled != nil {
			why = c.cancelled.sentence()
		}
	}
	_, detail := faultOf(cause)
	out, err := back(calm, cause)
	if err != nil {
		out.Left = append(out.Left, "turning back stopped: "+Reason(err))
	}
	stage := StageRefused
	if out.Changed {
		stage = StageRolledBack
		why += "; " + cmp.Or(out.What, "what it had published") + " was turned back"
	}
	if len(out.Left) > 0 {
		stage = StageStuck
		why += "; left as they are: " + listed(out.Left)
	}
	if out.Onward != "" {
		stage = StageStuck
		why += "; " + out.Onward
	}
	c.head.Hint = detail.Hint
	c.Finish(calm, stage, Scope{Environment: c.head.Environment}, why)
}

// Nothing turns nothing back: the body has changed nothing that readers see.
func Nothing(workflow.Context, error) (Outcome, error) { return Outcome{}, nil }

// Finish ends the work in a finished stage.
func (c *Conductor) Finish(ctx workflow.Context, stage Stage, at Scope, sentence string) {
	c.head.Stage, c.head.Environment, c.head.Step, c.head.Sentence = stage, at.Environment, "", cut(sentence, sentenceLimit)
	c.Tell(ctx, at, fmt.Sprintf("%s: %s", strings.ReplaceAll(string(stage), "_", " "), sentence))
	c.ended(ctx, at.Environment)
}

// listed names the first of many.
func listed(items []string) string {
	if more := len(items) - leftLimit; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(items[:leftLimit], ", "), more)
	}
	return strings.Join(items, ", ")
}
