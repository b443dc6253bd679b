package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/turnback"
	"drawbridge/workflows/conduct"
)

// Recovery finishes what a workflow of any kind left behind that was terminated, or reset away: what the ledgers still hold
// open of it goes back, newest environment first. What it had published in full stays, and is named: it watches that no more.
//
//	compensating ⇄ waiting → done (nothing is left of it) | rolled_back | stuck (something is left, and where)
//
// It promises: an environment in which nothing of the workflow is known is done; one that cannot be recovered stops no other,
// and is named; nothing of the workflow publishes any more; started again it goes on with what is left.
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
}

// recovered is what became of a workflow's remains.
type recovered struct {
	// told is what happened, for each environment in which something did.
	told []string
	// back says that something that readers saw went back.
	back bool
	// left is what is left, each with its environment.
	left []string
}

func (r *recovered) add(o recovered) {
	r.told, r.back, r.left = append(r.told, o.told...), r.back || o.back, append(r.left, o.left...)
}

// leave notes what is left in an environment.
func (r *recovered) leave(env string, what ...string) {
	for _, one := range what {
		if !strings.HasPrefix(one, env+" ") {
			one = env + ": " + one
		}
		r.left = append(r.left, one)
	}
}

func (r recovery) run(ctx workflow.Context) error {
	calm, _ := workflow.NewDisconnectedContext(ctx)
	var all recovered
	for _, env := range slices.Backward(r.in.Environments) {
		all.add(r.environment(calm, env))
	}
	slices.Reverse(all.told)
	stage, sentence := StageDone, "nothing of it is open any more"
	if len(all.told) > 0 {
		sentence = strings.Join(all.told, "; ")
	}
	if all.back {
		stage = StageRolledBack
	}
	if len(all.left) > 0 {
		stage = StageStuck
		sentence = "left as they are: " + strings.Join(all.left, ", ") + "; to go on with that: drawbridge recover " + r.in.Workflow
		if len(all.told) > 0 {
			sentence += "; " + strings.Join(all.told, "; ")
		}
	}
	r.Finish(calm, stage, conduct.Scope{}, sentence)
	return nil
}

// environment recovers whatever ledgers of an environment know the pipeline. The rule of the environment is known before
// anything is asked there.
func (r recovery) environment(ctx workflow.Context, env string) (all recovered) {
	at := conduct.Scope{Environment: env, Step: "compensate"}
	r.At(ctx, StageCompensating, at, "recovering "+env)
	target := activities.Target{Environment: env, Owner: owner(ctx)}
	target.Release.Pipeline = r.in.Pipeline
	found, err := FindRemains.Soon(ctx, env, "look for what is left", activities.RemainsInput{Target: target, Workflow: r.in.Workflow, Configs: r.in.Configs[env]})
	if err != nil {
		all.leave(env, "what is left could not be read: "+conduct.Reason(err))
		return all
	}
	r.Rule(env, found.Rule)
	if found.Tells && len(found.Places) > 0 {
		r.Listen(found.Places[0].Target)
	}
	for _, place := range found.Places {
		all.add(r.place(ctx, place))
	}
	if found.Unread != "" {
		all.leave(env, "what is left could not be read: "+found.Unread)
	}
	return all
}

// place finishes the turn-back that is open in a ledger, turns back what the workflow left in the middle, and ends what else
// is open of it.
func (r recovery) place(ctx workflow.Context, place activities.Place) (all recovered) {
	env := place.Target.Environment
	round := 0
	for _, resume := range []bool{true, false} {
		c := &compensation{Conductor: r.Conductor, target: place.Target, round: round}
		c.begin = func(ctx workflow.Context, round int) (activities.Began, error) {
			at := conduct.Scope{Environment: env, Step: "begin"}
			return BeginRecovery.Do(ctx, r.Conductor, at, "stop what is under way",
				activities.RecoverInput{Target: place.Target, Round: round, Workflow: r.in.Workflow, Resume: resume, By: r.in.By})
		}
		out, err := c.run(ctx)
		round = c.round
		all.back = all.back || out.Changed
		all.leave(env, out.Left...)
		if err != nil {
			all.leave(env, "turning back stopped: "+conduct.Reason(err))
		}
		if len(all.left) > 0 {
			break // that comes first
		}
	}
	switch was := place.Remains; {
	case all.back:
		all.told = append(all.told, "what it had left in "+env+" was turned back")
	case len(all.left) > 0: // which says it
	case was.Live.Number != 0 && was.Watched:
		all.told = append(all.told, fmt.Sprintf("%s stays live in %s, and nobody watches it any more; %s", was.Live.Release, env, r.wayBack(env, was)))
	case was.Live.Number != 0:
		all.told = append(all.told, fmt.Sprintf("nothing of it is open in %s, where %s stays live", env, was.Live.Release))
	case was.Open:
		all.told = append(all.told, "it is stopped in "+env+", where nothing of it was visible")
	}
	return all
}

// wayBack is what a person may do about a release that stays.
func (r recovery) wayBack(env string, was turnback.Remains) string {
	if was.Before {
		return fmt.Sprintf("to turn it back: drawbridge rollback %s --env %s --reason TEXT", r.in.Pipeline, env)
	}
	return "nothing was active before it: to replace it, deploy another release"
}
