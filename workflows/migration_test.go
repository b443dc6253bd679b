package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// migrateOn runs a migration to its end and returns its status.
func (e *effects) migrateOn(t *testing.T, in workflows.MigrationInput, prepare ...func(*testsuite.TestWorkflowEnvironment)) workflows.Status {
	t.Helper()
	env := e.environment(t)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: migrationID})
	for _, p := range prepare {
		p(env)
	}
	env.ExecuteWorkflow(workflows.MigrationName, in)
	s, err := result(t, env)
	require.NoError(t, err)
	return s
}

// answers decides whichever gate is open some time after the start.
func answers(t *testing.T, after time.Duration, choice gate.Choice) func(*testsuite.TestWorkflowEnvironment) {
	t.Helper()
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			s := now(t, env)
			g, open := s.Open()
			require.True(t, open, "no gate is open: %s %s", s.Stage, s.Sentence)
			env.UpdateWorkflow(workflows.Decide, fmt.Sprint(after), answered(t), yesTo(g.Name, choice, s.Plan))
		}, after)
	}
}

// looks has the status looked at some time after the start.
func looks(t *testing.T, after time.Duration, look func(workflows.Status)) func(*testsuite.TestWorkflowEnvironment) {
	t.Helper()
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { look(now(t, env)) }, after)
	}
}

// says gives a command by update, which has to be taken.
func says(t *testing.T, after time.Duration, m conduct.Command) func(*testsuite.TestWorkflowEnvironment) {
	t.Helper()
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.UpdateWorkflow(workflows.Steer, fmt.Sprint(m, after), answered(t), m) }, after)
	}
}

// dryRun is the plan of the migration.
func (e *effects) dryRun(t *testing.T) migrate.Summary {
	t.Helper()
	in := migrationInput()
	in.DryRun = true
	s := e.migrateOn(t, in)
	require.NotNil(t, s.Migration, s.Sentence)
	require.NotNil(t, s.Migration.Plan)
	return *s.Migration.Plan
}

// planned are the steps of the migration's plan that come before contract, and those of contract.
func (x *tables) planned(t *testing.T, e *effects) (before, contract []string) {
	t.Helper()
	for _, b := range e.dryRun(t).Steps {
		if b.Phase == migrate.Contract {
			contract = append(contract, b.ID)
		} else {
			before = append(before, b.ID)
		}
	}
	require.NotEmpty(t, before)
	require.NotEmpty(t, contract)
	return before, contract
}

const window = 48 * time.Hour

func TestAMigrationKeepsTheOldShapeUntilItsWindowIsOverAndEverybodyIsReady(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	before, contract := x.planned(t, e)
	s := e.migrateOn(t, migrationInput(),
		looks(t, time.Hour, func(s workflows.Status) {
			require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence)
			require.NotNil(t, s.Migration.Until)
			require.Contains(t, s.Migration.Blocked, "bi has not said that it is ready")
		}),
		looks(t, window+time.Minute, func(s workflows.Status) {
			g, open := s.Open()
			require.True(t, open)
			require.Equal(t, "contract-prod", g.Name)
			require.Contains(t, g.Question, "point of no return")
			require.Equal(t, gate.Inconclusive, g.Verdict.Outcome)
			require.Contains(t, g.Verdict.Reason, "bi has not said that it is ready")
			require.Contains(t, g.Verdict.Evidence, gate.Evidence{
				Name: "statements of readers", Value: "are not seen", Note: "pg_stat_statements is not installed in this database", Outcome: gate.None,
			}, "that nothing was seen is no sign that nobody reads")
		}),
		says(t, window+time.Hour, ready("bi")),
		looks(t, window+time.Hour+time.Second, func(s workflows.Status) {
			g, open := s.Open()
			require.True(t, open)
			require.Equal(t, gate.Pass, g.Verdict.Outcome, "a word is looked at when it comes, and not an hour later: %s", g.Verdict.Reason)
			require.Empty(t, s.Migration.Blocked)
		}),
		answers(t, window+2*time.Hour, gate.Approve),
	)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	log := x.changes()
	require.Equal(t, migrate.Done, log[len(log)-1])
	at := func(text string) int {
		require.Equal(t, slices.Index(log, text), lastIndex(log, text), "%s happens once: %v", text, log)
		require.Contains(t, log, text)
		return slices.Index(log, text)
	}
	last := -1
	for _, id := range append(before, contract...) {
		require.Greater(t, at("do "+id), last, "%v", log)
		last = at("do " + id)
	}
	require.Less(t, at("phase deprecate"), at("phase contract"))
	require.Less(t, at("phase contract"), at("do "+contract[0]))
	require.Less(t, at("fill"), at("phase deprecate"))
	for _, p := range s.Migration.Phases {
		require.Equal(t, workflows.PhaseDone, p.State, p.Phase)
	}
	require.Len(t, e.shelf.statements, 1)
	require.Equal(t, release.Migrated, e.shelf.statements[0].Kind)
	require.Equal(t, "0001_channel", e.shelf.statements[0].Details[release.MigrationDetail])
}

func lastIndex(log []string, text string) int {
	for i, line := range slices.Backward(log) {
		if line == text {
			return i
		}
	}
	return -1
}

// Wherever it is cancelled before contract, all that was done is undone, the last first.
func TestAMigrationIsUndoneWhereverItIsCancelled(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	before, _ := x.planned(t, e)
	stops := []string{"FillTable", "EnterPhase verify", "EnterPhase switch", "EnterPhase deprecate"}
	for _, id := range before {
		stops = append(stops, "Step "+id)
	}
	for _, stop := range stops {
		t.Run(stop, func(t *testing.T) {
			t.Parallel()
			e, x := migrates(t)
			s := e.migrateOn(t, migrationInput(), func(env *testsuite.TestWorkflowEnvironment) {
				stopped := false
				e.on = func(call string) {
					if call == stop && !stopped {
						stopped = true
						env.RegisterDelayedCallback(func() {
							env.UpdateWorkflow(workflows.Steer, "cancel", answered(t), conduct.Command{Kind: conduct.Cancel, By: "bob", Reason: "not today"})
						}, 0)
					}
				}
			})
			require.Equal(t, workflows.StageRolledBack, s.Stage, "%s: %s", s.Sentence, strings.Join(x.changes(), ", "))
			require.Contains(t, s.Sentence, "cancelled by bob: not today")
			require.Empty(t, x.left())
			log := x.changes()
			require.Equal(t, migrate.RolledBack, log[len(log)-1])
		})
	}
}

// What is cancelled before it has begun has changed nothing.
func TestAMigrationThatNobodyApprovesChangesNothing(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	e.rule(gate.Approval{Required: true})
	s := e.migrateOn(t, migrationInput(), answers(t, time.Minute, gate.Reject))
	require.Equal(t, workflows.StageRefused, s.Stage, s.Sentence)
	require.Empty(t, x.changes())
	require.Empty(t, x.standings)
}

// Once it is approved, contract waits while the environment is on hold, or rows of both shapes differ, and a way back is open.
func TestAnApprovedContractWaitsAndLeavesTheWayBackOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stop func(*effects, *tables)
		says string
	}{
		"a hold":           {func(e *effects, _ *tables) { e.ledgers["prod"].hold = "quarter end" }, "contract waits: the environment is on hold: quarter end"},
		"rows that differ": {func(_ *effects, x *tables) { x.unready = []string{"3 rows differ"} }, "contract waits: 3 rows differ"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, x := migrates(t)
			s := e.migrateOn(t, migrationInput(), says(t, time.Hour, ready("bi")),
				looks(t, window+time.Minute, func(workflows.Status) { x.set(func() { c.stop(e, x) }) }),
				answers(t, window+time.Hour, gate.Approve),
				looks(t, window+3*time.Hour, func(s workflows.Status) {
					require.Contains(t, s.Sentence, c.says)
					require.NotContains(t, x.changes(), "phase contract")
				}),
				says(t, window+4*time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob", Reason: "an incident"}),
			)
			require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
			require.Empty(t, x.left())
			require.NotContains(t, x.changes(), "phase contract")
		})
	}
}

// An approval is of the plan: where it is given the steps are done, and without one in the ledger none is.
func TestAMigrationIsDoneByItsApprovedPlan(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	e.rule(gate.Approval{Required: true, FourEyes: true})
	var asked workflows.Status
	s := e.migrateOn(t, migrationInput(), looks(t, time.Second, func(s workflows.Status) { asked = s }), answers(t, time.Minute, gate.Approve),
		says(t, time.Hour, ready("bi")), answers(t, window+time.Hour, gate.Approve))
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	g, open := asked.Open()
	require.True(t, open)
	require.Equal(t, "approval-prod", g.Name)
	require.Equal(t, x.standings[0].Plan, g.Plan)

	// The answers to another owner are none to this one.
	e, x = migrates(t)
	p := e.dryRun(t)
	e.rule(gate.Approval{Required: true})
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	target := activities.Target{Environment: "prod", Release: candidate(), Owner: "default-test-workflow-id/1"}
	begin := e.migrating(target).Begin
	env.RegisterActivity(begin)
	_, err := env.ExecuteActivity(begin, activities.BeginMigrationInput{Target: target, Name: "0001_channel", Plan: p.Digest, By: "ann"})
	require.ErrorContains(t, err, "no approval of its plan is recorded")
	require.Empty(t, x.standings)
}

func TestAMigrationWaitsForLocksAndAsksWhoIsInTheWay(t *testing.T) {
	t.Parallel()
	for choice, goesOn := range map[gate.Choice]bool{gate.Retry: true, gate.Reject: false} {
		e, x := migrates(t)
		_, contract := x.planned(t, e)
		blocked := true
		x.meddle = func(spec migrate.StepSpec) (migrate.StepResult, error) {
			if blocked && spec.Step.Lock == migrate.AccessExclusive {
				return migrate.StepResult{Blocked: []generation.Session{session()}}, nil
			}
			return migrate.StepResult{Done: true}, nil
		}
		went := false
		s := e.migrateOn(t, migrationInput(),
			looks(t, time.Minute, func(s workflows.Status) {
				g, open := s.Open()
				require.True(t, open, "%s: %s", s.Stage, s.Sentence)
				require.Contains(t, g.Question, "42")
				x.set(func() { blocked = false })
			}),
			answers(t, 2*time.Minute, choice),
			looks(t, time.Hour, func(s workflows.Status) { went = s.Stage == workflows.StageWatching }),
			steer(2*time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob"}),
		)
		require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
		require.Equal(t, goesOn, went, choice)
		require.Empty(t, x.left())
		require.NotContains(t, x.changes(), "do "+contract[0])
	}
}

func TestAMigrationWaitsWhileItsEnvironmentIsOnHold(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	l := e.ledgers["prod"]
	l.hold = "quarter end"
	s := e.migrateOn(t, migrationInput(),
		looks(t, time.Hour, func(workflows.Status) {
			require.Empty(t, x.left())
			x.set(func() { l.hold = "" })
		}),
		looks(t, 2*time.Hour, func(s workflows.Status) { require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence) }),
		steer(3*time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob"}),
	)
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
}

func TestRowsThatBreakAProofStopAMigration(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	x.broken = 7
	verify := looks(t, time.Minute, func(s workflows.Status) {
		g, open := s.Open()
		require.True(t, open, "%s: %s", s.Stage, s.Sentence)
		require.Equal(t, gate.Fail, g.Verdict.Outcome)
		require.Contains(t, g.Verdict.Reason, "7 rows")
		require.EqualValues(t, 7, s.Migration.Proved[0].Broken)
	})
	s := e.migrateOn(t, migrationInput(), verify, answers(t, time.Hour, gate.Reject))
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Empty(t, x.left())
	require.NotContains(t, x.changes(), "phase switch")

	e, x = migrates(t)
	x.broken = 7
	s = e.migrateOn(t, migrationInput(), verify,
		looks(t, 30*time.Minute, func(workflows.Status) { x.set(func() { x.broken = 0 }) }), answers(t, time.Hour, gate.Retry),
		looks(t, 2*time.Hour, func(s workflows.Status) { require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence) }),
		steer(3*time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob"}))
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Contains(t, x.changes(), "phase switch")
	require.Equal(t, []string{"phase verify", "fill again", "fill", "phase switch"}, slices.DeleteFunc(x.changes(), func(what string) bool {
		return !strings.HasPrefix(what, "fill") && what != "phase verify" && what != "phase switch"
	})[1:], "what lacks a value gets it before the rows are counted again")
}

// A long backfill goes on where it was, over as many histories as it takes.
func TestAMigrationGoesOnWhereItWasWhenItContinuesAsNew(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	const pieces = 60
	x.piece = func(n int) (migrate.Filled, bool) {
		return migrate.Filled{Rows: int64(10 * n), Total: 10 * pieces, Batch: 10, Done: n == pieces}, true
	}
	s, continued := overAll(t, e, workflows.MigrationName, migrationInput(), func(env *testsuite.TestWorkflowEnvironment) {
		env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: migrationID})
		worked := 0
		env.SetOnActivityCompletedListener(func(info *activity.Info, _ converter.EncodedValue, _ error) {
			if info.ActivityType.Name == "FillTable" {
				worked++
			}
			if worked == 25 {
				env.SetContinueAsNewSuggested(true)
			}
		})
		says(t, time.Second, ready("bi"))(env)
		env.RegisterDelayedCallback(func() {
			if s := now(t, env); len(s.Gates) > 0 && s.Stage == workflows.StageWaiting {
				env.UpdateWorkflow(workflows.Decide, "1", answered(t), yesTo("contract-prod", gate.Approve, s.Plan))
			}
		}, window+time.Hour)
	}, func(in workflows.MigrationInput) {
		require.Positive(t, in.State.Filled.Rows, "it goes on where it was")
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, 2, continued)
	require.Equal(t, pieces, x.calls)
	require.EqualValues(t, 10*pieces, s.Migration.Rows)
	require.Len(t, s.Migration.Acks, 1, "a word is kept over all of them")
}

// A step that cannot work stops it, and what was done before goes back.
func TestAStepThatFailsIsUndoneWithAllThatCameBefore(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	before, _ := x.planned(t, e)
	bad := before[len(before)-1]
	x.meddle = func(spec migrate.StepSpec) (migrate.StepResult, error) {
		if spec.Step.ID == bad && !spec.Undo {
			return migrate.StepResult{}, fault.Newf(fault.Invalid, "do", bad, "write it otherwise", "row 7001 does not fit")
		}
		return migrate.StepResult{Done: true}, nil
	}
	s := e.migrateOn(t, migrationInput())
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Contains(t, s.Sentence, "row 7001 does not fit")
	require.Empty(t, x.left())
}

// What cannot be undone is named, and the same command goes on with it.
func TestWhatCannotBeUndoneIsNamedAndFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	before, _ := x.planned(t, e)
	stuck := true
	x.meddle = func(spec migrate.StepSpec) (migrate.StepResult, error) {
		if spec.Undo && spec.Step.ID == before[1] && stuck {
			return migrate.StepResult{}, fault.Newf(fault.Refused, "undo", before[1], "drop the view", "a view depends on it")
		}
		return migrate.StepResult{Done: true}, nil
	}
	s := e.migrateOn(t, migrationInput(), steer(time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob"}))
	require.Equal(t, workflows.StageStuck, s.Stage, s.Sentence)
	require.Contains(t, s.Sentence, "a view depends on it")
	require.Contains(t, s.Sentence, "drawbridge migrate rollback "+migrationID)
	require.Equal(t, before[:2], x.left())

	// Whichever of its commands comes first: what goes back goes on with that, and nobody is asked whether it may.
	done, standing := x.left(), x.standings[0]
	e.rule(gate.Approval{Required: true})
	for _, start := range []bool{false, true} {
		x.set(func() {
			stuck, x.done, x.standings[0] = false, slices.Clone(done), standing
			x.standings[0].Owner = effect.OwnerOf(migrationID, "00000000-0000-4000-8000-000000000002")
			clear(x.effects) // the new start has effects of its own; here every start has the same first run
		})
		in := migrationInput()
		if !start {
			in.Release, in.Rollback = release.Release{}, true
		}
		s = e.migrateOn(t, in)
		require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
		require.Empty(t, x.left())
	}
}

// From contract on nothing is undone: a cancel is refused, one that Temporal asks for changes nothing, and it goes on.
func TestNothingIsUndoneOnceContractHasBegun(t *testing.T) {
	t.Parallel()
	for _, temporal := range []bool{false, true} {
		e, x := migrates(t)
		_, contract := x.planned(t, e)
		refused := 0
		s := e.migrateOn(t, migrationInput(), says(t, time.Hour, ready("bi")), answers(t, window+time.Hour, gate.Approve), func(env *testsuite.TestWorkflowEnvironment) {
			e.on = func(call string) {
				if call != "Step "+contract[0] {
					return
				}
				env.RegisterDelayedCallback(func() {
					if temporal {
						env.CancelWorkflow()
						return
					}
					env.UpdateWorkflow(workflows.Steer, "cancel", &testsuite.TestUpdateCallback{
						OnAccept: func() {}, OnComplete: func(any, error) {}, OnReject: func(err error) {
							refused++
							require.ErrorContains(t, err, "point of no return")
						},
					}, conduct.Command{Kind: conduct.Cancel, By: "bob"})
				}, 0)
			}
		})
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
		for _, line := range x.changes() {
			require.NotContains(t, line, "undo")
		}
		if !temporal {
			require.Equal(t, 1, refused)
		}
	}
}

// An approval that comes while somebody still needs the old shape waits for them.
func TestAnApprovedContractWaitsForEverybody(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	x.readers = []migrate.Reader{{Column: "chan", Kind: "view", Name: "daily", Owner: "bi"}, {Column: "chan", Kind: "function", Name: "f", Owner: "bi", Guessed: true}}
	_, contract := x.planned(t, e)
	s := e.migrateOn(t, migrationInput(), answers(t, window+time.Hour, gate.Approve),
		looks(t, window+2*time.Hour, func(s workflows.Status) {
			require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence)
			require.Len(t, s.Migration.Blocked, 2, "a guess is in nobody's way: %v", s.Migration.Blocked)
			require.NotContains(t, x.changes(), "do "+contract[0])
			require.Contains(t, s.Sentence, "approved by ")
			require.Contains(t, s.Sentence, "the view daily reads chan")
			require.NotNil(t, s.Migration.Looks)
		}),
		says(t, window+3*time.Hour, ready("bi")),
		looks(t, window+4*time.Hour, func(s workflows.Status) {
			require.Len(t, s.Migration.Blocked, 1, "%v", s.Migration.Blocked)
			require.NotContains(t, x.changes(), "do "+contract[0])
			x.set(func() { x.readers = nil })
		}),
		looks(t, window+4*time.Hour+2*time.Minute, func(s workflows.Status) {
			require.Equal(t, workflows.StageDone, s.Stage, "a reader that has gone is missed within a minute, and nobody has to say so: %s", s.Sentence)
		}),
	)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
}

// A consumer may be ready before people have approved the plan: its word is kept until there is a ledger row to note it in.
func TestAWordThatComesBeforeTheApprovalCounts(t *testing.T) {
	t.Parallel()
	e, _ := migrates(t)
	e.rule(gate.Approval{Required: true})
	asked := false
	s := e.migrateOn(t, migrationInput(), says(t, time.Hour, ready("bi")),
		looks(t, 2*time.Hour, func(s workflows.Status) {
			g, open := s.Open()
			asked = open && strings.HasPrefix(g.Name, "approval-")
			require.Len(t, s.Migration.Acks, 1)
		}),
		answers(t, 3*time.Hour, gate.Approve),
		looks(t, 4*time.Hour, func(s workflows.Status) {
			require.NotContains(t, s.Migration.Blocked, "bi has not said that it is ready")
		}),
		answers(t, 4*time.Hour+window, gate.Approve))
	require.True(t, asked)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
}

// A word that was wrong is taken back, and contract waits again, although people have approved it meanwhile.
func TestAWordIsTakenBackUntilContractHasBegun(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	_, contract := x.planned(t, e)
	back := conduct.Command{Kind: conduct.Withdraw, By: "bob", Reason: "the nightly job reads chan", Items: []string{"bi"}}
	refused := func(words string) *testsuite.TestUpdateCallback {
		return &testsuite.TestUpdateCallback{
			OnAccept: func() { require.Fail(t, "it was taken") }, OnComplete: func(any, error) {}, OnReject: func(err error) { require.ErrorContains(t, err, words) },
		}
	}
	s := e.migrateOn(t, migrationInput(),
		says(t, time.Hour, ready("bi")), says(t, 2*time.Hour, back),
		looks(t, 3*time.Hour, func(s workflows.Status) { require.Empty(t, s.Migration.Acks) }),
		func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() {
				unsaid := back
				unsaid.Reason = ""
				env.UpdateWorkflow(workflows.Steer, "without a reason", refused("the reason is missing"), unsaid)
			}, 3*time.Hour)
		},
		answers(t, window+time.Hour, gate.Approve),
		looks(t, window+2*time.Hour, func(s workflows.Status) {
			require.Contains(t, s.Migration.Blocked, "bi has not said that it is ready")
			require.NotContains(t, x.changes(), "do "+contract[0])
		}),
		says(t, window+3*time.Hour, ready("bi")),
	)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Len(t, s.Migration.Acks, 1)
}

func TestOnlyAConsumerSaysThatItIsReady(t *testing.T) {
	t.Parallel()
	e, _ := migrates(t)
	refused := &testsuite.TestUpdateCallback{
		OnAccept: func() { require.Fail(t, "a word of nobody was taken") }, OnComplete: func(any, error) {}, OnReject: func(err error) { require.ErrorContains(t, err, "bi, ops") },
	}
	s := e.migrateOn(t, migrationInput(), func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.UpdateWorkflow(workflows.Steer, "1", refused, ready("marketing")) }, time.Hour)
	}, answers(t, window+time.Hour, gate.Reject))
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Empty(t, s.Migration.Acks)
}

// The same command again takes over what a start that was ended from outside had begun, by the plan by which it had.
func TestAMigrationThatWasTerminatedGoesOnByTheSameCommand(t *testing.T) {
	t.Parallel()
	for _, rollback := range []bool{false, true} {
		e, x := migrates(t)
		before, contract := x.planned(t, e)
		p := e.dryRun(t)
		x.set(func() {
			x.standings = append(x.standings, migrate.Standing{
				Owner: effect.OwnerOf(migrationID, "00000000-0000-4000-8000-000000000009"), Pipeline: "shop", Name: "0001_channel", Table: "sales", Plan: p.Digest, Phase: migrate.Backfill,
			})
			for _, b := range p.Steps {
				if b.Phase.Before(migrate.Backfill) {
					x.done = append(x.done, b.ID)
				}
			}
		})
		in := migrationInput()
		in.Rollback = rollback
		s := e.migrateOn(t, in, func(env *testsuite.TestWorkflowEnvironment) {
			if !rollback {
				says(t, time.Hour, ready("bi"))(env)
				answers(t, window+time.Hour, gate.Approve)(env)
			}
		})
		if rollback {
			require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
			require.Empty(t, x.left())
			continue
		}
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
		require.Equal(t, append(before, contract...), x.left())
		require.NotContains(t, x.changes(), "do "+before[0], "what was done is not done again")
	}
}

// The window is counted from when the table was switched, whichever start of the migration that was in: a new one keeps what is left of it.
func TestTheDeprecationWindowSurvivesATermination(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ gone, left time.Duration }{
		"most of it is left": {time.Hour, window - time.Hour},
		"it is over":         {3 * window, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, x := migrates(t)
			before, contract := x.planned(t, e)
			p := e.dryRun(t)
			s := e.migrateOn(t, migrationInput(), func(env *testsuite.TestWorkflowEnvironment) {
				x.standings = []migrate.Standing{{
					Owner: effect.OwnerOf(migrationID, "00000000-0000-4000-8000-000000000009"), Pipeline: "shop", Name: "0001_channel", Table: "sales", Plan: p.Digest,
					Phase: migrate.Deprecating, PhaseSince: env.Now().Add(-c.gone), Acks: []migrate.Ack{{Consumer: "bi", By: "bob"}},
				}}
				x.done = slices.Clone(before)
				if c.left > 0 {
					looks(t, c.left-time.Minute, func(s workflows.Status) { require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence) })(env)
				}
				answers(t, c.left+time.Minute, gate.Approve)(env)
			})
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, append(before, contract...), x.left())
		})
	}
}

func TestADryRunOfAMigrationOnlyLooks(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	in := migrationInput()
	in.DryRun, in.Name = true, ""
	s := e.migrateOn(t, in)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, "0001_channel", s.Migration.Plan.Name)
	require.Empty(t, x.standings)
	require.Empty(t, x.changes())
	_, err := e.shelf.Blob(context.Background(), s.Migration.Plan.Digest)
	require.NoError(t, err, "the plan is kept, to be read by its digest")
	require.Empty(t, s.Migration.Lacks)

	e.sites["prod"].Policy.Requires = []string{"staging"}
	s = e.migrateOn(t, in)
	require.Equal(t, workflows.StageDone, s.Stage, "what it would do can be looked at before its turn: %s", s.Sentence)
	require.Contains(t, s.Migration.Lacks, "staging")
}

// One that was terminated while it took the old shape away asks once more, and goes on; it never goes back, whoever wants it to.
func TestAMigrationThatWasTerminatedInContractOnlyGoesForward(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rollback bool
		stage    workflows.Stage
	}{
		"it is approved":     {false, workflows.StageDone},
		"it is to be undone": {true, workflows.StageStuck},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, x := migrates(t)
			before, contract := x.planned(t, e)
			p := e.dryRun(t)
			x.set(func() {
				x.standings = []migrate.Standing{{
					Owner: effect.OwnerOf(migrationID, "00000000-0000-4000-8000-000000000009"), Pipeline: "shop", Name: "0001_channel", Table: "sales", Plan: p.Digest,
					Phase: migrate.Contract, Acks: []migrate.Ack{{Consumer: "bi", By: "bob"}},
				}}
				x.done = slices.Clone(before)
			})
			in := migrationInput()
			in.Rollback = c.rollback
			s := e.migrateOn(t, in, func(env *testsuite.TestWorkflowEnvironment) {
				if !c.rollback {
					looks(t, time.Minute, func(s workflows.Status) {
						g, open := s.Open()
						require.True(t, open, s.Sentence)
						require.Equal(t, []gate.Choice{gate.Approve}, g.Choices, "there is no way back that a rejection could take")
						require.Contains(t, g.Question, "It is past its point of no return")
					})(env)
					answers(t, time.Hour, gate.Approve)(env)
				}
			})
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			for _, line := range x.changes() {
				require.NotContains(t, line, "undo")
				require.NotEqual(t, migrate.RolledBack, line)
			}
			if c.stage == workflows.StageStuck {
				require.Contains(t, s.Sentence, "point of no return")
				require.Contains(t, s.Sentence, "drawbridge migrate start shop@")
				require.Contains(t, s.Sentence, "not rolled back")
				require.NotContains(t, s.Sentence, "left as they are")
				in.DryRun = true
				s = e.migrateOn(t, in)
				require.Equal(t, workflows.StageRefused, s.Stage, "whoever asks first is told before anything is started: %s", s.Sentence)
				require.Contains(t, s.Sentence, "past its point of no return")
				require.Contains(t, s.Hint, "drawbridge migrate start shop@")
				return
			}
			require.Equal(t, append(before, contract...), x.left())
		})
	}
}

// What people have answered about the plan to an earlier start counts for the one that goes on: nobody is asked again, unless it has lapsed.
func TestAnAnswerCountsForTheStartThatTakesAMigrationOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		phase migrate.Phase
		ago   time.Duration // since it was approved that the old shape goes; 0: it was not
		asked []string
	}{
		"that it begins":                            {migrate.Backfill, 0, []string{"contract-prod"}},
		"that it takes the old shape away":          {migrate.Deprecating, time.Hour, nil},
		"that it took the old shape away, long ago": {migrate.Contract, 100 * time.Hour, nil},
		"what has lapsed is asked again":            {migrate.Deprecating, 100 * time.Hour, []string{"contract-prod"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, x := migrates(t)
			before, contract := x.planned(t, e)
			p := e.dryRun(t)
			e.rule(gate.Approval{Required: true, FourEyes: true})
			old := effect.OwnerOf(migrationID, "00000000-0000-4000-8000-000000000009")
			s := e.migrateOn(t, migrationInput(), func(env *testsuite.TestWorkflowEnvironment) {
				said := func(name string, ago time.Duration) gate.Gate {
					return gate.Gate{Name: name, Plan: p.Digest, Requester: "ann", Answers: []gate.Answer{{
						Decision: gate.Decision{Gate: name, Plan: p.Digest, Choice: gate.Approve, By: "bob", Reason: "it is right"}, At: env.Now().Add(-ago),
					}}}
				}
				l := e.ledgers["prod"]
				l.said[old] = []gate.Gate{said("approval-prod", 1000*time.Hour)}
				if c.ago > 0 {
					l.said[old] = append(l.said[old], said("contract-prod", c.ago))
				}
				x.standings = []migrate.Standing{{
					Owner: old, Pipeline: "shop", Name: "0001_channel", Table: "sales", Plan: p.Digest,
					Phase: c.phase, PhaseSince: env.Now().Add(-2 * window), Acks: []migrate.Ack{{Consumer: "bi", By: "bob"}},
				}}
				for _, b := range p.Steps {
					if b.Phase.Before(c.phase) {
						x.done = append(x.done, b.ID)
					}
				}
				if c.asked != nil {
					answers(t, window+time.Hour, gate.Approve)(env)
				}
			})
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, append(before, contract...), x.left())
			var asked []string
			for _, g := range s.Gates {
				asked = append(asked, g.Name)
			}
			require.Equal(t, c.asked, asked)
		})
	}
}

// Nobody is asked about what the environment would refuse afterwards.
func TestNobodyApprovesAMigrationWhoseTurnItIsNotYet(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	e.rule(gate.Approval{Required: true})
	e.sites["prod"].Policy.Requires = []string{"staging"}
	s := e.migrateOn(t, migrationInput())
	require.Equal(t, workflows.StageRefused, s.Stage, s.Sentence)
	require.Contains(t, s.Sentence, "verified and switched in staging")
	require.Contains(t, s.Sentence, "drawbridge migrate start shop@")
	require.Empty(t, s.Gates)
	require.Empty(t, x.changes())
}

// Whoever waits for locks past the point of no return can only try again.
func TestNobodyRejectsWhatCanOnlyGoForward(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	_, contract := x.planned(t, e)
	blocked := true
	x.meddle = func(spec migrate.StepSpec) (migrate.StepResult, error) {
		if blocked && spec.Step.ID == contract[0] {
			return migrate.StepResult{Blocked: []generation.Session{session()}}, nil
		}
		return migrate.StepResult{Done: true}, nil
	}
	s := e.migrateOn(t, migrationInput(), says(t, time.Hour, ready("bi")), answers(t, window+time.Hour, gate.Approve),
		looks(t, window+2*time.Hour, func(s workflows.Status) {
			g, open := s.Open()
			require.True(t, open, s.Sentence)
			require.Equal(t, []gate.Choice{gate.Retry}, g.Choices)
			x.set(func() { blocked = false })
		}),
		answers(t, window+3*time.Hour, gate.Retry))
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
}
