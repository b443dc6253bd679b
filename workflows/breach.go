package workflows

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/breach"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/workflows/conduct"
)

// breached is a look at which data checks over published tables failed. The release goes back by itself only where it is to
// blame, where it is not the first one, and where nobody has said to keep it; otherwise a person is asked, once for a check
// until it holds again.
func (x *crossing) breached(ctx workflow.Context, seen activities.Look) error {
	if len(seen.Breaches) == 0 { // nobody has looked for the cause
		seen.Breaches = []breach.Breach{{Check: "watch", Cause: breach.Unknown, Why: "the cause was not looked for"}}
	}
	v, fresh, mine := x.judged(ctx, seen)
	at := x.at(plan.StepWatch)
	if len(fresh) == 0 {
		// Told again after 1, 2, 4, 8 … looks: a breach that persists stays seen, and does not fill the story.
		x.progress.Breached++
		if bits.OnesCount(uint(x.progress.Breached)) == 1 {
			x.Tell(ctx, at, fmt.Sprintf("still breached, for %s: %s", count(x.progress.Breached, "look"), v.Reason))
			x.tell(ctx, notice.WatchStillBreached, fmt.Sprintf("a watch check of %s fails still, for %s", x.env.Name, count(x.progress.Breached, "look")), v)
		}
		return nil
	}
	x.progress.Breached = 0
	x.Tell(ctx, at, "watch breached: "+v.Reason)
	x.tell(ctx, notice.WatchBreached, "a watch check of "+x.env.Name+" fails", v)
	if err := x.guilty(mine, v); err != nil {
		return err
	}
	g, err := x.askWhile(ctx, gate.Gate{Name: "watch-breach-" + x.env.Name, Question: x.about(fresh, mine), Verdict: v}, func(ctx workflow.Context, seen activities.Look) (conduct.Again, error) {
		switch seen.Verdict.Outcome {
		case gate.Pass, gate.None:
			x.progress.UnsureLooks = 0
			x.healthy(ctx)
			return conduct.Again{Withdrawn: "every watch check holds again"}, nil
		case gate.Inconclusive:
			return conduct.Again{}, nil // nothing is known that would change the question
		case gate.Fail:
		}
		v, failing, mine := x.judged(ctx, seen)
		if len(failing) == 0 {
			return conduct.Again{Withdrawn: "what was asked about holds again"}, nil
		}
		fresh = failing
		return conduct.Again{Question: x.about(fresh, mine), Verdict: v}, x.guilty(mine, v)
	})
	switch {
	case err != nil || g.Decided == gate.Withdrawn:
		return err
	case g.Decided != gate.Keep:
		return conduct.Refused(g.Name, g.Why)
	}
	for _, b := range fresh {
		x.progress.Kept = append(x.progress.Kept, b.Check)
	}
	return nil
}

// tell has people told of what a look has found. Each look is an event of its own.
func (x *crossing) tell(ctx workflow.Context, kind notice.Kind, what string, v gate.Verdict) {
	x.Announce(ctx, x.env.Name, notice.Event{
		ID: fmt.Sprintf("look-%d", x.shown.Looks), Kind: kind, What: what, Why: v.Reason, Numbers: conduct.Numbers(worstFirst(v.Evidence)),
		Commands: []string{
			"drawbridge status " + x.target.Release.String(),
			fmt.Sprintf("drawbridge rollback %s --env %s --reason TEXT", x.target.Release.Pipeline, x.env.Name),
		},
	})
}

// judged is what a look at which checks failed says: its verdict, the failing checks about which nobody has said to keep what is
// published, and whether this release is to blame for one of them.
func (x *crossing) judged(ctx workflow.Context, seen activities.Look) (v gate.Verdict, fresh []breach.Breach, mine bool) {
	v = attributed(seen)
	x.shown.note(GateVerdict{Gate: "watch", Verdict: v, At: workflow.Now(ctx)})
	fresh = slices.DeleteFunc(slices.Clone(seen.Breaches), func(b breach.Breach) bool { return slices.Contains(x.progress.Kept, b.Check) })
	return v, fresh, slices.ContainsFunc(fresh, func(b breach.Breach) bool { return b.Cause == breach.Release })
}

// guilty refuses to go on with a release that is to blame, where it goes back by itself.
func (x *crossing) guilty(mine bool, v gate.Verdict) error {
	if mine && x.env.Watch.OnBreach == string(pipeline.BreachRollback) && x.env.Active != nil {
		return fault.Newf(fault.Refused, "watch", x.env.Name, "see the numbers: drawbridge status "+x.target.Release.String(), "breached: "+v.Reason)
	}
	return nil
}

// about is what a person is asked about a breach.
func (x *crossing) about(fresh []breach.Breach, mine bool) string {
	var commands []string
	for _, b := range fresh {
		for _, c := range b.Mend {
			if !slices.Contains(commands, c) {
				commands = append(commands, c)
			}
		}
	}
	switch {
	case len(commands) > 0:
		return "a watch check failed, and a later run is to blame: keep this release? what turns the run back: " + strings.Join(commands, "; ")
	case mine && x.env.Active == nil:
		return "a watch check failed, and no release was active before: keep what is published, or detach it?"
	case mine:
		return "a watch check failed because of this release: keep what is published?"
	}
	return "a watch check failed, and it is not known that this release is to blame: keep what is published?"
}

// attributed is a look's verdict with who is to blame in its reason.
func attributed(seen activities.Look) gate.Verdict {
	v := seen.Verdict
	for _, b := range seen.Breaches {
		v.Reason += fmt.Sprintf("; %s: %s", b.Check, b.Why)
	}
	return v
}

// forget forgets what was said about checks that hold again.
func (x *crossing) forget(breaches []breach.Breach) {
	x.progress.Kept = slices.DeleteFunc(x.progress.Kept, func(name string) bool {
		return !slices.ContainsFunc(breaches, func(b breach.Breach) bool { return b.Check == name })
	})
}

// healthy ends a breach that was seen: a verdict of what is over must not stand as the last word.
func (x *crossing) healthy(ctx workflow.Context) {
	if last := len(x.shown.Verdicts) - 1; last >= 0 && x.shown.Verdicts[last].Gate == "watch" && x.shown.Verdicts[last].Verdict.Outcome == gate.Fail {
		v := gate.Verdict{Outcome: gate.Pass, Reason: "every watch check holds again"}
		x.shown.note(GateVerdict{Gate: "watch", Verdict: v, At: workflow.Now(ctx)})
		x.Tell(ctx, x.at(plan.StepWatch), v.Reason)
	}
	x.progress.Breached = 0
}
