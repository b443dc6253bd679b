package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/turnback"
	"drawbridge/workflows/conduct"
)

// Recovery finishes what a workflow of any kind left behind that was terminated, or reset away, in the middle: what the
// ledger of each environment still holds open of it goes back, newest environment first. A workflow that had published
// nothing is stopped, and loses its shadows only.
//
//	compensating ⇄ waiting → rolled_back | refused (nothing was visible) | stuck
func Recovery(ctx workflow.Context, in RecoveryInput) (Status, error) {
	head := conduct.Header{Kind: "recovery", Pipeline: in.Pipeline, By: in.By, Stage: StageCompensating}
	c, err := conduct.Open(ctx, head, plain{}, Takes(RecoveryName)...)
	if err != nil {
		return Status{}, err
	}
	r := recovery{Conductor: c, in: in}
	err = c.Run(ctx, "recover "+in.Workflow, r.run, conduct.Nothing)
	return Status{Header: c.Header()}, err
}

type recovery struct {
	*conduct.Conductor
	in RecoveryInput
}

func (r recovery) run(ctx workflow.Context) error {
	calm, _ := workflow.NewDisconnectedContext(ctx)
	var all conduct.Outcome
	for _, env := range slices.Backward(r.in.Environments) {
		out, err := r.environment(calm, env)
		if err != nil {
			return err
		}
		all.Changed, all.Left = all.Changed || out.Changed, append(all.Left, out.Left...)
	}
	stage, sentence := StageRefused, "nothing of it is open, and it is stopped"
	if all.Changed {
		stage, sentence = StageRolledBack, "what it had published was turned back"
	}
	if len(all.Left) > 0 {
		stage, sentence = StageStuck, sentence+fmt.Sprint("; left as they are: ", all.Left)
	}
	r.Finish(calm, stage, conduct.Scope{}, sentence)
	return nil
}

// environment finishes the turn-back that is open there, and then turns back what the workflow left.
func (r recovery) environment(ctx workflow.Context, env string) (conduct.Outcome, error) {
	var all conduct.Outcome
	at := conduct.Scope{Environment: env, Step: "compensate"}
	r.At(ctx, StageCompensating, at, "recovering "+env)
	target := activities.Target{Environment: env, Config: r.in.Configs[env], Owner: owner(ctx)}
	target.Release.Pipeline = r.in.Pipeline
	for _, req := range []turnback.Request{{Resume: true}, {Workflow: r.in.Workflow}} {
		req.Pipeline, req.By, req.Reason, req.ByPerson = r.in.Pipeline, r.in.By, "recovery of "+r.in.Workflow, true
		c := &compensation{Conductor: r.Conductor, target: target, request: req}
		out, err := c.run(ctx)
		if err != nil {
			return all, err
		}
		all.Changed, all.Left = all.Changed || out.Changed, append(all.Left, out.Left...)
	}
	return all, nil
}
