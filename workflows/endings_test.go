package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// strict is prod's rule: two of three, and not the one who asks.
func strict() gate.Approval {
	return gate.Approval{Required: true, Approvers: []string{"ann", "bob", "carol"}, Quorum: 2, FourEyes: true}
}

// execute starts a workflow and returns how it ended.
func (e *effects) execute(t *testing.T, name string, in any, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	env := e.environment(t)
	for _, p := range prepare {
		p(env)
	}
	env.ExecuteWorkflow(name, in)
	return result(t, env)
}

func (e *effects) run(t *testing.T, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	return e.execute(t, workflows.RunName, workflows.RunInput{
		Pipeline: "shop", Release: candidate(), Environment: "prod", Partition: "2026-01-31", By: "ann",
	}, prepare...)
}

// said is a decision without a plan, as a run's gates take it.
func said(name string, choice gate.Choice, by string) gate.Decision {
	return gate.Decision{Gate: name, Choice: choice, By: by, Reason: "because"}
}

// refusedFor expects an update to be refused with a text.
func refusedFor(t *testing.T, text string) *testsuite.TestUpdateCallback {
	t.Helper()
	return &testsuite.TestUpdateCallback{
		OnAccept:   func() { require.Fail(t, "it was accepted") },
		OnReject:   func(err error) { require.ErrorContains(t, err, text) },
		OnComplete: func(any, error) {},
	}
}

func TestARunPublishesWhatPassedItsAudit(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("prod"))
	s, err := e.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 1, e.ledger.visible("prod"))
	require.Equal(t, previous(), *e.ledger.activeIn("prod"), "a run leaves the active release as it is")
}

func TestTheFirstRunMakesItsReleaseActiveEvenIfItIsCancelledThen(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("prod"))
	e.ledger.active["prod"] = nil
	env := e.environment(t)
	e.on = func(call string) {
		if call == "Activate prod 1.1.0" {
			env.CancelWorkflow()
		}
	}
	env.ExecuteWorkflow(workflows.RunName, workflows.RunInput{
		Pipeline: "shop", Release: candidate(), Environment: "prod", Partition: "2026-01-31", By: "ann",
	})
	s, err := result(t, env)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage, "its rows are visible: it does not say that it was refused")
	require.Equal(t, candidate(), *e.ledger.activeIn("prod"))
}

func TestARunThatEndsBadlyChangesNothing(t *testing.T) {
	t.Parallel()
	blocked := activities.PublishResult{WaitingFor: "locks", Blocked: []generation.Session{{PID: 42, User: "bi", Holds: "lock"}}}
	for name, c := range map[string]struct {
		spoil   func(*effects)
		prepare func(*testsuite.TestWorkflowEnvironment)
		class   fault.Class // of its error; empty: it completes and its result says so
		says    string
	}{
		"a failed audit": {
			spoil: func(e *effects) {
				e.build = func(in activities.SliceInput) (activities.SliceResult, error) {
					return activities.SliceResult{Pieces: []activities.Piece{piece(in.Step, gate.Fail)}}, nil
				}
			},
			says: "3 checks: fail",
		},
		"an inconclusive audit that a person rejects": {
			spoil: func(e *effects) {
				e.build = func(in activities.SliceInput) (activities.SliceResult, error) {
					return activities.SliceResult{Pieces: []activities.Piece{piece(in.Step, gate.Inconclusive)}}, nil
				}
			},
			prepare: decide(time.Hour, said("audit-prod", gate.Reject, "bob"), answered(t)),
			says:    "reject by bob",
		},
		"a parked publish that a person rejects": {
			spoil: func(e *effects) {
				e.publish = func(activities.PublishInput) (activities.PublishResult, error) { return blocked, nil }
			},
			prepare: decide(time.Hour, said("publish-prod", gate.Reject, "bob"), answered(t)),
			says:    "reject by bob",
		},
		"a parked publish that nobody decides about": {
			spoil: func(e *effects) {
				e.publish = func(activities.PublishInput) (activities.PublishResult, error) { return blocked, nil }
			},
			says: "expired",
		},
		"a warehouse that stays away": {
			spoil: func(e *effects) {
				e.publish = func(activities.PublishInput) (activities.PublishResult, error) {
					return activities.PublishResult{}, errors.New("connection refused")
				}
			},
			prepare: decide(time.Hour, said("outage-prod", gate.Reject, "bob"), answered(t)),
			says:    "reject by bob",
		},
		"a moved live generation": {
			spoil: func(e *effects) { e.ledger.live["prod/fct_orders/2026-01-run"] = 7 },
			says:  "another generation is live now",
		},
		"a file that can never be read": {
			spoil: func(e *effects) {
				e.build = func(activities.SliceInput) (activities.SliceResult, error) {
					return activities.SliceResult{}, fault.Newf(fault.Invalid, "load", "orders.csv", "mend the file", "line 5 is short")
				}
			},
			class: fault.Invalid, says: "line 5 is short",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(crossing("prod"))
			e.rule = strict()
			c.spoil(e)
			prepare := c.prepare
			if prepare == nil {
				prepare = func(*testsuite.TestWorkflowEnvironment) {}
			}
			s, err := e.run(t, prepare)
			if c.class == "" {
				require.NoError(t, err, "a refusal is a completed workflow")
			} else {
				var app *temporal.ApplicationError
				require.ErrorAs(t, err, &app)
				require.Equal(t, string(c.class), app.Type())
			}
			require.Equal(t, workflows.StageRefused, s.Stage)
			require.Contains(t, s.Sentence, c.says)
			require.Zero(t, e.ledger.visible("prod"))
		})
	}
}

func TestAnInconclusiveRunIsPublishedWithAPersonsWord(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("prod"))
	e.rule = strict()
	e.build = func(in activities.SliceInput) (activities.SliceResult, error) {
		return activities.SliceResult{Pieces: []activities.Piece{piece(in.Step, gate.Inconclusive)}}, nil
	}
	accepted := false
	publish := e.publish
	e.publish = func(in activities.PublishInput) (activities.PublishResult, error) {
		accepted = in.Accepted
		return publish(in)
	}
	s, err := e.run(t,
		decide(1*time.Hour, said("audit-prod", gate.Approve, "ann"), refusedFor(t, "four eyes")),
		decide(2*time.Hour, said("audit-prod", gate.Approve, "bob"), answered(t)),
		decide(3*time.Hour, said("audit-prod", gate.Approve, "carol"), answered(t)),
	)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.True(t, accepted)
}

func TestAParkedPublishIsDecidedByTheRuleOfItsEnvironment(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*effects, *testing.T, ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error){
		"publish-prod": (*effects).run, "publish-canary-prod": (*effects).deploy, "swap-back-0-prod": (*effects).rollback,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := crossing("prod")
			x.Approval = strict()
			x.Slices = 1
			e := smooth(x)
			e.plan.Summary.Environments[0].Steps = steps(crossing("prod")) // no approval of the plan itself
			e.rule = strict()
			if name == "swap-back-0-prod" {
				e.publishes(t, "deploy/shop/1", "prod", "2026-01-30")
			}
			tries := 0
			publish := e.publish
			e.publish = func(in activities.PublishInput) (activities.PublishResult, error) {
				if tries++; tries == 1 {
					return activities.PublishResult{WaitingFor: "locks", Blocked: []generation.Session{{PID: 42, User: "bi"}}}, nil
				}
				return publish(in)
			}
			digest := ""
			if name == "publish-canary-prod" {
				digest = planDigest
			}
			by := func(choice gate.Choice, who string) gate.Decision {
				d := said(name, choice, who)
				d.Plan = digest
				return d
			}
			s, err := start(e, t,
				decide(1*time.Hour, by(gate.Terminate, "mallory"), refusedFor(t, "not an approver")),
				decide(2*time.Hour, by(gate.Terminate, "ann"), refusedFor(t, "four eyes")),
				decide(3*time.Hour, by(gate.Terminate, "bob"), answered(t)),
				func(env *testsuite.TestWorkflowEnvironment) {
					env.RegisterDelayedCallback(func() {
						require.Equal(t, 1, tries, "one voice ends nobody's session")
						require.Equal(t, workflows.StageWaiting, now(t, env).Stage)
					}, 4*time.Hour)
				},
				decide(5*time.Hour, by(gate.Terminate, "carol"), answered(t)),
			)
			require.NoError(t, err)
			require.Equal(t, workflows.StageDone, s.Stage)
			require.Equal(t, 2, tries)
		})
	}
}

// publishes makes partitions live, as a workflow that has ended did.
func (e *effects) publishes(t *testing.T, key, environment string, partitions ...string) {
	t.Helper()
	for _, p := range partitions {
		require.NoError(t, e.ledger.publish(activities.PublishInput{
			Target: activities.Target{Environment: environment, Release: candidate(), Key: key},
			Swaps:  []generation.Swap{{Output: "fct_orders", Partition: partition.Key(p), From: 1, To: 2}},
		}))
	}
	r := candidate()
	e.ledger.active[environment] = &r
}

func (e *effects) rollback(t *testing.T, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	return e.execute(t, workflows.RollbackName, workflows.RollbackInput{
		Pipeline: "shop", Release: candidate(), Environment: "prod", By: "ann", Reason: "revenue fell",
	}, prepare...)
}

func TestARollbackTakesBackDataAndActiveRelease(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("prod"))
	e.publishes(t, "deploy/shop/1", "prod", "2026-01-30", "2026-01-31")
	s, err := e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, previous(), s.Release, "it is about what is active again")
	e.unchanged(t, "prod")
}

func TestADryRunOfARollbackChangesNothing(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("prod"))
	e.publishes(t, "deploy/shop/1", "prod", "2026-01-30", "2026-01-31")
	s, err := e.execute(t, workflows.RollbackName, workflows.RollbackInput{
		Pipeline: "shop", Release: candidate(), Environment: "prod", By: "ann", DryRun: true,
	})
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "2 partitions")
	require.Equal(t, 2, e.ledger.visible("prod"))
	require.Equal(t, candidate(), *e.ledger.activeIn("prod"))
}

func TestARollbackOfNothingIsRefusedAndCompletes(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("prod"))
	e.survey = func(activities.SurveyInput) (activities.Survey, error) { return activities.Survey{}, nil }
	s, err := e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "there is nothing to go back to")
}

func (e *effects) recovery(t *testing.T, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	return e.execute(t, workflows.RecoveryName, workflows.RecoveryInput{
		Deployment: workflows.DeploymentInput{Pipeline: "shop", Release: candidate(), Environments: []string{"dev", "prod"}, By: "ann"},
		Key:        "deploy/shop/1", By: "bob",
	}, prepare...)
}

func TestARecoveryTurnsBackWhatTheDeploymentPublishedNewestEnvironmentFirst(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("dev"), crossing("prod"))
	e.publishes(t, "deploy/shop/1", "dev", "2026-01-30", "2026-01-31")
	e.publishes(t, "deploy/shop/1", "prod", "2026-01-31")
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
	e.unchanged(t, "dev")
	e.unchanged(t, "prod")
	require.Equal(t, "Fence prod", e.seen()[0])
	require.Contains(t, e.seen(), "Fence dev")
}

func TestARecoveryOfNothingSaysSo(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("dev"), crossing("prod"))
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "nothing had been published")
}

func TestNoCancelEndsARecoveryAndWhatIsLeftIsNamed(t *testing.T) {
	t.Parallel()
	e := smooth(crossing("dev"), crossing("prod"))
	e.rule = strict()
	e.publishes(t, "deploy/shop/1", "prod", "2026-01-31")
	e.publish = func(activities.PublishInput) (activities.PublishResult, error) {
		return activities.PublishResult{}, fault.Newf(fault.Conflict, "swap back", "fct_orders", "look", "its child is gone")
	}
	s, err := e.recovery(t,
		func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		},
		decide(2*time.Hour, said("compensate-prod", gate.Keep, "ann"), answered(t)),
		decide(3*time.Hour, said("compensate-prod", gate.Keep, "carol"), answered(t)),
	)
	require.NoError(t, err)
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Contains(t, s.Sentence, "prod")
	require.Contains(t, s.Sentence, "its child is gone")
	require.Contains(t, e.seen(), "Fence dev", "the other environment is recovered")
}
