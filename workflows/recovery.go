package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"
)

// Recovery turns back what a deployment left behind that was terminated, or reset away, in the middle: everything that its
// effect key published, in every environment, newest first. A deployment that had published nothing loses its shadows only.
//
//	planning → compensating ⇄ waiting → rolled_back | refused | stuck
func Recovery(ctx workflow.Context, in RecoveryInput) (Status, error) {
	d := in.Deployment
	c, err := converse(ctx, Status{Kind: "recovery", Pipeline: d.Pipeline, Release: d.Release, By: in.By, Stage: StageCompensating})
	if err != nil {
		return Status{}, err
	}
	calm, _ := workflow.NewDisconnectedContext(ctx)
	err = recovery{conversation: c, in: in}.run(calm)
	if drainErr := c.drain(calm); drainErr != nil {
		return c.Status, drainErr
	}
	return c.Status, failure("recover "+d.Pipeline, err)
}

type recovery struct {
	*conversation
	in RecoveryInput
}

func (r recovery) run(ctx workflow.Context) error {
	d := r.in.Deployment
	p := planner{pipeline: d.Pipeline, environments: d.Environments, configs: d.Configs}
	release, err := p.release(ctx, d.Source, d.Release)
	if err != nil {
		return err
	}
	r.Release = release
	ended := StageRefused
	var left []string
	for _, env := range slices.Backward(d.Environments) {

		r.at(ctx, StageCompensating, env, "compensate", "recovering "+env)
		target := p.target(ctx, env, release)
		target.Key = r.in.Key
		out, err := turnBack{conversation: r.conversation, target: target}.compensate(ctx)
		if err != nil {
			return err
		}
		if out.changed {
			ended = StageRolledBack
		}
		left = append(left, out.left...)
	}
	sentence := "nothing had been published"
	if ended == StageRolledBack {
		sentence = "what it had published was turned back"
	}
	if len(left) > 0 {
		ended, sentence = StageStuck, sentence+fmt.Sprint("; left as they are: ", left)
	}
	r.at(ctx, ended, "", "", sentence)
	return nil
}
