package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
	"drawbridge/workflows"
)

func deployInput(environments ...string) workflows.DeploymentInput {
	return workflows.DeploymentInput{Pipeline: "shop", Release: candidate(), Environments: environments, By: "ann"}
}

// times counts a call so far.
func (e *effects) times(call string) int {
	return len(slices.DeleteFunc(e.seen(), func(c string) bool { return c != call }))
}

// runs publishes a partition as a scheduled run of the active release does, and says what became of it.
func (e *effects) runs(ctx context.Context, t *testing.T, environment string, key partition.Key, n int) generation.PublishResult {
	t.Helper()
	l := e.ledgers[environment]
	active := l.now()
	owner := effect.Owner(fmt.Sprintf("run/shop/%s/%s/%d", environment, key, n))
	built, err := l.Build(ctx, activities.BuildSpec{
		Key: effect.Key{Owner: owner, Step: "run"}, Tenure: active.Number, Release: active.Release, Partition: key, Outputs: []string{"fct_orders"},
	}, func(activities.Progress) {})
	require.NoError(t, err)
	res, err := l.Publish(ctx, generation.PublishSpec{Key: effect.Key{Owner: owner, Step: "publish"}}, admission.Ticket{Question: admission.Question{
		What: admission.Publish, Environment: environment, Release: active.Release, Owner: owner, Tenure: active.Number,
		Swaps: []generation.Swap{{Output: "fct_orders", Partition: key, From: built[0].From, To: built[0].Generation.ID}},
	}}, nil)
	require.NoError(t, err)
	return res
}

func TestWhatMovedIsBuiltAndComparedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs, byHand int // how often a run, and somebody who asks nobody, publishes before the canary does
		builds       int
		exclusive    bool
		stage        workflows.Stage
	}{
		"once":                              {runs: 1, builds: 2, stage: workflows.StageDone},
		"twice":                             {runs: 2, builds: 3, stage: workflows.StageDone},
		"in the third round the runs wait":  {runs: 100, builds: 4, exclusive: true, stage: workflows.StageDone},
		"what still moves then is too much": {byHand: 100, builds: 4, exclusive: true, stage: workflows.StageRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			l := e.ledgers["prod"]
			tries, held := 0, 0
			publish := e.publish
			e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
				if in.Step == "publish-canary" {
					tries++
					if tries <= c.runs && e.runs(ctx, t, "prod", day("canary"), tries).WaitingFor == generation.ForHold {
						held++
					}
					if tries <= c.byHand {
						l.published(previous(), release.ByRun, "run/shop/prod/1", day("canary"))
					}
				}
				return publish(ctx, in)
			}
			s, err := e.deploy(t)
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Equal(t, c.builds, e.times("BuildSlice prod canary"))
			require.Equal(t, c.builds, e.times("CompareCanary prod"), "within the same budgets")
			require.Equal(t, c.exclusive, e.times("Enter prod") == 2)
			require.Equal(t, c.exclusive && c.runs > 0, held == 1)
			if c.stage == workflows.StageRefused {
				require.Contains(t, s.Sentence, "what it replaces moved, again and again")
				require.Equal(t, previous(), l.now().Release)
			}
			require.Empty(t, l.crossing)
			require.False(t, l.exclusive, "runs go on")
		})
	}
}

func TestASliceThatMovedIsBuiltAndAuditedAgain(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	moved := false
	publish := e.publish
	e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
		if in.Step == "publish-slice-1" && !moved {
			moved = true
			require.True(t, e.runs(ctx, t, "prod", day("slice-1"), 1).Done)
		}
		return publish(ctx, in)
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 2, e.times("BuildSlice prod slice-1"))
	require.Equal(t, 1, e.times("BuildSlice prod slice-2"))
	require.Equal(t, 3, e.ledgers["prod"].visible())
}

func TestARunBuildsAgainWhatAnotherRunSharesWithIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		others, builds int
		stage          workflows.Stage
	}{
		"a few were faster":                 {3, 4, workflows.StageDone},
		"others are faster again and again": {1000, 10, workflows.StageRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			l := e.ledgers["prod"]
			l.published(previous(), release.ByRun, "run/shop/prod/0", partition.AllKey)
			l.settle()
			e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
				own, err := e.built(ctx, in, gate.Pass)
				require.NoError(t, err)
				in.Partition = partition.AllKey // every day's run builds it
				shared, err := e.built(ctx, in, gate.Pass)
				own.Pieces = append(own.Pieces, shared.Pieces...)
				return own, err
			}
			tries := 0
			publish := e.publish
			e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
				if tries++; tries <= c.others {
					require.True(t, e.runs(ctx, t, "prod", partition.AllKey, tries).Done)
				}
				return publish(ctx, in)
			}
			s, err := e.run(t)
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Equal(t, c.builds, e.times("BuildSlice prod run"))
			own := l.slots[admission.Slot{Output: "fct_orders", Partition: "2026-01-31"}]
			require.Equal(t, c.stage == workflows.StageDone, own.Live != own.seeded, "all of a run is published, or nothing")
		})
	}
}

func TestAHoldIsWaitedForByTimer(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	l := e.ledgers["prod"]
	l.hold = "the month is being closed"
	s, err := e.run(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			require.Zero(t, l.visible())
			require.Zero(t, now(t, env).Asked, "nobody has to answer")
			l.mu.Lock()
			defer l.mu.Unlock()
			l.hold = ""
		}, 24*time.Hour)
	})
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 1, l.visible())
	told := 0
	for _, event := range s.Events {
		if strings.Contains(event.Text, "waits: the environment is on hold: the month is being closed") {
			told++
		}
	}
	require.Equal(t, 1, told)
	require.InDelta(t, 24*60, e.times("Publish prod publish"), 10, "it looks every minute")
}

// A table that readers see gets no column while a hold stands: the deployment waits as a publish does.
func TestMakingRoomWaitsForAHold(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	l := e.ledgers["prod"]
	l.hold = "the month is being closed"
	s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			require.Zero(t, e.times("Publish prod publish-canary"))
			require.Zero(t, now(t, env).Asked, "nobody has to answer")
			l.mu.Lock()
			defer l.mu.Unlock()
			l.hold = ""
		}, 24*time.Hour)
	})
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	told := 0
	for _, event := range s.Events {
		if strings.Contains(event.Text, "waits: the environment is on hold: the month is being closed") {
			told++
		}
	}
	require.Equal(t, 1, told)
	require.InDelta(t, 24*60, e.times("Expand prod"), 10, "it looks every minute")
}

// watched is an environment that is watched for two hours, every hour.
func watched(name string) plan.EnvironmentSummary {
	x := crossing(name)
	x.Watch.For, x.Watch.Every = 2*time.Hour, time.Hour
	return x
}

// A publish may wait for a hold for days, while others publish: what the watch compares with is how it was at the end of that.
func TestABaselineIsTakenAfterWhatThePublishWaitsFor(t *testing.T) {
	t.Parallel()
	e := smooth(t, watched("prod"))
	l := e.ledgers["prod"]
	l.meddle = func(generation.PublishSpec, []generation.Swap) (generation.PublishResult, error) {
		return generation.PublishResult{WaitingFor: generation.ForHold, Why: "month end"}, nil
	}
	var baselines []float64
	e.look = func(in activities.LookInput) (activities.Look, error) {
		baselines = append(baselines, in.Baseline["revenue"])
		return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass}}, nil
	}
	s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.meddle, e.revenue = nil, 150
		}, time.Hour)
	})
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.NotEmpty(t, baselines)
	for _, b := range baselines {
		require.InDelta(t, 150, b, 0)
	}
}

func TestAWatchThatReadsATurnBackEndsAndTurnsNothingBackAgain(t *testing.T) {
	t.Parallel()
	e := smooth(t, watched("prod"))
	l := e.ledgers["prod"]
	looks := 0
	e.look = func(activities.LookInput) (activities.Look, error) {
		if looks++; looks == 2 {
			require.Empty(t, l.crossing, "while it is watched others may change it")
			_, ok, err := l.BeginTurnBack(t.Context(), turnback.Request{Pipeline: "shop", By: "bob", Reason: "revenue fell", ByPerson: true}, effect.Key{Owner: "rollback/shop/prod/1"})
			require.NoError(t, err)
			require.True(t, ok)
		}
		return activities.Look{Verdict: gate.Verdict{Outcome: gate.Fail, Reason: "the tables are half way"}, Late: "so they are late"}, nil
	}
	e.plan.Summary.Environments[0].Watch.OnBreach = "ask"
	d := yes("watch-breach-prod")
	d.Choice = gate.Keep
	s, err := e.deploy(t, decide(time.Minute, d, answered(t)))
	require.NoError(t, err)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
	require.Contains(t, s.Sentence, "turned back by bob: revenue fell")
	require.Equal(t, "turned_back", s.Crossings[0].State)
	require.Equal(t, 2, looks)
	for _, call := range []string{"Preview prod", "Begin prod", "Swap prod", "Attest prod"} {
		require.Zero(t, e.times(call), call)
	}
	require.NotNil(t, l.open(), "who has begun it ends it")
	require.Equal(t, 1, e.times("DropShadow prod"))
	require.Empty(t, e.shelf.statements)
}

func TestANewerReleaseEndsAWatch(t *testing.T) {
	t.Parallel()
	newer := release.Release{Pipeline: "shop", Version: "1.2.0", Digest: "sha256:12"}
	for name, c := range map[string]struct {
		environments []plan.EnvironmentSummary
		stage        workflows.Stage
		says         string
	}{
		"in the last environment it is done": {
			[]plan.EnvironmentSummary{watched("dev")}, workflows.StageDone, "was live in dev until shop@1.2.0 became active",
		},
		"elsewhere it goes no further": {
			[]plan.EnvironmentSummary{watched("dev"), crossing("prod")}, workflows.StageRefused, "shop@1.2.0 is active there since",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, c.environments...)
			l := e.ledgers["dev"]
			e.look = func(activities.LookInput) (activities.Look, error) {
				l.published(newer, release.ByDeployment, "deploy/shop/2", "2026-01-31")
				return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass}}, nil
			}
			s, err := e.deploy(t)
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage)
			require.Contains(t, s.Sentence, c.says)
			require.Equal(t, 1, e.times("Look dev"))
			require.Zero(t, e.times("Begin dev"))
			require.Zero(t, e.times("Enter prod"))
			require.Equal(t, newer, l.now().Release)
			require.Equal(t, 4, l.visible(), "what it published stays")
			require.Empty(t, e.shelf.statements)
		})
	}
}

// A person turns a backfill of the newer release back before this one looks again: what ended the watch came before.
func TestWhatOthersTurnBackLaterIsNoWordAboutAWatch(t *testing.T) {
	t.Parallel()
	newer := release.Release{Pipeline: "shop", Version: "1.2.0", Digest: "sha256:12"}
	e := smooth(t, watched("dev"))
	l := e.ledgers["dev"]
	e.look = func(activities.LookInput) (activities.Look, error) {
		l.published(newer, release.ByDeployment, "deploy/shop/2", "2026-01-31")
		l.published(newer, release.ByTurnBack, "rollback/shop/dev/1", "2026-01-31")
		return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass}}, nil
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "was live in dev until shop@1.2.0 became active")
}

func TestNothingIsStatedAboutWhatIsNotActiveAnyMore(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.on = func(call string) {
		if call == "Attest dev" {
			e.ledgers["dev"].published(release.Release{Pipeline: "shop", Version: "1.2.0", Digest: "sha256:12"}, release.ByDeployment, "deploy/shop/2", "2026-01-31")
		}
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.NotEqual(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "it is not what is active here: shop@1.2.0 is")
	require.Empty(t, e.shelf.statements)
}
