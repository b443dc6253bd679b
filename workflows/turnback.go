package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/plan"
	"drawbridge/workflows/conduct"
)

// turnBack takes data and active release back, from the ledger. Compensation, rollback and recovery are this.
type turnBack struct {
	*conduct.Conductor
	target activities.Target
	verify activities.Verify
}

// compensate turns back what the target's workflow published in its environment. It is asked about until it is done or a
// person says to leave it: it never gives up silently.
func (t turnBack) compensate(ctx workflow.Context) (conduct.Outcome, error) {
	of := t.target.Key
	var out conduct.Outcome
	for {
		err := t.attempt(ctx, of, &out)
		if err == nil {
			return out, nil
		}
		g, askErr := t.Ask(ctx, t.at("compensate"), gate.Gate{
			Name: "compensate-" + t.target.Environment, Endless: true, Choices: []gate.Choice{gate.Retry, gate.Keep},
			Question: "turning back stopped: " + conduct.Reason(err),
			Verdict:  gate.Verdict{Outcome: gate.Inconclusive, Reason: conduct.Reason(err)},
		})
		if askErr != nil {
			return out, askErr
		}
		if g.Decided == gate.Keep {
			out.Left = append(out.Left, fmt.Sprintf("%s (%s)", t.target.Environment, conduct.Reason(err)))
			return out, nil
		}
	}
}

func (t turnBack) at(step string) conduct.Scope {
	return conduct.Scope{Environment: t.target.Environment, Step: step}
}

// attempt fences the workflow's effects, turns back what the ledger says it published, and sweeps.
func (t turnBack) attempt(ctx workflow.Context, of string, out *conduct.Outcome) error {
	fenced := t.target
	fenced.Key = of
	if _, err := Fence.Do(ctx, t.Conductor, t.at("fence"), "fence effects", fenced); err != nil {
		return err
	}
	undone := t
	// Whoever turns back has effects of its own: a recovery finds those of the compensation that it finishes done, and its
	// own batches are others.
	undone.target.Key = of + "/undo/" + workflow.GetInfo(ctx).FirstRunID
	survey, err := Survey.Do(ctx, t.Conductor, t.at("survey"), "survey what goes back", activities.SurveyInput{Target: undone.target, Request: plan.TurnBack{Key: of}})
	if err != nil {
		return err
	}
	out.Changed = out.Changed || survey.Swaps+survey.Detached+survey.Rebuilds > 0
	if err := undone.apply(ctx, survey, out); err != nil {
		return err
	}
	_, err = DropShadow.Do(ctx, t.Conductor, t.at("sweep"), "drop shadow", activities.ShadowInput{Target: fenced})
	return err
}

// apply flips the active release first, so that new runs use it, then swaps, then rebuilds what cannot be swapped.
func (t turnBack) apply(ctx workflow.Context, s activities.Survey, out *conduct.Outcome) error {
	for _, line := range s.Lines {
		t.Tell(ctx, t.at("survey"), line)
	}
	if s.Left > 0 {
		out.Left = append(out.Left, fmt.Sprintf("%s of %s: owned by a newer release", count(s.Left, "partition"), t.target.Environment))
	}
	// After a reset the survey is another, and so are its batches: they must not be taken for those that are done.
	t.target.Key += "/" + gate.Short(s.Undo)
	round := t.Asked() // a person's retry is a new round
	if err := t.activate(ctx, s, round); err != nil {
		return err
	}
	for i := range s.SwapBatches {
		batch, err := Swaps.Do(ctx, t.Conductor, t.at("prepare"), "prepare swap back",
			activities.BatchInput{Target: t.target, Undo: s.Undo, Batch: i, Verify: t.verify})
		if err != nil {
			return err
		}
		in := activities.PublishInput{Target: t.target, Step: fmt.Sprintf("swap-back-%d", i), Round: round, Swaps: batch.Swaps, TurnBack: true}
		if err := publish(ctx, t.Conductor, in, nil); err != nil {
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
	in := activities.ActivateInput{Target: t.target, Step: "activate-back", Round: round, TurnBack: true, None: s.To == nil}
	if s.To != nil {
		in.Target.Release = *s.To
	}
	_, err := Activate.Do(ctx, t.Conductor, t.at("activate-back"), "flip active release back", in)
	return err
}

// rebuild builds partitions again with the release that is active again, and publishes them: audited, like any run.
func (t turnBack) rebuild(ctx workflow.Context, undo string, index, round int) error {
	batch, err := Rebuilds.Do(ctx, t.Conductor, t.at("prepare"), "prepare rebuild", activities.BatchInput{Target: t.target, Undo: undo, Batch: index})
	if err != nil {
		return err
	}
	step := fmt.Sprintf("rebuild-%d", index)
	built, err := BuildSlice.Do(ctx, t.Conductor, t.at(step), "build "+step, activities.SliceInput{Target: t.target, Step: step, Round: round, Items: batch.Items})
	if err != nil {
		return err
	}
	if v := audit(built.Pieces); v.Outcome != gate.Pass {
		return conduct.Refused(step, v.Reason)
	}
	return publish(ctx, t.Conductor, activities.PublishInput{Target: t.target, Step: "publish-" + step, Round: round, Swaps: swaps(built.Pieces)}, nil)
}
