package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/plan"
)

// turnBack takes data and active release back, from the ledger. Compensation, rollback and recovery are this.
type turnBack struct {
	*conversation
	target activities.Target
	verify activities.Verify
}

// turnedBack says what a turn-back did.
type turnedBack struct {
	changed bool     // something that readers saw went back
	left    []string // what was left as it is, by rule or by a person's word
}

// compensate turns back what the target's workflow published in its environment. It is asked about until it is done or a
// person says to leave it: it never gives up silently.
func (t turnBack) compensate(ctx workflow.Context) (turnedBack, error) {
	of := t.target.Key
	var out turnedBack
	for {
		err := t.attempt(ctx, of, &out)
		if err == nil {
			return out, nil
		}
		g, askErr := t.ask(ctx, gate.Gate{
			Name: "compensate-" + t.target.Environment, Endless: true, Choices: []gate.Choice{gate.Retry, gate.Keep},
			Question: "turning back stopped: " + reason(err), Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: reason(err)},
		})
		if askErr != nil {
			return out, askErr
		}
		if g.Decided == gate.Keep {
			out.left = append(out.left, fmt.Sprintf("%s (%s)", t.target.Environment, reason(err)))
			return out, nil
		}
	}
}

// attempt fences the workflow's effects, turns back what the ledger says it published, and sweeps.
func (t turnBack) attempt(ctx workflow.Context, of string, out *turnedBack) error {
	var acts *activities.TurningBack // nil: only names the methods
	env := t.target.Environment
	fenced := t.target
	fenced.Key = of
	if err := t.perform(ctx, "fence-"+env, controlOptions(env, "fence effects"), acts.Fence, fenced, nil); err != nil {
		return err
	}
	undone := t
	// Whoever turns back has effects of its own: a recovery finds those of the compensation that it finishes done, and its
	// own batches are others.
	undone.target.Key = of + "/undo/" + workflow.GetInfo(ctx).FirstRunID
	survey, err := undone.survey(ctx, plan.TurnBack{Key: of})
	if err != nil {
		return err
	}
	out.changed = out.changed || survey.Swaps+survey.Detached+survey.Rebuilds > 0
	if err := undone.apply(ctx, survey, out); err != nil {
		return err
	}
	var publishing *activities.Publishing // nil: only names the method
	return t.perform(ctx, "sweep-"+env, controlOptions(env, "drop shadow"), publishing.DropShadow, activities.ShadowInput{Target: fenced}, nil)
}

// survey computes, from the ledger, what a turn-back takes. It changes nothing.
func (t turnBack) survey(ctx workflow.Context, req plan.TurnBack) (activities.Survey, error) {
	var acts *activities.TurningBack // nil: only names the method
	env := t.target.Environment
	var s activities.Survey
	err := t.perform(ctx, "survey-"+env, controlOptions(env, "survey what goes back"), acts.Survey,
		activities.SurveyInput{Target: t.target, Request: req}, &s)
	return s, err
}

// apply flips the active release first, so that new runs use it, then swaps, then rebuilds what cannot be swapped.
func (t turnBack) apply(ctx workflow.Context, s activities.Survey, out *turnedBack) error {
	for _, line := range s.Lines {
		t.event(ctx, line)
	}
	if s.Left > 0 {
		out.left = append(out.left, fmt.Sprintf("%s of %s: owned by a newer release", count(s.Left, "partition"), t.target.Environment))
	}
	// After a reset the survey is another, and so are its batches: they must not be taken for those that are done.
	t.target.Key += "/" + gate.Short(s.Undo)
	round := len(t.Gates) // a person's retry is a new round
	if err := t.activate(ctx, s, round); err != nil {
		return err
	}
	var acts *activities.TurningBack // nil: only names the methods
	env := t.target.Environment
	for i := range s.SwapBatches {
		var batch activities.SwapBatch
		in := activities.BatchInput{Target: t.target, Undo: s.Undo, Batch: i, Verify: t.verify}
		opts := publishOptions(env, "prepare swap back")
		if err := t.perform(ctx, "prepare-"+env, opts, acts.Swaps, in, &batch); err != nil {
			return err
		}
		publish := activities.PublishInput{Target: t.target, Step: fmt.Sprintf("swap-back-%d", i), Round: round, Swaps: batch.Swaps, TurnBack: true}
		if err := t.publish(ctx, publish, nil); err != nil {
			return err
		}
	}
	if s.To == nil {
		return nil
	}
	t.target.Release = *s.To
	for i := range s.RebuildBatches {
		if err := t.rebuild(ctx, s.Undo, i, round); err != nil {
			return err
		}
	}
	return nil
}

func (t turnBack) activate(ctx workflow.Context, s activities.Survey, round int) error {
	if (s.To == nil && s.From == nil) || (s.To != nil && s.From != nil && s.To.Digest == s.From.Digest) {
		return nil
	}
	var acts *activities.Publishing // nil: only names the method
	in := activities.ActivateInput{Target: t.target, Step: "activate-back", Round: round, TurnBack: true, None: s.To == nil}
	if s.To != nil {
		in.Target.Release = *s.To
	}
	env := t.target.Environment
	return t.perform(ctx, "activate-back-"+env, controlOptions(env, "flip active release back"), acts.Activate, in, nil)
}

// rebuild builds partitions again with the release that is active again, and publishes them: audited, like any run.
func (t turnBack) rebuild(ctx workflow.Context, undo string, index, round int) error {
	var acts *activities.TurningBack // nil: only names the method
	env := t.target.Environment
	var batch activities.RebuildBatch
	if err := t.perform(ctx, "prepare-"+env, controlOptions(env, "prepare rebuild"), acts.Rebuilds,
		activities.BatchInput{Target: t.target, Undo: undo, Batch: index}, &batch); err != nil {
		return err
	}
	step := fmt.Sprintf("rebuild-%d", index)
	var built activities.SliceResult
	if err := t.build(ctx, step, activities.SliceInput{Target: t.target, Step: step, Round: round, Items: batch.Items}, &built); err != nil {
		return err
	}
	if v := audit(built.Pieces); v.Outcome != gate.Pass {
		return refused(step, v.Reason)
	}
	return t.publish(ctx, activities.PublishInput{Target: t.target, Step: "publish-" + step, Round: round, Swaps: swaps(built.Pieces)}, nil)
}
