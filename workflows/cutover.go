package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
	"drawbridge/workflows/conduct"
)

// agree asks about a cut-over that readers would notice, where nobody is asked for an approval of the plan that says so.
func (x *crossing) agree(ctx workflow.Context) error {
	at := x.at(plan.StepAgree)
	g, err := x.Ask(ctx, at, gate.Gate{
		Earlier: x.earlier(),
		Name:    "cutover-" + x.env.Name, Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("%s: %s?", x.env.Name, x.title(plan.StepAgree)),
		Verdict:  gate.Verdict{Outcome: gate.Inconclusive, Reason: "readers would notice"},
	})
	if err != nil {
		return err
	}
	if err := record(ctx, x.Conductor, at, x.target, g); err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return conduct.Refused("cutover-"+x.env.Name, g.Why)
	}
	return nil
}

// title is what the plan says of a step.
func (x *crossing) title(id string) string {
	for _, step := range x.env.Steps {
		if step.ID == id {
			return step.Title
		}
	}
	return id
}

// buildRest builds and audits, aside, what the canary has not. What fails ends the crossing, and nothing of it was visible.
func (x *crossing) buildRest(ctx workflow.Context) error {
	return x.rest(ctx, plan.StepBuildRest, func(ctx workflow.Context, item int, _ activities.SliceResult) error {
		x.shown.SlicesDone = item + 2 // with the canary's
		x.Tell(ctx, x.at(plan.StepBuildRest), fmt.Sprintf("built slice %d of %d", item+2, x.env.Slices))
		return nil
	})
}

// cutOver makes all that was built visible, in as few transactions as the plan says; the last one makes the release the active one.
// Which generations they publish is the ledger's, so that neither histories nor this workflow's state grow with them.
func (x *crossing) cutOver(ctx workflow.Context) error {
	if err := x.measureBefore(ctx); err != nil {
		return err
	}
	for ; x.progress.Parts < x.env.Transactions; x.progress.Parts++ {
		part := x.progress.Parts
		in := activities.PublishInput{Step: plan.StepPublish, Plan: x.summary.Digest, Part: part, Activate: part == x.env.Transactions-1}
		if x.env.Transactions > 1 {
			in.Step = fmt.Sprintf("%s-%d", plan.StepPublish, part+1)
		}
		if err := x.publish(ctx, in, func(ctx workflow.Context, round int, stale []int) ([]generation.Swap, error) {
			return nil, x.refresh(ctx, round, stale)
		}); err != nil {
			return err
		}
	}
	x.shown.SlicesDone = x.env.Slices
	x.live(ctx, true)
	return nil
}

// refresh builds, audits and compares the slices of a plan again of which something moved.
func (x *crossing) refresh(ctx workflow.Context, round int, stale []int) error {
	for _, i := range stale {
		if err := x.Checkpoint(ctx); err != nil {
			return err
		}
		if i > 0 {
			if _, err := x.buildAgain(ctx, i-1, round); err != nil {
				return err
			}
			continue
		}
		if err := x.tryAgain(ctx, round); err != nil {
			return err
		}
	}
	return x.measureBefore(ctx)
}
