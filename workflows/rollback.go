package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
)

// Rollback turns back what is finished: an environment to an earlier release, or one partition to an earlier generation.
//
//	planning → crossing ⇄ waiting → done | refused | stuck
//
// It promises: the active release flips first; what is ours swaps back in a time that does not depend on table size; a dry
// run changes nothing.
func Rollback(ctx workflow.Context, in RollbackInput) (Status, error) {
	c, err := converse(ctx, Status{Kind: "rollback", Pipeline: in.Pipeline, Release: in.Release, By: in.By, Stage: StagePlanning, Environment: in.Environment})
	if err != nil {
		return Status{}, err
	}
	r := &rollback{conversation: c, in: in}
	err = r.run(ctx)
	if err != nil {
		r.end(ctx, err)
	}
	calm, _ := workflow.NewDisconnectedContext(ctx)
	if drainErr := r.drain(calm); drainErr != nil {
		return r.Status, drainErr
	}
	return r.Status, failure("roll back "+in.Pipeline, err)
}

type rollback struct {
	*conversation
	in RollbackInput
}

func (r *rollback) run(ctx workflow.Context) error {
	in := r.in
	t := turnBack{conversation: r.conversation, verify: in.Verify, target: activities.Target{
		Environment: in.Environment, Release: in.Release, Config: in.Config, Key: key(ctx),
	}}
	r.at(ctx, StagePlanning, in.Environment, "survey", "reading the ledger of "+in.Environment)
	survey, err := t.survey(ctx, in.Request)
	if err != nil {
		return err
	}
	if survey.To != nil {
		r.Release = *survey.To
	}
	sentence := fmt.Sprintf("back by swap: %s; built again: %d; detached: %d; left: %d", count(survey.Swaps, "partition"), survey.Rebuilds, survey.Detached, survey.Left)
	if in.DryRun {
		for _, line := range survey.Lines {
			r.event(ctx, line)
		}
		r.at(ctx, StageDone, in.Environment, "", "dry run: "+sentence)
		return nil
	}
	if survey.Swaps+survey.Rebuilds+survey.Detached == 0 && survey.To == nil {
		return fault.Newf(fault.Refused, "roll back", in.Pipeline, "see what there is: drawbridge history "+in.Pipeline+" --env "+in.Environment, "there is nothing to go back to")
	}
	r.at(ctx, StageCompensating, in.Environment, "swap", sentence)
	var out turnedBack
	if err := t.apply(ctx, survey, &out); err != nil {
		return err
	}
	stage := StageDone
	if len(out.left) > 0 {
		stage, sentence = StageStuck, sentence+fmt.Sprint("; ", out.left)
	}
	r.at(ctx, stage, in.Environment, "", sentence)
	return nil
}
