package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
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
	r := &recovery{Conductor: c, in: in}
	err = c.Run(ctx, "recover "+in.Workflow, r.run, conduct.Nothing)
	return Status{Header: c.Header()}, err
}

type recovery struct {
	*conduct.Conductor
	in RecoveryInput
	// stays says what the workflow watched, and nobody watches any more.
	stays []string
}

func (r *recovery) run(ctx workflow.Context) error {
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
	if len(r.stays) > 0 {
		stage, sentence = StageDone, strings.Join(r.stays, "; ")
	}
	if all.Changed {
		stage, sentence = StageRolledBack, join("what it had published was turned back", strings.Join(r.stays, "; "))
	}
	if len(all.Left) > 0 {
		stage, sentence = StageStuck, sentence+fmt.Sprint("; left as they are: ", all.Left)
	}
	r.Finish(calm, stage, conduct.Scope{}, sentence)
	return nil
}

// environment finishes the turn-back that is open there, and then turns back what the workflow left.
func (r *recovery) environment(ctx workflow.Context, env string) (conduct.Outcome, error) {
	var all conduct.Outcome
	at := conduct.Scope{Environment: env, Step: "compensate"}
	r.At(ctx, StageCompensating, at, "recovering "+env)
	target := activities.Target{Environment: env, Config: r.in.Configs[env], Owner: owner(ctx)}
	target.Release.Pipeline = r.in.Pipeline
	round := 0
	for _, resume := range []bool{true, false} {
		c := &compensation{Conductor: r.Conductor, target: target, round: round}
		c.begin = func(ctx workflow.Context, round int) (activities.Began, error) {
			return BeginRecovery.Do(ctx, r.Conductor, at.At("begin"), "stop what is under way",
				activities.RecoverInput{Target: target, Round: round, Workflow: r.in.Workflow, Resume: resume, By: r.in.By})
		}
		out, err := c.run(ctx)
		round = c.round
		if t := c.watched; t.Number != 0 {
			r.stays = append(r.stays, fmt.Sprintf("it had published %s in %s, and nobody watches that any more: it stays, unstated; to turn it back: drawbridge rollback %s --env %s --reason TEXT",
				t.Release, env, r.in.Pipeline, env))
		}
		if err != nil {
			return all, err
		}
		all.Changed, all.Left = all.Changed || out.Changed, append(all.Left, out.Left...)
	}
	return all, nil
}
