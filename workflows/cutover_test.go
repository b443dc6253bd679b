package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/workflows"
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
			require.Equal(t, c.published, slices.DeleteFunc(e.seen(), func(call string) bool { return !slices.Contains(c.published, call) }))
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
