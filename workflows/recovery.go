package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/workflows/conduct"
)

// Recovery turns back what a deployment left behind that was terminated, or reset away, in the middle: everything that its
// effect key published, in every environment, newest first. A deployment that had published nothing loses its shadows only.
//
//	compensating ⇄ waiting → rolled_back | refused | stuck
//
// No cancel ends it: it finishes what could not be finished.
func Recovery(ctx workflow.Context, in RecoveryInput) (Status, error) {
	d := in.Deployment
	head := conduct.Header{Kind: "recovery", Pipeline: d.Pipeline, Release: d.Release, By: in.By, Stage: StageCompensating}
	c, err := conduct.Open(ctx, head, plain{})
	if err != nil {
		return Status{}, err
	}
	calm, _ := workflow.NewDisconnectedContext(ctx)
	err = c.Run(calm, "recover "+d.Pipeline, recovery{Conductor: c, in: in}.run, conduct.Nothing)
	return Status{Header: c.Header()}, err
}

type recovery struct {
	*conduct.Conductor
	in RecoveryInput
}

func (r recovery) run(ctx workflow.Context) error {
	d := r.in.Deployment
	p := planner{pipeline: d.Pipeline, environments: d.Environments, configs: d.Configs}
	release, err := p.release(ctx, d.Source, d.Release)
	if err != nil {
		return err
	}
	r.About(release, "")
	var all conduct.Outcome
	for _, env := range slices.Backward(d.Environments) {
		r.At(ctx, StageCompensating, conduct.Scope{Environment: env, Step: "compensate"}, "recovering "+env)
		target := p.target(ctx, env, release)
		target.Key = r.in.Key
		here, err := Active.Try(ctx, env, "read the environment's rule", activities.ActiveInput{Target: target})
		if err != nil {
			return err
		}
		r.Rule(env, here.Rule)
		out, err := turnBack{Conductor: r.Conductor, target: target}.compensate(ctx)
		if err != nil {
			return err
		}
		all.Changed, all.Left = all.Changed || out.Changed, append(all.Left, out.Left...)
	}
	stage, sentence := StageRefused, "nothing had been published"
	if all.Changed {
		stage, sentence = StageRolledBack, "what it had published was turned back"
	}
	if len(all.Left) > 0 {
		stage, sentence = StageStuck, sentence+fmt.Sprint("; left as they are: ", all.Left)
	}
	r.Finish(ctx, stage, conduct.Scope{}, sentence)
	return nil
}
