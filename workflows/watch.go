package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows/conduct"
)

// unsureLooks is how many looks in a row may fail to run before a person is asked: one is an accident, three are a state.
const unsureLooks = 3

// watch looks at the published tables every so often until the window ends. Only a data check that failed turns back;
// late data and checks that cannot run ask, and what a person decided about them is not asked again in this window.
func (x *crossing) watch(ctx workflow.Context) error {
	rule := x.env.Watch
	if rule.For == 0 {
		return nil
	}
	if x.shown.WatchUntil == nil {
		until := workflow.Now(ctx).Add(rule.For)
		// Others may change the pipeline here while it is watched: the looks see it.
		if _, err := BeginWatch.Do(ctx, x.Conductor, x.at(plan.StepWatch), "begin to watch", x.target); err != nil {
			return err
		}
		x.shown.WatchUntil, x.shown.State = &until, "watching"
		x.At(ctx, StageWatching, x.at(plan.StepWatch), fmt.Sprintf("watching %s every %s until %s", x.env.Name, rule.Every, until.UTC().Format(time.RFC3339)))
	}
	for {
		if err := x.look(ctx); err != nil {
			return err
		}
		left := x.shown.WatchUntil.Sub(workflow.Now(ctx))
		if left <= 0 || x.progress.Other != nil {
			break
		}
		pause := min(rule.Every, left)
		next := workflow.Now(ctx).Add(pause)
		x.shown.NextLook = &next
		if err := workflow.NewTimerWithOptions(ctx, pause, workflow.TimerOptions{Summary: "next look at " + x.env.Name}).Get(ctx, nil); err != nil {
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return x.continueAsNew(ctx)
		}
	}
	x.shown.NextLook, x.shown.State = nil, "live"
	return nil
}

// measureBefore takes what the watch compares with, right before the first publish, and again after whatever that waits for:
// scheduled runs publish meanwhile.
func (x *crossing) measureBefore(ctx workflow.Context) error {
	if x.env.Watch.For == 0 || x.progress.Swaps > 0 {
		return nil
	}
	before, err := MeasureBefore.Do(ctx, x.Conductor, x.at("baseline"), "watch metrics before", x.now(ctx))
	x.progress.Baseline, x.progress.Lost, x.progress.Reads = before.Values, before.Lost, before.Reads
	return err
}

// see evaluates the watch once. Where another tenure than its own is active, the watch is over.
func (x *crossing) see(ctx workflow.Context) (seen activities.Look, over bool, err error) {
	in := activities.LookInput{Target: x.now(ctx), Baseline: x.progress.Baseline, Lost: x.progress.Lost}
	seen, err = Look.Do(ctx, x.Conductor, x.at(plan.StepWatch), "look at "+x.env.Name, in)
	if err != nil {
		return seen, false, err
	}
	x.shown.Looks++
	if seen.Active.Number != x.progress.Tenure && !x.remains(seen.Active) {
		return seen, true, x.ousted(ctx, seen.Active)
	}
	for _, name := range workflow.DeterministicKeys(seen.Values) {
		if _, ok := x.progress.Baseline[name]; !ok {
			if x.progress.Baseline == nil {
				x.progress.Baseline = map[string]float64{}
			}
			x.progress.Baseline[name] = seen.Values[name]
		}
	}
	return seen, false, nil
}

// look evaluates the watch once and decides what follows.
func (x *crossing) look(ctx workflow.Context) error {
	at := x.at(plan.StepWatch)
	seen, over, err := x.see(ctx)
	if err != nil || over {
		return err
	}
	if seen.Verdict.Outcome != gate.Inconclusive {
		x.forget(seen.Breaches)
	}
	switch seen.Verdict.Outcome {
	case gate.Pass, gate.None:
		x.progress.UnsureLooks = 0
		x.healthy(ctx)
	case gate.Fail:
		return x.breached(ctx, seen)
	case gate.Inconclusive:
		x.progress.UnsureLooks++
		x.Tell(ctx, at, "watch could not tell: "+seen.Verdict.Reason)
		if x.progress.UnsureLooks >= unsureLooks {
			return x.askOnce(ctx, "watch-unsure", "the watch checks cannot be evaluated", func(seen activities.Look) (gate.Verdict, bool) {
				return seen.Verdict, seen.Verdict.Outcome == gate.Inconclusive
			}, seen)
		}
	}
	if seen.Late != "" {
		return x.askOnce(ctx, "watch-late", "data is late", func(seen activities.Look) (gate.Verdict, bool) {
			return gate.Verdict{Outcome: gate.Inconclusive, Reason: seen.Late}, seen.Late != "" && seen.Verdict.Outcome != gate.Fail
		}, seen)
	}
	return nil
}

// remains says that the release stayed where single partitions were turned back.
func (x *crossing) remains(active release.Tenure) bool {
	return active.Kind == release.ByTurnBack && active.Same(release.Tenure{Release: x.target.Release, Config: x.target.Config})
}

// ousted ends a watch that sees another tenure than its own: what it looked at is not what it published. Whoever was there
// since has said what becomes of that, so nothing is turned back. In the last environment a newer release ends the watch
// early; what is not active any more goes to no other environment.
func (x *crossing) ousted(ctx workflow.Context, by release.Tenure) error {
	x.progress.Other = &by
	if by.Kind == release.ByTurnBack {
		return fault.Newf(fault.Refused, "watch", x.env.Name, "see what happened: drawbridge history "+x.in.Pipeline+" --env "+x.env.Name,
			fmt.Sprintf("turned back by %s: %s", by.By, by.Reason))
	}
	x.Tell(ctx, x.at(plan.StepWatch), fmt.Sprintf("%s is active in %s since", by.Release, x.env.Name))
	if x.index < len(x.summary.Environments)-1 {
		return fault.Newf(fault.Refused, "watch", x.env.Name, "deploy what is active there: drawbridge deploy "+by.Release.String()+" --to "+x.summary.Environments[len(x.summary.Environments)-1].Name,
			by.Release.String()+" is active there since")
	}
	return nil
}

// askOnce asks whether what was seen is kept or turned back, until a person has answered once in a window. It does not expire:
// late data and checks that cannot run never roll back by themselves. still says how it is by another look, and whether it is.
func (x *crossing) askOnce(ctx workflow.Context, name, question string, still func(activities.Look) (gate.Verdict, bool), seen activities.Look) error {
	if slices.Contains(x.progress.Asked, name) {
		return nil
	}
	question += ": keep what is published?"
	v, _ := still(seen)
	g, err := x.askWhile(ctx, gate.Gate{Name: name + "-" + x.env.Name, Question: question, Verdict: v}, func(_ workflow.Context, seen activities.Look) (conduct.Again, error) {
		v, is := still(seen)
		if !is {
			return conduct.Again{Withdrawn: "it is so no more"}, nil
		}
		return conduct.Again{Question: question, Verdict: v}, nil
	})
	switch {
	case err != nil || g.Decided == gate.Withdrawn:
		return err
	case g.Decided == gate.Keep:
		x.progress.Asked = append(x.progress.Asked, name)
		return nil
	}
	return conduct.Refused(g.Name, g.Why)
}

// askWhile asks about what a watch has seen, and goes on looking as often as before: judge says what another look means for the
// question. Where history has grown it is asked again after continue-as-new, by the look that comes first there.
func (x *crossing) askWhile(ctx workflow.Context, g gate.Gate, judge func(workflow.Context, activities.Look) (conduct.Again, error)) (gate.Gate, error) {
	g.Earlier, g.Choices, g.Endless = x.earlier(), []gate.Choice{gate.Keep, gate.Rollback}, true
	grown := false
	g, err := x.AskWhile(ctx, x.at(plan.StepWatch), g, x.env.Watch.Every, func(ctx workflow.Context) (conduct.Again, error) {
		if grown = workflow.GetInfo(ctx).GetContinueAsNewSuggested(); grown {
			return conduct.Again{Withdrawn: "it is asked again at once: the workflow continues as new"}, nil
		}
		seen, over, err := x.see(ctx)
		switch {
		case err != nil:
			return conduct.Again{}, err
		case over:
			return conduct.Again{Withdrawn: seen.Active.Release.String() + " is active since"}, nil
		}
		return judge(ctx, seen)
	})
	if err == nil && g.Decided == gate.Withdrawn && grown {
		err = x.continueAsNew(ctx)
	}
	return g, err
}
