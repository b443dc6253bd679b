package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// cutsOver publishes a transaction of a scenario's cut-over, whose slices are shared out evenly: what was built of it, or nothing.
func (e *effects) cutsOver(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
	l := e.ledgers[in.Target.Environment]
	at := slices.IndexFunc(e.plan.Summary.Environments, func(x plan.EnvironmentSummary) bool { return x.Name == in.Target.Environment })
	env := e.plan.Summary.Environments[at]
	built, err := l.Candidates(ctx, in.Target.Owner, in.Target.Tenure)
	if err != nil {
		return generation.PublishResult{}, err
	}
	sliceOf := map[partition.Key]int{}
	var stale []int
	var swaps []generation.Swap
	for i := range env.Slices {
		if i*env.Transactions/env.Slices != in.Part {
			continue
		}
		key := day("canary")
		if i > 0 {
			key = day(fmt.Sprintf("slice-%d", i))
		}
		sliceOf[key] = i
		found := slices.IndexFunc(built, func(c generation.Candidate) bool { return c.Partition == key })
		if found < 0 {
			stale = append(stale, i)
			continue
		}
		swaps = append(swaps, built[found].Swap)
	}
	if done, ok, err := l.Published(ctx, in.Target.Effect(in.Step, "", in.Round), false); err != nil || ok {
		return done, err
	}
	if len(stale) > 0 {
		return generation.PublishResult{WaitingFor: generation.ForOthers, Stale: stale}, nil
	}
	res, err := l.Publish(ctx, generation.PublishSpec{Key: in.Target.Effect(in.Step, "", in.Round), Activate: in.Activate}, admission.Ticket{
		Rule: e.sites[env.Name].Policy.Approval,
		Question: admission.Question{
			What: admission.Publish, Environment: env.Name, Release: in.Target.Release, Config: in.Target.Config, Owner: in.Target.Owner,
			Tenure: in.Target.Tenure, Swaps: swaps,
		},
	}, nil)
	for _, s := range res.Moved {
		res.Stale = append(res.Stale, sliceOf[s.Partition])
	}
	res.Moved = nil
	return res, err
}

// whole is an environment that becomes visible in so many transactions, when all of its slices are built.
func whole(name string, transactions int) plan.EnvironmentSummary {
	x := crossing(name)
	x.Transactions = transactions
	return x
}

func TestADeploymentCutsOverWhenAllOfItIsBuilt(t *testing.T) {
	t.Parallel()
	e := smooth(t, whole("dev", 1))
	l := e.ledgers["dev"]
	e.on = func(call string) {
		if call == "Publish dev publish" {
			require.Zero(t, l.visible(), "nothing was visible before")
		}
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, []string{
		"Enter dev", "Recheck dev", "BuildSlice dev canary", "AttachShadow dev", "CompareCanary dev", "BuildSlice dev slice-1",
		"BuildSlice dev slice-2", "Expand dev", "Publish dev publish", "Attest dev", "Leave dev", "DropShadow dev",
	}, e.seen()[1:])
	require.Equal(t, 3, l.visible())
	require.Equal(t, candidate(), l.now().Release)
	require.Equal(t, 3, s.Crossings[0].SlicesDone)
	require.Equal(t, "live", s.Crossings[0].State)
}

func TestWhatFailsBeforeACutOverWasNeverVisible(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"canary", "slice-1", "slice-2"} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, whole("prod", 1))
			e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
				outcome := gate.Pass
				if in.Step == failing {
					outcome = gate.Fail
				}
				return e.built(ctx, in, outcome)
			}
			s, err := e.deploy(t)
			require.NoError(t, err)
			require.Equal(t, workflows.StageRefused, s.Stage, s.Sentence)
			require.NotContains(t, e.seen(), "Publish prod publish")
			require.NotContains(t, e.seen(), "Swap prod", "there is nothing to swap back")
			e.unchanged(t, "prod")
		})
	}
}

func TestOnlyWhatMovedBeforeACutOverIsBuiltAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step     string
		again    string
		compares int
	}{
		"a slice":    {"slice-2", "BuildSlice prod slice-2", 1},
		"the canary": {"canary", "BuildSlice prod canary", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, whole("prod", 1))
			publish, tries := e.publish, 0
			e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
				if tries++; tries == 1 {
					require.True(t, e.runs(ctx, t, "prod", day(c.step), 1).Done)
				}
				return publish(ctx, in)
			}
			s, err := e.deploy(t)
			require.NoError(t, err)
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, 2, e.times("Publish prod publish"))
			require.Equal(t, c.compares, e.times("CompareCanary prod"))
			for _, build := range []string{"BuildSlice prod canary", "BuildSlice prod slice-1", "BuildSlice prod slice-2"} {
				want := 1
				if build == c.again {
					want = 2
				}
				require.Equal(t, want, e.times(build), build)
			}
			require.Equal(t, 3, e.ledgers["prod"].visible())
		})
	}
}

func TestWhatIsLostBeforeACutOverIsBuiltAgain(t *testing.T) {
	t.Parallel()
	e := smooth(t, whole("prod", 1))
	l := e.ledgers["prod"]
	publish, tries := e.publish, 0
	e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
		if tries++; tries == 1 {
			l.mu.Lock()
			for key, built := range l.builds {
				if key.Step == "slice-1" {
					l.generations[built[0].Generation.ID-1].State = generation.Rejected
				}
			}
			l.mu.Unlock()
		}
		return publish(ctx, in)
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, 2, e.times("BuildSlice prod slice-1"))
	require.Equal(t, 3, l.visible())
}

func TestACutOverOfSeveralTransactionsIsAskedAboutFirst(t *testing.T) {
	t.Parallel()
	for choice, c := range map[gate.Choice]struct {
		stage     workflows.Stage
		published []string
	}{
		gate.Approve: {workflows.StageDone, []string{"Publish prod publish-1", "Publish prod publish-2", "Publish prod publish-3"}},
		gate.Reject:  {workflows.StageRefused, nil},
	} {
		t.Run(string(choice), func(t *testing.T) {
			t.Parallel()
			x := whole("prod", 3)
			x.Asks = true
			e := smooth(t, x)
			var active []string
			e.on = func(call string) {
				if slices.Contains(c.published, call) {
					active = append(active, e.ledgers["prod"].now().Release.Version)
				}
			}
			d := yes("cutover-prod")
			d.Choice = choice
			s, err := e.deploy(t, decide(time.Hour, d, answered(t)), func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					require.NotContains(t, e.seen(), "BuildSlice prod slice-1", "it is asked before the rest is built")
				}, time.Minute)
			})
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.ElementsMatch(t, c.published, slices.DeleteFunc(e.seen(), func(call string) bool { return !strings.HasPrefix(call, "Publish") }))
			if c.published == nil {
				e.unchanged(t, "prod")
				return
			}
			require.Equal(t, []string{"1.0.0", "1.0.0", "1.0.0"}, active, "the last one makes it the active release")
			require.Equal(t, candidate(), e.ledgers["prod"].now().Release)
		})
	}
}

// A cancel between two transactions turns back what the first of them has made visible.
func TestACancelBetweenTheTransactionsOfACutOverTurnsBack(t *testing.T) {
	t.Parallel()
	e := smooth(t, whole("prod", 3))
	env := e.environment(t)
	e.on = func(call string) {
		if call == "Publish prod publish-2" {
			env.CancelWorkflow()
		}
	}
	env.ExecuteWorkflow(workflows.DeploymentName, deployInput("prod"))
	s, err := result(t, env)
	require.Error(t, err)
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Zero(t, e.ledgers["prod"].visible())
	require.Equal(t, previous(), e.ledgers["prod"].now().Release)
}

func TestABackfillAsOneIsVisibleWhenAllOfItIsBuiltWhateverStopsIt(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(10_000)
	e.filler.asked.Parts = []int{6_000, 4_000}
	var calls, cuts atomic.Int64
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		require.Zero(t, e.filler.live(), "nothing is visible before all of it is built")
		if calls.Add(1)%97 == 0 {
			e.filler.apply(in)
			return activities.Filled{}, true, errors.New("the connection was lost")
		}
		return activities.Filled{}, false, nil
	}
	e.filler.cuts = func(in activities.CutInput) (activities.Filled, bool, error) {
		switch cuts.Add(1) {
		case 1, 4:
			return activities.Filled{Parked: generation.PublishResult{WaitingFor: generation.ForHold, Why: "quarter end"}}, true, nil
		case 2: // its worker is lost when it has done its work
			e.filler.cuts = nil
			_, err := e.filler.cut(in)
			return activities.Filled{}, true, errors.Join(err, errors.New("the connection was lost"))
		}
		return activities.Filled{}, false, nil
	}
	s, continued := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		worked := 0
		env.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) { // where workflow code runs, and not beside it
			if worked++; worked == 25 {
				env.SetContinueAsNewSuggested(true)
			}
		})
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.GreaterOrEqual(t, continued, 3)
	require.Len(t, e.filler.times, 10_000)
	for k, n := range e.filler.times {
		require.Equal(t, 1, n, k)
	}
	require.Equal(t, 10_000, s.Backfill.Published)
}

func TestWhatFailsOfABackfillAsOneHoldsAllOfIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(*effects, *testsuite.TestWorkflowEnvironment)
		live   int
		stage  workflows.Stage
	}{
		"mended": {func(e *effects, env *testsuite.TestWorkflowEnvironment) {
			e.filler.mend(key(10))
			steerNow(env, conduct.Command{Kind: conduct.RetryFailed, By: "bob"})
		}, 500, workflows.StageDone},
		"left out": {func(_ *effects, env *testsuite.TestWorkflowEnvironment) {
			steerNow(env, conduct.Command{Kind: conduct.Skip, By: "bob", Reason: "closed", Items: []string{string(key(10))}})
		}, 499, workflows.StageDone},
		"ended without it": {func(_ *effects, env *testsuite.TestWorkflowEnvironment) {
			s := now(t, env)
			env.UpdateWorkflow(workflows.Decide, "1", answered(t), gate.Decision{Gate: s.Gates[0].Name, Choice: gate.Keep, By: "bob", Reason: "later", Plan: s.Plan})
		}, 0, workflows.StageStuck},
		"cancelled meanwhile": {func(_ *effects, env *testsuite.TestWorkflowEnvironment) {
			steerNow(env, conduct.Command{Kind: conduct.Cancel, By: "bob", Reason: "enough"})
		}, 0, workflows.StageRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.filler = newFiller(500)
			e.filler.asked.Parts = []int{500}
			e.filler.poison[key(10)] = true
			s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					waits := now(t, env)
					require.Contains(t, waits.Sentence, "nothing is published")
					require.Equal(t, 499, waits.Backfill.Built)
					require.Zero(t, e.filler.live())
					c.answer(e, env)
				}, time.Hour)
			})
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Equal(t, c.live, e.filler.live())
			require.Equal(t, 1, e.times("EndBackfill prod"), "its span is free")
		})
	}
}

func steerNow(env *testsuite.TestWorkflowEnvironment, m conduct.Command) {
	env.SignalWorkflow(workflows.Steer, m)
}

func TestAnotherReleaseBeforeTheCutOverOfABackfillIsAskedAbout(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(500)
	e.filler.asked.Parts = []int{500}
	var once sync.Once
	e.filler.cuts = func(activities.CutInput) (activities.Filled, bool, error) {
		once.Do(func() {
			e.filler.mu.Lock()
			defer e.filler.mu.Unlock()
			e.filler.active, e.filler.built = release.Tenure{Number: 8, Release: previous()}, map[partition.Key]bool{}
		})
		return activities.Filled{}, false, nil
	}
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			require.Zero(t, e.filler.live())
			waits := now(t, env)
			require.Contains(t, waits.Sentence, "shop@1.0.0 is active since")
			env.UpdateWorkflow(workflows.Decide, "1", answered(t), gate.Decision{Gate: waits.Gates[0].Name, Choice: gate.Proceed, By: "bob", Reason: "so", Plan: waits.Plan})
		}, time.Hour)
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	for _, version := range e.filler.by {
		require.Equal(t, "1.0.0", version)
	}
	require.Equal(t, 500, e.filler.live())
}
