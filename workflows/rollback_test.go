package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// carriedLimit bounds what a workflow carries across continue-as-new, however many partitions there are.
const carriedLimit = 64 << 10

// overAll runs a workflow to its end, over every continue-as-new, and counts those. Each attempt's environment is prepared; what it
// carries is bounded, and looked at.
func overAll[In any](t *testing.T, e *effects, name string, in In, prepare func(*testsuite.TestWorkflowEnvironment), look func(In)) (s workflows.Status, continued int) {
	t.Helper()
	for {
		env := e.environment(t)
		prepare(env)
		env.ExecuteWorkflow(name, in)
		require.True(t, env.IsWorkflowCompleted())
		next, ok := errors.AsType[*workflow.ContinueAsNewError](env.GetWorkflowError())
		if !ok {
			s, err := result(t, env)
			require.NoError(t, err)
			return s, continued
		}
		continued++
		var carried In
		require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &carried))
		body, err := json.Marshal(carried)
		require.NoError(t, err)
		require.LessOrEqual(t, len(body), carriedLimit)
		look(carried)
		in = carried
	}
}

// rollsOn is a rollback over all.
func (e *effects) rollsOn(t *testing.T, in workflows.RollbackInput, prepare func(*testsuite.TestWorkflowEnvironment)) (s workflows.Status, continued int) {
	t.Helper()
	return overAll(t, e, workflows.RollbackName, in, prepare, func(in workflows.RollbackInput) {
		require.NotEmpty(t, in.State.TurnBack.Pass.After, "it goes on where it was")
	})
}

func TestARollbackOfManyPartitionsTurnsEachBackOnceWhateverStopsIt(t *testing.T) {
	t.Parallel()
	const many, fresh = 100_000, 1_000 // every thousandth partition has newer data of a run
	e := smooth(t, crossing("prod"))
	e.virgin("prod")
	l := e.ledgers["prod"]
	var keys, newer []partition.Key
	for i := range many {
		keys = append(keys, partition.Key(fmt.Sprintf("p%06d", i)))
		if i%fresh == 0 {
			newer = append(newer, keys[i])
		}
	}
	l.published(previous(), release.ByDeployment, "deploy/shop/0", keys...)
	l.settle()
	e.deployed("prod", keys...)
	l.published(candidate(), release.ByRun, "run/shop/prod/1", newer...)

	back, publishes := map[partition.Key]int{}, 0
	l.meddle = func(_ generation.PublishSpec, swaps []generation.Swap) (generation.PublishResult, error) {
		if publishes++; publishes == 100 {
			return generation.PublishResult{WaitingFor: generation.ForSnapshots, Blocked: []generation.Session{{PID: 42, User: "bi"}}}, nil
		}
		for _, s := range swaps {
			back[s.Partition]++
		}
		return generation.PublishResult{}, nil
	}
	tick := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	e.clock = func() time.Time { // a page takes longer than a pass may
		tick = tick.Add(time.Minute)
		return tick
	}
	var env *testsuite.TestWorkflowEnvironment
	passes, swap := 0, e.swap
	e.swap = func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
		pass, err := swap(ctx, in)
		passes++
		if passes%40 == 0 {
			env.SetContinueAsNewSuggested(true)
		}
		if passes == 90 {
			env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Cancel, By: "bob", Reason: "the month is being closed"})
		}
		return pass, err
	}
	prepare := func(next *testsuite.TestWorkflowEnvironment) {
		env = next
		if publishes == 0 { // it parks in the first attempt
			decide(100*time.Hour, said("turn-back-prod", gate.Retry, "bob"), answered(t))(env)
		}
	}

	s, first := e.rollsOn(t, rollbackInput(), prepare)
	require.Equal(t, 2, first)
	require.Equal(t, 1, s.Asked)
	require.Equal(t, workflows.StageStuck, s.Stage, "the active release has moved: it is not refused")
	require.Contains(t, s.Sentence, "the same command goes on with it")
	require.Equal(t, previous().Digest, l.now().Release.Digest)
	require.NotNil(t, l.open(), "the ledger knows it as open")
	done, tenure := len(back), l.now().Number
	require.Greater(t, done, many/3)
	require.Less(t, done, many/2)

	s, second := e.rollsOn(t, rollbackInput(), prepare)
	require.GreaterOrEqual(t, second, 2)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Contains(t, s.Sentence, fmt.Sprintf("went back: %d partitions; kept as they were: %d; left: 0", many-done, done))
	require.Equal(t, tenure, l.now().Number, "it is the same turn-back")
	require.Len(t, back, many)
	for key, times := range back {
		require.Equal(t, 1, times, key)
	}
	require.Equal(t, len(newer), l.visible(), "but for those that were built again, what is live is what was")
	for _, at := range l.slots {
		require.Equal(t, previous().Digest, l.generations[at.Live-1].Digest)
	}
}

// The worker dies while it opens the turn-back, and a person cancels before another one answers.
func TestACancelledRollbackSaysWhetherItHasBegun(t *testing.T) {
	t.Parallel()
	for name, begun := range map[string]bool{"it has": true, "it has not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.deployed("prod", "2026-01-30", "2026-01-31")
			l := e.ledgers["prod"]
			e.begin = func(ctx context.Context, in activities.BeginInput, begin func() (activities.Began, error)) (activities.Began, error) {
				if in.DryRun {
					return begin()
				}
				if begun {
					if _, err := begin(); err != nil {
						return activities.Began{}, err
					}
				}
				return activities.Began{}, errors.New("connection reset")
			}
			s, err := e.execute(t, workflows.RollbackName, rollbackInput(), func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Cancel, By: "bob", Reason: "it hangs"})
				}, time.Second)
			})
			require.NoError(t, err)
			if !begun {
				require.Equal(t, workflows.StageRefused, s.Stage, s.Sentence)
				require.Contains(t, s.Sentence, "it hangs")
				require.Nil(t, l.open())
				return
			}
			require.Equal(t, workflows.StageStuck, s.Stage, "the active release has moved: it is not refused")
			require.Contains(t, s.Sentence, "the same command goes on with it")
			require.NotNil(t, l.open())
		})
	}
}

func TestARollbackIsPausedBetweenItsPassesAndGoesOn(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	keys := []partition.Key{"2026-01-30", "2026-01-31"}
	e.deployed("prod", keys...)
	env := e.environment(t)
	passes, swap := 0, e.swap
	e.swap = func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
		if passes++; passes == 1 {
			env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Pause, By: "bob", Reason: "readers complain"})
			return activities.Pass{}, nil // its time is over, and there is more
		}
		return swap(ctx, in)
	}
	env.RegisterDelayedCallback(func() {
		s := now(t, env)
		require.Equal(t, workflows.StagePaused, s.Stage)
		require.NotNil(t, s.Paused.Held)
		require.Equal(t, 1, passes, "no pass is begun while it is paused")
		env.UpdateWorkflow(workflows.Steer, "lanes", &testsuite.TestUpdateCallback{
			OnAccept: func() { require.Fail(t, "accepted") },
			OnReject: func(err error) { require.ErrorContains(t, err, "takes only pause, resume, cancel") },
		}, conduct.Command{Kind: conduct.SetLanes, By: "bob", Lanes: 3})
		env.UpdateWorkflow(workflows.Steer, "resume", answered(t), conduct.Command{Kind: conduct.Resume, By: "bob"})
	}, time.Hour)
	env.ExecuteWorkflow(workflows.RollbackName, rollbackInput())
	s, err := result(t, env)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, 2, passes)
}

func TestARollbackSaysWhereWhatAnEarlierOneHadLeftIsLiveAgain(t *testing.T) {
	t.Parallel()
	for remnants, says := range map[int]string{0: "", 1: "; what an earlier rollback had left is live again in 1 partition, and that rollback's command goes on with it"} {
		e := smooth(t, crossing("prod"))
		e.deployed("prod", "2026-01-30", "2026-01-31")
		swap := e.swap
		e.swap = func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
			pass, err := swap(ctx, in)
			pass.Tally.Remnants += remnants
			return pass, err
		}
		env := e.environment(t)
		env.ExecuteWorkflow(workflows.RollbackName, rollbackInput())
		s, err := result(t, env)
		require.NoError(t, err)
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
		require.Contains(t, s.Sentence, says)
		require.Equal(t, remnants > 0, strings.Contains(s.Sentence, "earlier rollback"), s.Sentence)
	}
}

// A rollback of a backfill says in how many of its partitions another one has decided since, before and after.
func TestARollbackOfABackfillSaysWhatWasDecidedSince(t *testing.T) {
	t.Parallel()
	const says = "; another rollback has decided about 1 partition since, and what it made live there stays: drawbridge history shop --env prod"
	for _, dry := range []bool{false, true} {
		e := smooth(t, crossing("prod"))
		e.deployed("prod", "2026-01-30", "2026-01-31")
		e.begin = func(_ context.Context, _ activities.BeginInput, begin func() (activities.Began, error)) (activities.Began, error) {
			began, err := begin()
			began.TurnBack.Request.Owner = "backfill/shop/prod/2026-01-30..2026-01-31/run"
			began.Away = 1
			return began, err
		}
		swap := e.swap
		e.swap = func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
			pass, err := swap(ctx, in)
			pass.Tally.Away = 1
			return pass, err
		}
		env := e.environment(t)
		in := rollbackInput()
		in.DryRun = dry
		env.ExecuteWorkflow(workflows.RollbackName, in)
		s, err := result(t, env)
		require.NoError(t, err)
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
		require.Contains(t, s.Sentence, says)
	}
}

func TestARebuildThatFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	l := e.ledgers["prod"]
	e.deployed("prod", "2026-01-30", "2026-01-31", day("slice-1"), day("slice-2"))
	l.published(candidate(), release.ByRun, "run/shop/prod/1", "2026-01-30", "2026-01-31", day("slice-1")) // newer than what is retained
	l.spoil = func(spec activities.BuildSpec) error {
		if spec.Partition == "2026-01-30" {
			return fault.Newf(fault.Invalid, "load", "orders_2026-01-30.csv", "mend the file", "line 5 is short")
		}
		return nil
	}
	s, err := e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Contains(t, s.Sentence, "fct_orders[2026-01-30]: load orders_2026-01-30.csv: line 5 is short")
	require.Equal(t, previous().Digest, l.now().Release.Digest)
	for key, r := range map[partition.Key]release.Release{
		"2026-01-30": candidate(), "2026-01-31": previous(), day("slice-1"): previous(), day("slice-2"): previous(),
	} {
		live := l.slots[admission.Slot{Output: "fct_orders", Partition: key}].Live
		require.Equal(t, r.Digest, l.generations[live-1].Digest, key)
	}
	require.Nil(t, l.open(), "it has tried everything")

	l.spoil = nil // the file is mended
	tenure := l.now().Number
	s, err = e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, tenure, l.now().Number, "the same command goes on with it")
	require.Contains(t, s.Sentence, "went back: 1 partition;")
}

func TestASwapThatFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	l := e.ledgers["prod"]
	e.deployed("prod", "2026-01-30", "2026-01-31", day("slice-1"), day("slice-2"))
	l.meddle = func(_ generation.PublishSpec, swaps []generation.Swap) (generation.PublishResult, error) {
		for _, s := range swaps {
			if s.Partition == "2026-01-31" {
				return generation.PublishResult{}, fault.Newf(fault.Conflict, "attach", "fct_orders 2026-01-31", "look", "its child was changed by hand")
			}
		}
		return generation.PublishResult{}, nil
	}
	s, err := e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Contains(t, s.Sentence, "went back: 3 partitions")
	require.Contains(t, s.Sentence, "fct_orders[2026-01-31]: attach fct_orders 2026-01-31: its child was changed by hand")
	require.Equal(t, 1, l.visible())

	l.meddle = nil // somebody has mended it
	s, err = e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	e.unchanged(t, "prod")
}

func TestATurnBackWaitsForNoHold(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.deployed("prod", "2026-01-31")
	e.ledgers["prod"].hold = "the month is being closed"
	s, err := e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	e.unchanged(t, "prod")
}

func TestOnlyAPersonTakesAFirstReleaseAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		choice  gate.Choice
		stage   workflows.Stage
		visible int
	}{
		"keep leaves what it published": {gate.Keep, workflows.StageStuck, 2},
		"rollback detaches it":          {gate.Rollback, workflows.StageRolledBack, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.virgin("prod")
			e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
				if in.Step == "slice-2" {
					return e.built(ctx, in, gate.Fail)
				}
				return e.built(ctx, in, gate.Pass)
			}
			d := yes("first-release-prod")
			d.Choice = c.choice
			env := e.environment(t)
			decide(200*time.Hour, d, answered(t))(env) // the question does not expire
			env.RegisterDelayedCallback(func() { require.Equal(t, 2, e.ledgers["prod"].visible(), "nothing goes before") }, 199*time.Hour)
			env.ExecuteWorkflow(workflows.DeploymentName, deployInput("prod"))
			s, err := result(t, env)
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage)
			require.Equal(t, c.visible, e.ledgers["prod"].visible())
			require.Empty(t, e.ledgers["prod"].crossing)
		})
	}
	t.Run("who said no is not asked again", func(t *testing.T) {
		t.Parallel()
		x := crossing("prod")
		x.Watch.For, x.Watch.Every = 2*time.Hour, time.Hour
		e := smooth(t, x)
		e.virgin("prod")
		e.look = func(activities.LookInput) (activities.Look, error) {
			return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass}, Late: "newest data is 30h old"}, nil
		}
		d := yes("watch-late-prod")
		d.Choice = gate.Rollback
		s, err := e.deploy(t, decide(time.Hour, d, answered(t)))
		require.NoError(t, err)
		require.Equal(t, workflows.StageRolledBack, s.Stage)
		require.Equal(t, 1, s.Asked)
		require.Zero(t, e.ledgers["prod"].visible())
		require.True(t, e.ledgers["prod"].now().None(), "nothing was active before")
	})
}
