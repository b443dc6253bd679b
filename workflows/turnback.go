package workflows

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/turnback"
	"drawbridge/workflows/conduct"
)

// TurnBackState is how far a turn-back got: enough to go on after continue-as-new, however many partitions there are.
type TurnBackState struct {
	Began activities.Began `json:"began"`
	// Pass is what the last pass said: how far it was, and which partitions are to be built again.
	Pass  activities.Pass `json:"pass"`
	Tally turnback.Tally  `json:"tally"`
	Round int             `json:"round"` // grows with every pass: the effects of each have keys of their own
}

// turnBack takes data and active release back, pass by pass. Compensation, rollback and recovery are this. What goes back is
// decided in the activities, from what is live, so whatever is repeated or resumed does exactly what is left.
type turnBack struct {
	*conduct.Conductor
	state  *TurnBackState
	owner  effect.Owner
	verify activities.Verify
	// grown is called between passes; an error of it, such as continue-as-new, ends the passes.
	grown func(workflow.Context) error
}

func (t turnBack) at(step string) conduct.Scope {
	return conduct.Scope{Environment: t.state.Began.Target.Environment, Step: step}
}

// run goes through all partitions. A stop in between leaves the turn-back open: the same command goes on with it.
func (t turnBack) run(ctx workflow.Context) error {
	for !t.state.Pass.Over || len(t.state.Pass.Rebuild) > 0 {
		if err := t.Checkpoint(ctx); err != nil {
			return err
		}
		if err := t.grown(ctx); err != nil {
			return err
		}
		if err := t.pass(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pass does one pass, and parks when something holds it up.
func (t turnBack) pass(ctx workflow.Context) error {
	s := t.state
	for {
		s.Round++
		in := activities.PassInput{Target: s.Began.Target, Tenure: s.Began.TurnBack.Tenure.Number, Round: s.Round, Verify: t.verify}
		in.Target.Owner, in.After, in.Rebuild = t.owner, s.Pass.After, s.Pass.Rebuild
		in.Deferred, in.Rebuilding = s.Pass.Deferred, s.Pass.Rebuilding
		in.Target.Now = workflow.Now(ctx)
		var out activities.Pass
		var err error
		if len(in.Rebuild) > 0 {
			out, err = RebuildPass.Do(ctx, t.Conductor, t.at("rebuild"), "build again", in)
			out.After, out.Over, out.Deferred, out.Rebuilding = s.Pass.After, s.Pass.Over, s.Pass.Deferred, s.Pass.Rebuilding
		} else {
			out, err = SwapPass.Do(ctx, t.Conductor, t.at("swap-back"), "swap back", in)
		}
		if err != nil {
			return err
		}
		s.Tally = s.Tally.Plus(out.Tally)
		blocked := out.Parked
		out.Parked = generation.PublishResult{}
		s.Pass = out
		t.Tell(ctx, t.at("swap-back"), fmt.Sprintf("back: %s; left: %d; open: %d", count(s.Tally.Moved, "partition"), s.Tally.Left, s.Tally.Open))
		switch blocked.WaitingFor {
		case "":
			return nil
		case generation.ForOthers:
			continue // decided anew, from what is live
		case generation.ForHold: // never: what turns back goes on
		}
		in.Round++ // of the pass that the answer is for
		if err := t.park(ctx, in, blocked); err != nil {
			return err
		}
	}
}

// park asks what to do about whoever holds a turn-back up.
func (t turnBack) park(ctx workflow.Context, next activities.PassInput, blocked generation.PublishResult) error {
	question := parked("turn-back", next.About(), next.Target, blocked)
	question.Endless = true
	g, err := t.Ask(ctx, t.at("turn-back"), question)
	if err != nil {
		return err
	}
	return goesOn(ctx, t.Conductor, t.at("turn-back"), next.Target, g)
}

// tellStopped has the workflows that a turn-back has stopped end at once, also where they wait at a gate or are paused: nothing of
// theirs can be published any more. One that is gone already needs not be told.
func tellStopped(ctx workflow.Context, c *conduct.Conductor, at conduct.Scope, b *turnback.TurnBack) {
	calm, _ := workflow.NewDisconnectedContext(ctx)
	reason := fmt.Sprintf("turned back under tenure %d", b.Tenure.Number)
	if why := conduct.Cut(b.Request.Reason); why != "" && gate.Unfit(b.Request.By, why) == "" {
		reason += fmt.Sprintf(" (%s)", why)
	}
	told := make([]workflow.Future, len(b.Stopped))
	for i, o := range b.Stopped {
		told[i] = workflow.SignalExternalWorkflow(calm, o.Workflow(), "", conduct.Steer, conduct.Command{
			Kind: conduct.Cancel, By: owner(ctx).Workflow(), Reason: reason, For: o,
		})
	}
	for i, o := range b.Stopped {
		text := o.Workflow() + " is stopped, and told so"
		if err := told[i].Get(calm, nil); err != nil {
			text = fmt.Sprintf("%s is stopped, and was not told so: %s", o.Workflow(), conduct.Reason(err))
			if _, gone := errors.AsType[*temporal.UnknownExternalWorkflowExecutionError](err); gone {
				text = o.Workflow() + " is stopped, and was over already"
			}
		}
		c.Tell(ctx, at, text)
	}
	b.Stopped = nil // what is carried stays small
}

// end closes the turn-back in the ledger and says what is left.
func (t turnBack) end(ctx workflow.Context) (activities.Ended, error) {
	target := t.state.Began.Target
	target.Owner = t.owner
	ended, err := EndTurnBack.Do(ctx, t.Conductor, t.at("end"), "end turn-back",
		activities.EndInput{Target: target, Tenure: t.state.Began.TurnBack.Tenure.Number, Round: t.state.Round})
	tellSchedule(ctx, t.Conductor, t.at("end"), ended.Schedule)
	if len(ended.Pending) > 0 {
		more := ""
		if ended.More > 0 {
			more = fmt.Sprintf("; and %d more", ended.More)
		}
		t.Tell(ctx, t.at("end"), "pending again, run them again to append them: batch "+strings.Join(ended.Pending, "; batch ")+more)
	}
	return ended, err
}

// compensation turns back what one workflow changed in one environment: a deployment's own, or that of one that cannot speak.
type compensation struct {
	*conduct.Conductor
	target activities.Target
	// begin opens it, in a round of its own; preview says what it would open.
	begin func(ctx workflow.Context, round int) (activities.Began, error)
	// preview is nil where a person asked for it: then nobody is asked about a first release.
	preview func(ctx workflow.Context) (activities.Began, error)
	reason  string
	no      []gate.Gate // what people said that wanted it back
	round   int         // of the last attempt: the effects of the next have keys of their own
}

// run turns back until it is done, or a person says to leave it: it never gives up silently.
func (c *compensation) run(ctx workflow.Context) (conduct.Outcome, error) {
	var out conduct.Outcome
	for {
		err := c.attempt(ctx, &out)
		if err == nil {
			return out, nil
		}
		at := conduct.Scope{Environment: c.target.Environment, Step: "compensate"}
		g, askErr := c.Ask(ctx, at, gate.Gate{
			Name: "compensate-" + c.target.Environment, Endless: true, Choices: []gate.Choice{gate.Retry, gate.Keep},
			Question: "turning back stopped: " + conduct.Reason(err),
			Verdict:  gate.Verdict{Outcome: gate.Inconclusive, Reason: conduct.Reason(err)},
		})
		if askErr != nil {
			return out, askErr
		}
		if g.Decided == gate.Keep {
			out.Left = append(out.Left, fmt.Sprintf("%s (%s)", c.target.Environment, conduct.Reason(err)))
			return out, nil
		}
	}
}

// firstLooks is how often a turn-back of what one workflow changed looks whether that of a single partition, which has stopped the
// workflow, is over: then a person is asked about it.
const firstLooks = 8

// attempt turns back, once what has stopped the workflow is over where that takes a single partition back.
func (c *compensation) attempt(ctx workflow.Context, out *conduct.Outcome) error {
	at := conduct.Scope{Environment: c.target.Environment, Step: "compensate"}
	wait := holding{}
	for look := 1; ; look++ {
		first, err := c.once(ctx, at, out)
		if err != nil || first.Tenure.Number == 0 {
			return err
		}
		what := fmt.Sprintf("%s turns %s back, under tenure %d", effect.Owner(first.Driver).Workflow(), first.Request.Partition, first.Tenure.Number)
		if look == firstLooks {
			return fault.Newf(fault.Conflict, "turn back", c.target.Release.Pipeline, "finish that one first: drawbridge rollback "+c.target.Release.Pipeline+" --env "+at.Environment+" --resume", what)
		}
		if err := wait.out(ctx, c.Conductor, at, what); err != nil {
			return err
		}
	}
}

// once opens or resumes the turn-back, goes through it, ends it, and sweeps. first is the turn-back of a single partition that has to
// be over before, if any.
func (c *compensation) once(ctx workflow.Context, at conduct.Scope, out *conduct.Outcome) (first turnback.TurnBack, err error) {
	kept, err := c.firstRelease(ctx, at)
	if err != nil {
		return first, err
	}
	for _, g := range c.no { // the environment takes no caller's word that a person wanted it
		if err := record(ctx, c.Conductor, at, c.target, g); err != nil {
			return first, err
		}
	}
	if kept {
		out.Left = append(out.Left, "what the first release has published in "+at.Environment)
		return first, nil
	}
	c.round++
	began, err := c.begin(ctx, c.round)
	if err != nil {
		return first, err
	}
	if began.Nothing {
		if began.TurnBack.Request.Single() {
			return began.TurnBack, nil
		}
		if other := began.TurnBack.Tenure; other.Number != 0 {
			out.Changed = true
			c.Tell(ctx, at, fmt.Sprintf("%s turns back what it had published, under tenure %d", effect.Owner(other.Owner).Workflow(), other.Number))
		}
		return first, nil
	}
	c.Rule(at.Environment, began.Rule)
	if began.Tells && !c.Listens(at.Environment) {
		c.Listen(c.target)
	}
	out.Changed = true
	tellSchedule(ctx, c.Conductor, at, began.Schedule)
	tellStopped(ctx, c.Conductor, at, &began.TurnBack)
	t := turnBack{Conductor: c.Conductor, state: &TurnBackState{Began: began, Round: c.round}, owner: c.target.Owner, grown: func(workflow.Context) error { return nil }}
	err = t.run(ctx)
	c.round = t.state.Round
	if err != nil {
		return first, err
	}
	ended, err := t.end(ctx)
	if err == nil && ended.Stuck > 0 {
		out.Left = append(out.Left, ended.Lines...)
	}
	return first, err
}

// firstRelease asks before what no earlier release could replace is taken away, unless a person has said so already.
func (c *compensation) firstRelease(ctx workflow.Context, at conduct.Scope) (kept bool, err error) {
	if c.preview == nil || len(c.no) > 0 {
		return false, nil
	}
	would, err := c.preview(ctx)
	if err != nil || would.Nothing || !would.TurnBack.Tenure.None() {
		return false, err
	}
	g, err := c.Ask(ctx, at, gate.Gate{
		Name: "first-release-" + at.Environment, Endless: true, Choices: []gate.Choice{gate.Rollback, gate.Keep},
		Question: "nothing was published here before: take away what the first release has published?",
		Verdict:  gate.Verdict{Outcome: gate.Inconclusive, Reason: c.reason},
	})
	if g.Decided == gate.Rollback {
		c.no = append(c.no, g)
	}
	return g.Decided == gate.Keep, err
}
