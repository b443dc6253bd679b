package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/workflows/conduct"
)

// Rollback turns back what is finished: an environment to an earlier release, or one partition to an earlier generation.
//
//	planning → compensating ⇄ waiting → done | refused | stuck
//
// It promises: the active release flips first; what is ours swaps back in a time that does not depend on table size; a dry
// run changes nothing.
func Rollback(ctx workflow.Context, in RollbackInput) (Status, error) {
	head := conduct.Header{Kind: "rollback", Pipeline: in.Pipeline, Release: in.Release, By: in.By, Stage: StagePlanning, Environment: in.Environment}
	c, err := conduct.Open(ctx, head, plain{}, conduct.Cancel)
	if err != nil {
		return Status{}, err
	}
	r := &rollback{Conductor: c, in: in}
	err = c.Run(ctx, "roll back "+in.Pipeline, r.run, conduct.Nothing)
	return Status{Header: c.Header()}, err
}

type rollback struct {
	*conduct.Conductor
	in RollbackInput
}

func (r *rollback) at(step string) conduct.Scope {
	return conduct.Scope{Environment: r.in.Environment, Step: step}
}

func (r *rollback) run(ctx workflow.Context) error {
	in := r.in
	t := turnBack{Conductor: r.Conductor, verify: in.Verify, target: activities.Target{
		Environment: in.Environment, Release: in.Release, Config: in.Config, Key: key(ctx),
	}}
	r.At(ctx, StagePlanning, r.at("survey"), "reading the ledger of "+in.Environment)
	survey, err := Survey.Try(ctx, in.Environment, "survey what goes back", activities.SurveyInput{Target: t.target, Request: in.Request})
	if err != nil {
		return err
	}
	r.Rule(in.Environment, survey.Rule)
	if survey.To != nil {
		r.About(*survey.To, "")
	}
	sentence := fmt.Sprintf("back by swap: %s; built again: %d; detached: %d; left: %d", count(survey.Swaps, "partition"), survey.Rebuilds, survey.Detached, survey.Left)
	if in.DryRun {
		for _, line := range survey.Lines {
			r.Tell(ctx, r.at("survey"), line)
		}
		r.Finish(ctx, StageDone, r.at(""), "dry run: "+sentence)
		return nil
	}
	if survey.Swaps+survey.Rebuilds+survey.Detached == 0 && survey.To == nil {
		return fault.Newf(fault.Refused, "roll back", in.Pipeline, "see what there is: drawbridge history "+in.Pipeline+" --env "+in.Environment, "there is nothing to go back to")
	}
	r.At(ctx, StageCompensating, r.at("swap"), sentence)
	var out conduct.Outcome
	if err := t.apply(ctx, survey, &out); err != nil {
		return err
	}
	stage := StageDone
	if len(out.Left) > 0 {
		stage, sentence = StageStuck, sentence+fmt.Sprint("; ", out.Left)
	}
	r.Finish(ctx, stage, r.at(""), sentence)
	return nil
}
