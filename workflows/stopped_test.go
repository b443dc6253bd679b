package workflows_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/turnback"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// mine is the workflow of a scenario as effects know it.
var mine = effect.OwnerOf("default-test-workflow-id", "00000000-0000-4000-8000-000000000001")

// onePartition asks for one partition to go back, as a person does.
func onePartition() turnback.Request {
	return turnback.Request{Pipeline: "shop", Partition: "2026-01-31", By: "bob", Reason: "a late file", ByPerson: true}
}

// stops begins a turn-back in prod by somebody else, and tells the workflow of the scenario what that one tells whom it has stopped.
func (e *effects) stops(t *testing.T, env *testsuite.TestWorkflowEnvironment, req turnback.Request) turnback.TurnBack {
	t.Helper()
	back, ok, err := e.ledgers["prod"].BeginTurnBack(t.Context(), req, effect.Key{Owner: "rollback/shop/prod/1"})
	require.NoError(t, err)
	require.True(t, ok)
	require.Contains(t, back.Stopped, mine)
	for _, o := range back.Stopped {
		env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Cancel, By: "rollback/shop/prod", Reason: "turned back under tenure 3", For: o})
	}
	return back
}

func TestATurnBackTellsWhomItStops(t *testing.T) {
	t.Parallel()
	const waiting, gone = "deploy/shop/1.2.0", "run/shop/prod/2026-01-30"
	for name, in := range map[string]turnback.Request{"of a release": {}, "of one partition": {Partition: "2026-01-31"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.deployed("prod", "2026-01-30", "2026-01-31")
			l := e.ledgers["prod"]
			l.crossing = waiting + "/1"
			_, err := l.Build(t.Context(), activities.BuildSpec{
				Key: effect.Key{Owner: gone + "/1", Environment: "prod", Step: "run"}, Release: candidate(), Partition: "2026-01-30", Outputs: []string{"fct_orders"},
			}, func(activities.Progress) {})
			require.NoError(t, err)
			e.over = []string{gone}
			input := rollbackInput()
			input.Request = in
			dry := input
			dry.DryRun = true
			s, err := e.execute(t, workflows.RollbackName, dry)
			require.NoError(t, err)
			require.Contains(t, strings.Join(story(s), "\n"), "ends "+waiting)
			require.Contains(t, strings.Join(story(s), "\n"), "ends "+gone)
			require.Empty(t, e.signals, "a dry run tells nobody")
			e.sites["prod"].Fate = func(_ context.Context, o effect.Owner) (activities.Fate, string, error) {
				if o.Workflow() == gone {
					return activities.FateEnded, "", nil
				}
				return activities.FateOpen, "waits at approval-prod", nil
			}
			s, err = e.execute(t, workflows.RollbackName, dry)
			require.NoError(t, err)
			require.Contains(t, strings.Join(story(s), "\n"), "ends "+waiting+", which waits at approval-prod")
			require.NotContains(t, strings.Join(story(s), "\n"), gone, "it has ended by itself")

			s, err = e.execute(t, workflows.RollbackName, input)
			require.NoError(t, err)
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Len(t, e.signals, 2)
			slices.SortFunc(e.signals, func(a, b signal) int { return cmp.Compare(a.id, b.id) }) // they are sent at once
			for i, id := range []string{waiting, gone} {
				got := e.signals[i]
				require.Equal(t, []string{id, "", workflows.Steer}, []string{got.id, got.run, got.name}, "whichever run is the latest")
				require.Equal(t, conduct.Cancel, got.command.Kind)
				require.Equal(t, effect.Owner(id+"/1"), got.command.For)
				require.Contains(t, got.command.Reason, "turned back under tenure")
				require.Contains(t, got.command.Reason, "revenue fell")
			}
			require.Contains(t, strings.Join(story(s), "\n"), waiting+" is stopped, and told so")
			require.Contains(t, strings.Join(story(s), "\n"), gone+" is stopped, and was over already")
		})
	}
}

func TestADeploymentThatATurnBackHasStoppedEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, paused := range map[string]bool{"at its gate": false, "while it is paused": true} {
		for name2, req := range map[string]turnback.Request{
			"by that of a release":     {Pipeline: "shop", By: "bob", Reason: "revenue fell", ByPerson: true},
			"by that of one partition": onePartition(),
		} {
			t.Run(name+" "+name2, func(t *testing.T) {
				t.Parallel()
				x := crossing("prod")
				x.Approval = gate.Approval{Required: true}
				e := smooth(t, x).listening("prod")
				e.deployed("prod", "2026-01-31")
				env := e.environment(t)
				if paused {
					env.RegisterDelayedCallback(func() {
						env.UpdateWorkflow(workflows.Steer, "pause", answered(t), conduct.Command{Kind: conduct.Pause, By: "carol"})
					}, time.Minute)
				}
				var told time.Time
				env.RegisterDelayedCallback(func() {
					told = env.Now()
					e.stops(t, env, req)
				}, time.Hour)
				env.ExecuteWorkflow(workflows.DeploymentName, deployInput("prod"))
				s, err := result(t, env)
				require.NoError(t, err)
				require.Less(t, env.Now().Sub(told), time.Minute, "nobody has to answer")
				require.Equal(t, workflows.StageRefused, s.Stage)
				require.Contains(t, s.Sentence, "stopped by rollback/shop/prod: turned back under tenure 3")
				require.Contains(t, s.Hint, "drawbridge deploy shop@1.1.0 --to prod")
				require.Equal(t, 1, s.Asked, "it asks nothing more")
				require.Equal(t, gate.Withdrawn, s.Gates[0].Decided)
				require.ErrorContains(t, s.Gates[0].Check(yes(s.Gates[0].Name), s.Gates[0].OpenedAt), "withdrawn: stopped by rollback/shop/prod")
				require.Empty(t, e.ledgers["prod"].crossing)
				require.Zero(t, e.times("Swap prod"), "it has published nothing")
				require.Equal(t, []string{"gate_opened prod", "gate_decided prod", "deployment_refused prod"}, e.kinds())
			})
		}
	}
}

func TestADeploymentThatWasStartedSinceATurnBackGoesOn(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Approval = gate.Approval{Required: true}
	e := smooth(t, x)
	s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.SignalWorkflow(workflows.Steer, conduct.Command{
				Kind: conduct.Cancel, By: "rollback/shop/prod", Reason: "turned back under tenure 3", For: effect.OwnerOf(mine.Workflow(), "00000000-0000-4000-8000-00000000000e"),
			})
		}, time.Hour)
	}, decide(2*time.Hour, yes("approval-prod"), answered(t)))
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Len(t, s.RefusedDecisions, 1)
	require.Contains(t, s.RefusedDecisions[0], "it is meant for an earlier start of it")
}

// What it has published under its own release goes back when the partition is back: two turn-backs are not open at the same time.
func TestWhatAStoppedDeploymentHadPublishedGoesBackAfterThePartition(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ends  time.Duration
		stage workflows.Stage
		asked int
	}{
		"that is soon over":            {30 * time.Second, workflows.StageRolledBack, 0},
		"that is held up for too long": {3 * time.Hour, workflows.StageRolledBack, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			l := e.ledgers["prod"]
			env := e.environment(t)
			publish := e.publish
			e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
				if in.Step != "publish-slice-1" {
					return publish(ctx, in)
				}
				back := e.stops(t, env, onePartition())
				env.RegisterDelayedCallback(func() {
					require.NoError(t, l.EndTurnBack(t.Context(), back.Tenure.Number, turnback.Done, effect.Key{Owner: "rollback/shop/prod/1", Step: "end"}))
				}, c.ends)
				return publish(ctx, in)
			}
			if c.asked > 0 {
				d := yes("compensate-prod")
				d.Choice = gate.Retry
				decide(4*time.Hour, d, answered(t))(env)
			}
			env.ExecuteWorkflow(workflows.DeploymentName, deployInput("prod"))
			s, err := result(t, env)
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Equal(t, c.asked, s.Asked)
			require.Contains(t, strings.Join(story(s), "\n"), "rollback/shop/prod turns 2026-01-31 back")
			e.unchanged(t, "prod")
		})
	}
}

func TestARunAndABackfillThatATurnBackHasStoppedEndAtOnce(t *testing.T) {
	t.Parallel()
	stopping := conduct.Command{Kind: conduct.Cancel, By: "rollback/shop/prod", Reason: "turned back under tenure 3", For: mine}
	t.Run("a run at its gate", func(t *testing.T) {
		t.Parallel()
		e := smooth(t, crossing("prod"))
		e.rule(strict())
		e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
			return e.built(ctx, in, gate.Inconclusive)
		}
		s, err := e.run(t, func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.Steer, stopping) }, time.Hour)
		})
		require.NoError(t, err)
		require.Equal(t, workflows.StageRefused, s.Stage)
		require.Contains(t, s.Sentence, "stopped by rollback/shop/prod")
		require.Equal(t, gate.Withdrawn, s.Gates[0].Decided)
		require.Zero(t, e.ledgers["prod"].visible())
	})
	t.Run("a backfill that is paused", func(t *testing.T) {
		t.Parallel()
		e := smooth(t, crossing("prod"))
		e.filler = newFiller(100)
		s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
			steer(0, conduct.Command{Kind: conduct.Pause, By: "carol"})(env)
			steer(time.Hour, stopping)(env)
		})
		require.Contains(t, s.Sentence, "stopped by rollback/shop/prod")
		require.Nil(t, s.Paused)
		require.Less(t, s.Backfill.Published, 100)
	})
}
