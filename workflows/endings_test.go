package workflows_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
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
	if r, ok := in.(workflows.RecoveryInput); ok { // it acts for one workflow only, which its ID names
		env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.RecoveryID(r.Workflow)})
	}
	env.ExecuteWorkflow(name, in)
	return result(t, env)
}

func (e *effects) run(t *testing.T, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	return e.execute(t, workflows.RunName, workflows.RunInput{
		Pipeline: "shop", Release: previous(), Environment: "prod", Partition: "2026-01-31", By: "ann",
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
	e := smooth(t, crossing("prod"))
	s, err := e.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 1, e.ledgers["prod"].visible())
	require.Equal(t, int64(1), e.ledgers["prod"].now().Number, "a run leaves the active tenure as it is")
}

func TestARunOfWhatIsNotActiveIsRefused(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	s, err := e.execute(t, workflows.RunName, workflows.RunInput{
		Pipeline: "shop", Release: candidate(), Environment: "prod", Partition: "2026-01-31", By: "ann",
	})
	require.NoError(t, err)
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "shop@1.0.0 is active in prod")
	require.Zero(t, e.ledgers["prod"].visible())
}

// virgin empties an environment: nothing was ever published there.
func (e *effects) virgin(environment string) {
	l := newLedger(environment)
	e.ledgers[environment] = l
	e.sites[environment].Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return l, nil }
}

func TestTheFirstRunMakesItsReleaseActive(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.virgin("prod")
	s, err := e.execute(t, workflows.RunName, workflows.RunInput{
		Pipeline: "shop", Release: candidate(), Environment: "prod", Partition: "2026-01-31", By: "ann",
	})
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, candidate(), e.ledgers["prod"].now().Release)
	require.Equal(t, 1, e.ledgers["prod"].visible())
}

// The connection is lost at the commit, and nothing answers until a person has had enough.
func TestARunWhosePublishWasLostAtItsCommitSaysThatItIsLive(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testsuite.TestWorkflowEnvironment){
		"it is cancelled": func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
		},
		"a person gives it up": decide(time.Hour, said("outage-prod", gate.Reject, "bob"), answered(t)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.rule(strict())
			publish := e.publish
			e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
				res, err := publish(ctx, in)
				if err == nil && !in.Look {
					err = errors.New("connection reset")
				}
				return res, err
			}
			s, err := e.run(t, prepare)
			require.NoError(t, err)
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, 1, e.ledgers["prod"].visible())
		})
	}
}

func TestARunThatEndsBadlyChangesNothing(t *testing.T) {
	t.Parallel()
	blocked := generation.PublishResult{WaitingFor: "locks", Blocked: []generation.Session{{PID: 42, User: "bi", Holds: "lock"}}}
	for name, c := range map[string]struct {
		spoil   func(*effects)
		prepare func(*testsuite.TestWorkflowEnvironment)
		class   fault.Class // of its error; empty: it completes and its result says so
		says    string
	}{
		"a failed audit": {
			spoil: func(e *effects) {
				e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
					return e.built(ctx, in, gate.Fail)
				}
			},
			says: "3 checks: fail",
		},
		"an inconclusive audit that a person rejects": {
			spoil: func(e *effects) {
				e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
					return e.built(ctx, in, gate.Inconclusive)
				}
			},
			prepare: decide(time.Hour, said("audit-prod", gate.Reject, "bob"), answered(t)),
			says:    "reject by bob",
		},
		"a parked publish that a person rejects": {
			spoil: func(e *effects) {
				e.publish = func(context.Context, activities.PublishInput) (generation.PublishResult, error) { return blocked, nil }
			},
			prepare: decide(time.Hour, said("publish-prod", gate.Reject, "bob"), answered(t)),
			says:    "reject by bob",
		},
		"a parked publish that nobody decides about": {
			spoil: func(e *effects) {
				e.publish = func(context.Context, activities.PublishInput) (generation.PublishResult, error) { return blocked, nil }
			},
			says: "expired",
		},
		"a warehouse that stays away": {
			spoil: func(e *effects) {
				e.publish = func(context.Context, activities.PublishInput) (generation.PublishResult, error) {
					return generation.PublishResult{}, errors.New("connection refused")
				}
			},
			prepare: decide(time.Hour, said("outage-prod", gate.Reject, "bob"), answered(t)),
			says:    "reject by bob",
		},
		"a turn-back that has begun meanwhile": {
			spoil: func(e *effects) {
				publish := e.publish
				e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
					_, _, err := e.ledgers["prod"].BeginTurnBack(ctx, turnback.Request{Pipeline: "shop", Owner: "deploy/shop/0", By: "bob", ByPerson: true}, effect.Key{Owner: "rollback/shop/prod/1"})
					if err != nil {
						return generation.PublishResult{}, err
					}
					return publish(ctx, in)
				}
			},
			says: "its workflow was stopped",
		},
		"a file that can never be read": {
			spoil: func(e *effects) {
				e.build = func(context.Context, activities.SliceInput) (activities.SliceResult, error) {
					return activities.SliceResult{}, fault.Newf(fault.Invalid, "load", "orders.csv", "mend the file", "line 5 is short")
				}
			},
			class: fault.Invalid, says: "line 5 is short",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.rule(strict())
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
			require.Zero(t, e.ledgers["prod"].visible())
		})
	}
}

func TestAnInconclusiveRunIsPublishedWithAPersonsWord(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.rule(strict())
	e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
		return e.built(ctx, in, gate.Inconclusive)
	}
	s, err := e.run(t,
		decide(1*time.Hour, said("audit-prod", gate.Approve, "ann"), refusedFor(t, "four eyes")),
		decide(2*time.Hour, said("audit-prod", gate.Approve, "bob"), answered(t)),
		decide(3*time.Hour, said("audit-prod", gate.Approve, "carol"), answered(t)),
	)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 1, e.ledgers["prod"].visible(), "a ledger refuses an inconclusive audit that nobody accepted")
}

func TestAParkedPublishIsDecidedByTheRuleOfItsEnvironment(t *testing.T) {
	t.Parallel()
	blocked := generation.PublishResult{WaitingFor: generation.ForLocks, Blocked: []generation.Session{{PID: 42, User: "bi"}}}
	for name, start := range map[string]func(*effects, *testing.T, ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error){
		"publish-prod": (*effects).run, "publish-canary-prod": (*effects).deploy, "turn-back-prod": (*effects).rollback,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := crossing("prod")
			x.Slices = 1
			x.Approval = strict()
			e := smooth(t, x)
			if name == "turn-back-prod" {
				e.deployed("prod", "2026-01-30")
			}
			tries := 0
			e.ledgers["prod"].meddle = func(spec generation.PublishSpec, _ []generation.Swap) (generation.PublishResult, error) {
				if tries++; tries == 1 {
					return blocked, nil
				}
				about := spec.About
				if about == "" {
					about = admission.AboutEffect(spec.Key)
				}
				require.Equal(t, blocked.Blocked, e.ledgers["prod"].word(strict(), spec.Key.Owner, about).Ends(blocked.Blocked))
				return generation.PublishResult{}, nil
			}
			digest, approvals := "", []func(*testsuite.TestWorkflowEnvironment){}
			if name == "publish-canary-prod" {
				digest = planDigest
				carol := yes("approval-prod")
				carol.By = "carol"
				approvals = append(approvals, decide(time.Minute, yes("approval-prod"), answered(t)), decide(2*time.Minute, carol, answered(t)))
			}
			by := func(choice gate.Choice, who string) gate.Decision {
				d := said(name, choice, who)
				d.Plan = digest
				return d
			}
			s, err := start(e, t, append(approvals,
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
			)...)
			require.NoError(t, err)
			require.Equal(t, workflows.StageDone, s.Stage)
			require.Equal(t, 2, tries)
		})
	}
}

// earlier is the deployment of the candidate that scenarios of turning back begin with.
const earlier effect.Owner = "deploy/shop/1"

// deployed makes partitions live, as a deployment of the candidate that has ended did.
func (e *effects) deployed(environment string, keys ...partition.Key) {
	e.ledgers[environment].published(candidate(), release.ByDeployment, earlier, keys...)
}

func rollbackInput() workflows.RollbackInput {
	return workflows.RollbackInput{Pipeline: "shop", Environment: "prod", By: "ann", Reason: "revenue fell"}
}

func (e *effects) rollback(t *testing.T, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	return e.execute(t, workflows.RollbackName, rollbackInput(), prepare...)
}

func TestARollbackTakesBackDataAndActiveRelease(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.deployed("prod", "2026-01-30", "2026-01-31")
	s, err := e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, previous().Digest, s.Release.Digest, "it is about what is active again")
	e.unchanged(t, "prod")
	require.Equal(t, release.ByTurnBack, e.ledgers["prod"].now().Kind)
}

func TestADryRunOfARollbackChangesNothing(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.deployed("prod", "2026-01-30", "2026-01-31")
	in := rollbackInput()
	in.DryRun = true
	s, err := e.execute(t, workflows.RollbackName, in)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "back by swap: 2 partitions")
	require.Equal(t, 2, e.ledgers["prod"].visible())
	require.Equal(t, candidate(), e.ledgers["prod"].now().Release)
}

func TestARollbackToNothingIsRefusedAndCompletes(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	s, err := e.rollback(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "nothing was active before 1.0.0")
}

func (e *effects) recovery(t *testing.T, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	return e.execute(t, workflows.RecoveryName, workflows.RecoveryInput{
		Pipeline: "shop", Workflow: earlier.Workflow(), Environments: []string{"dev", "prod"}, By: "bob",
	}, prepare...)
}

// terminated makes partitions live, as a deployment that was terminated before its last publish left them.
func (e *effects) terminated(environment string, keys ...partition.Key) {
	l := e.ledgers[environment]
	active := l.active
	e.deployed(environment, keys...)
	l.tenures[len(l.tenures)-1].Activated = false
	l.active, l.crossing = active, string(earlier)
}

func TestARecoveryTurnsBackWhatTheDeploymentPublishedNewestEnvironmentFirst(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.terminated("dev", "2026-01-30", "2026-01-31")
	e.terminated("prod", "2026-01-31")
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
	for _, env := range []string{"dev", "prod"} {
		e.unchanged(t, env)
		require.Contains(t, e.ledgers[env].fences, string(earlier), "it publishes nothing any more")
	}
	require.Less(t, slices.Index(e.seen(), "End prod"), slices.Index(e.seen(), "Swap dev"))
}

func TestARecoveryFinishesTheTurnBackThatIsOpen(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.deployed("prod", "2026-01-30", "2026-01-31")
	_, ok, err := e.ledgers["prod"].BeginTurnBack(t.Context(), turnback.Request{Pipeline: "shop", By: "ann", ByPerson: true}, effect.Key{Owner: "rollback/shop/prod/1"})
	require.NoError(t, err)
	require.True(t, ok)
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
	e.unchanged(t, "prod")
}

func TestARecoveryOfNothingSaysSo(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "nothing of it is open")
}

// Of a deployment that was terminated while it watched the release stays, and whoever recovers it is told so.
func TestARecoveryOfAWatchSaysThatNobodyWatches(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.deployed("prod", "2026-01-31")
	e.ledgers["prod"].watching = string(earlier)
	before := e.ledgers["prod"].now()
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "nobody watches")
	require.Contains(t, s.Sentence, "drawbridge rollback shop --env prod")
	require.Equal(t, before, e.ledgers["prod"].now(), "the release stays")
	require.Empty(t, e.ledgers["prod"].watching)
	require.Contains(t, e.ledgers["prod"].fences, string(earlier))
}

func TestNoCancelEndsARecoveryAndWhatIsLeftIsNamed(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.rule(strict())
	e.terminated("prod", "2026-01-31")
	e.terminated("dev")
	e.swap = func(context.Context, activities.PassInput) (activities.Pass, error) {
		return activities.Pass{}, fault.Newf(fault.Conflict, "swap back", "fct_orders", "look", "its child is gone")
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
	require.Contains(t, e.ledgers["dev"].fences, string(earlier), "the other environment is recovered")
}

func TestARecoveryGoesOnWhereAnEnvironmentCannotBeRead(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.terminated("dev", "2026-01-30")
	e.terminated("prod", "2026-01-31")
	e.ledgers["prod"].away = fault.Newf(fault.Refused, "reach", "the warehouse of prod", "is it up?", "it does not answer")
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Contains(t, s.Sentence, "left as they are: prod: what is left could not be read")
	require.Contains(t, s.Sentence, "it does not answer")
	e.unchanged(t, "dev")
	require.Contains(t, e.ledgers["dev"].fences, string(earlier))
}

func TestAnEnvironmentThatNeverHeardOfThePipelineHasNothingToRecover(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.terminated("dev", "2026-01-30")
	e.ledgers["prod"] = newLedger("prod")
	e.sites["prod"].Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return e.ledgers["prod"], nil }
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
	require.Contains(t, s.Sentence, "dev")
	require.NotContains(t, s.Sentence, "prod")
	e.unchanged(t, "dev")
}

func TestARecoveryEndsTheCrossingOfWhatPublishedNothing(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.ledgers["prod"].crossing = string(earlier)
	s, err := e.recovery(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "stopped in prod")
	require.Empty(t, e.ledgers["prod"].crossing)
	require.Contains(t, e.ledgers["prod"].fences, string(earlier))
}

func TestARecoveryAsksByTheRuleOfAnEnvironmentThatItHasNotChangedYet(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.rule(strict())
	e.terminated("prod", "2026-01-31")
	e.refuse = fault.Newf(fault.Conflict, "turn back", "shop", "look", "another turn-back is open here")
	s, err := e.recovery(t,
		decide(time.Hour, said("compensate-prod", gate.Keep, "ann"), answered(t)),
		decide(2*time.Hour, said("compensate-prod", gate.Keep, "carol"), answered(t)),
	)
	require.NoError(t, err)
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Contains(t, s.Sentence, "prod")
	require.Contains(t, s.Sentence, "another turn-back is open here")
}
