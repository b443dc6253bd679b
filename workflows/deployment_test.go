package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/breach"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

func TestADeploymentCrossesItsEnvironmentsInOrder(t *testing.T) {
	t.Parallel()
	prod := crossing("prod")
	prod.Watch.For, prod.Watch.Every = 2*time.Hour, time.Hour
	e := smooth(t, crossing("dev"), prod)
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	seen := e.seen()
	require.ElementsMatch(t, []string{"Observe dev", "Observe prod"}, seen[:2], "environments are observed at the same time")
	require.Equal(t, []string{
		"Enter dev", "Recheck dev", "BuildSlice dev canary", "AttachShadow dev", "CompareCanary dev", "Expand dev",
		"Publish dev publish-canary", "Publish dev publish-slice-1", "Publish dev publish-slice-2", "Attest dev", "Leave dev", "DropShadow dev",
		"Enter prod", "Recheck prod", "BuildSlice prod canary", "AttachShadow prod", "CompareCanary prod", "Expand prod",
		"Publish prod publish-canary", "Publish prod publish-slice-1", "Publish prod publish-slice-2", "BeginWatch prod",
		"Look prod", "Look prod", "Look prod", "Attest prod", "Leave prod", "DropShadow prod",
	}, slices.DeleteFunc(seen[2:], func(call string) bool {
		return strings.HasPrefix(call, "BuildSlice") && !strings.HasSuffix(call, " canary") // beside the publishing
	}))
	require.Equal(t, candidate(), e.ledgers["prod"].now().Release)
	require.Len(t, e.shelf.statements, 2)
}

// unchanged holds an environment to what it was before a deployment.
func (e *effects) unchanged(t *testing.T, environment string) {
	t.Helper()
	l := e.ledgers[environment]
	require.Zero(t, l.visible(), "partitions of %s show what was turned back", environment)
	require.Equal(t, previous(), l.now().Release)
	require.Empty(t, l.crossing, "others may change it")
	require.Nil(t, l.open())
}

func TestAGateThatFailsTurnsBack(t *testing.T) {
	t.Parallel()
	prod := crossing("prod")
	prod.Approval = gate.Approval{Required: true}
	watched := crossing("prod")
	watched.Watch = plan.Watch{For: time.Hour, Every: time.Minute, OnBreach: "rollback"}
	audits := func(failing string) func(*effects) {
		return func(e *effects) {
			e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
				outcome := gate.Pass
				if in.Step == failing {
					outcome = gate.Fail
				}
				return e.built(ctx, in, outcome)
			}
		}
	}
	cases := map[string]struct {
		env     plan.EnvironmentSummary
		spoil   func(*effects)
		prepare func(*testsuite.TestWorkflowEnvironment)
		stage   workflows.Stage // the rule: rolled back if and only if a reader could have seen it
		says    string
		never   string
	}{
		"a moved environment is refused before any work": {
			env: crossing("prod"), stage: workflows.StageRefused, says: "moved", never: "BuildSlice prod canary",
			spoil: func(e *effects) {
				e.recheck = func(activities.RecheckInput) error {
					return fault.Newf(fault.Conflict, "apply", "plan", "plan again", "the environment moved")
				}
			},
		},
		"a failed audit is refused before anything is visible": {
			env: crossing("prod"), stage: workflows.StageRefused, says: "3 checks: fail", never: "Publish prod publish-canary",
			spoil: audits("canary"),
		},
		"a smoke run that takes too long is refused": {
			env: crossing("prod"), stage: workflows.StageRefused, says: "more than 1m0s", never: "CompareCanary prod",
			spoil: func(e *effects) {
				e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
					res, err := e.built(ctx, in, gate.Pass)
					res.Seconds = 61
					return res, err
				}
			},
		},
		"a canary beyond its budgets is refused": {
			env: crossing("prod"), stage: workflows.StageRefused, says: "amount changed", never: "Expand prod",
			spoil: func(e *effects) {
				e.compare = func(activities.CompareInput) (activities.CompareResult, error) {
					return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.Fail, Reason: "amount changed in 40 %"}}, nil
				}
			},
		},
		"a rejection is refused": {
			env: prod, stage: workflows.StageRefused, says: "reject by bob", never: "Expand prod",
			prepare: decide(time.Minute, gate.Decision{Gate: "approval-prod", Plan: planDigest, Choice: gate.Reject, By: "bob", Reason: "no"}, answered(t)),
		},
		"an approval that nobody gives expires": {
			env: prod, stage: workflows.StageRefused, says: "expired", never: "Expand prod",
		},
		"a slice that fails takes back what was published": {
			env: crossing("prod"), stage: workflows.StageRolledBack, says: "3 checks: fail", never: "Publish prod publish-slice-2",
			spoil: audits("slice-2"),
		},
		"a breach takes back data and active release": {
			env: watched, stage: workflows.StageRolledBack, says: "revenue fell", never: "Attest prod",
			spoil: func(e *effects) {
				looks := 0
				e.look = func(activities.LookInput) (activities.Look, error) {
					if looks++; looks == 3 {
						return fell("revenue fell by half", breach.Release), nil
					}
					return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass}}, nil
				}
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, c.env)
			if c.spoil != nil {
				c.spoil(e)
			}
			prepare := c.prepare
			if prepare == nil {
				prepare = func(*testsuite.TestWorkflowEnvironment) {}
			}
			s, err := e.deploy(t, prepare)
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Contains(t, s.Sentence, c.says)
			require.NotContains(t, e.seen(), c.never)
			e.unchanged(t, "prod")
		})
	}
}

func TestAnInconclusiveGateAsks(t *testing.T) {
	t.Parallel()
	unsure := func(e *effects) {
		e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
			return e.built(ctx, in, gate.Inconclusive)
		}
	}
	t.Run("and goes on with a person's word", func(t *testing.T) {
		t.Parallel()
		x := crossing("dev")
		x.Slices = 1
		e := smooth(t, x)
		unsure(e)
		s, err := e.deploy(t, decide(time.Minute, yes("smoke-dev"), answered(t)))
		require.NoError(t, err)
		require.Equal(t, workflows.StageDone, s.Stage)
		require.Equal(t, 1, e.ledgers["dev"].visible(), "a ledger refuses an inconclusive audit that nobody accepted")
	})
	t.Run("and turns back without one", func(t *testing.T) {
		t.Parallel()
		e := smooth(t, crossing("dev"))
		unsure(e)
		s, err := e.deploy(t)
		require.NoError(t, err)
		require.Equal(t, workflows.StageRefused, s.Stage)
	})
}

func TestADecisionCountsOnce(t *testing.T) {
	t.Parallel()
	prod := crossing("prod")
	prod.Approval = gate.Approval{Required: true, Quorum: 2}
	e := smooth(t, prod)
	var refusal error
	refused := &testsuite.TestUpdateCallback{OnAccept: func() {}, OnReject: func(err error) { refusal = err }, OnComplete: func(any, error) {}}
	other := yes("approval-prod")
	other.Plan = "sha256:ffffffffffffffff"
	carol := yes("approval-prod")
	carol.By = "carol"
	late := yes("approval-staging")
	s, err := e.deploy(t,
		decide(time.Minute, other, refused),
		decide(2*time.Minute, yes("approval-prod"), answered(t)),
		decide(3*time.Minute, yes("approval-prod"), answered(t)), // bob again: the quorum is two people
		func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.Decide, late) }, 4*time.Minute)
			env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.Decide, carol) }, 5*time.Minute)
		},
	)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	var app *temporal.ApplicationError
	require.ErrorAs(t, refusal, &app)
	require.Equal(t, string(fault.Conflict), app.Type(), "a decision about another plan is refused")
	require.Len(t, s.RefusedDecisions, 1, "a signal for another gate is recorded as refused")
	require.Contains(t, s.RefusedDecisions[0], "approval-staging")
	require.Len(t, s.Gates[0].Answers, 2)
}

func TestAPublishThatIsHeldUpParksAndAsks(t *testing.T) {
	t.Parallel()
	blocked := generation.PublishResult{WaitingFor: "snapshots", Blocked: []generation.Session{{PID: 42, User: "bi", Holds: "snapshot"}}}
	cases := map[string]struct {
		choice gate.Choice
		stage  workflows.Stage
		ends   []generation.Session
	}{
		"retry tries again":                   {gate.Retry, workflows.StageDone, nil},
		"terminate ends the sessions it knew": {gate.Terminate, workflows.StageDone, blocked.Blocked},
		"proceed waits for snapshots no more": {gate.Proceed, workflows.StageDone, nil},
		"reject turns back":                   {gate.Reject, workflows.StageRefused, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := crossing("dev")
			x.Slices = 1
			e := smooth(t, x)
			publish := e.publish
			tries := 0
			e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
				if tries++; tries == 1 {
					return blocked, nil
				}
				l := e.ledgers["dev"]
				word, err := held(l, func() (admission.Word, error) { return l.word(gate.Approval{}, in.Target.Owner, in.About()), nil })
				require.NoError(t, err)
				require.Equal(t, c.ends, word.Ends(blocked.Blocked))
				require.Equal(t, c.choice == gate.Proceed, word.Proceed)
				return publish(ctx, in)
			}
			d := yes("publish-canary-dev")
			d.Choice = c.choice
			s, err := e.deploy(t, decide(time.Minute, d, answered(t)))
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage)
		})
	}
}

func TestWhatCannotRunAsks(t *testing.T) {
	t.Parallel()
	x := crossing("dev")
	x.Slices = 1
	e := smooth(t, x)
	publish := e.publish
	tries := 0
	e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
		if tries++; tries <= 45 {
			return generation.PublishResult{}, errors.New("the connection was reset")
		}
		return publish(ctx, in)
	}
	d := yes("outage-dev")
	d.Choice = gate.Retry
	s, err := e.deploy(t, decide(time.Hour, d, answered(t)))
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 46, tries)
}

func TestACancelTurnsBackWhateverTheStep(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Approval = gate.Approval{Required: true}
	x.Watch = plan.Watch{For: time.Hour, Every: time.Minute, OnBreach: "rollback"}
	for _, at := range []string{
		"Enter prod", "Recheck prod", "BuildSlice prod canary", "CompareCanary prod", "at the gate", "Publish prod publish-canary",
		"BuildSlice prod slice-1", "Publish prod publish-slice-2", "Look prod",
	} {
		for _, way := range []string{"by Temporal", "by command"} {
			t.Run(at+" "+way, func(t *testing.T) {
				t.Parallel()
				e := smooth(t, x)
				env := e.environment(t)
				cancel := env.CancelWorkflow
				if way == "by command" {
					cancel = func() {
						env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Cancel, By: "carol", Reason: "the wrong day"})
					}
				}
				once := sync.Once{}
				visible := 0
				e.on = func(call string) {
					if call == at {
						once.Do(cancel)
					}
					if call == "Begin prod" {
						visible = e.ledgers["prod"].visible() // what readers see when turning back begins
					}
				}
				if at == "at the gate" {
					env.RegisterDelayedCallback(cancel, time.Hour)
				} else {
					decide(2*time.Minute, yes("approval-prod"), &testsuite.TestUpdateCallback{
						OnAccept: func() {}, OnReject: func(error) {}, OnComplete: func(any, error) {},
					})(env)
				}
				env.ExecuteWorkflow(workflows.DeploymentName, workflows.DeploymentInput{
					Pipeline: "shop", Release: candidate(), Environments: []string{"prod"}, By: "ann",
				})
				s, err := result(t, env)
				require.Equal(t, way == "by Temporal", temporal.IsCanceledError(err), "%v", err)
				require.Contains(t, s.Sentence, "cancelled")
				want := workflows.StageRefused
				if visible > 0 {
					want = workflows.StageRolledBack
					require.Contains(t, s.Sentence, "turned back", "a cancel that turned back says so")
				}
				require.Equal(t, want, s.Stage)
				if at == "Look prod" {
					require.Equal(t, 3, visible, "all was published by then")
				}
				e.unchanged(t, "prod")
				require.Greater(t, slices.Index(e.seen(), "Leave prod"), slices.Index(e.seen(), "Begin prod"), "it is in there, or watches, until it is turned back")
				require.Empty(t, e.ledgers["prod"].watching)
				if at != "Enter prod" && at != "Recheck prod" {
					require.NotEmpty(t, e.ledgers["prod"].fences, "nothing of it publishes any more")
					require.Contains(t, e.seen(), "DropShadow prod")
				}
			})
		}
	}
}

func TestACancelAfterTheWatchComesTooLate(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	env := e.environment(t)
	e.on = func(call string) {
		if call == "Attest dev" {
			env.CancelWorkflow()
		}
	}
	env.ExecuteWorkflow(workflows.DeploymentName, workflows.DeploymentInput{
		Pipeline: "shop", Release: candidate(), Environments: []string{"dev"}, By: "ann",
	})
	s, err := result(t, env)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.NotContains(t, e.seen(), "Begin dev", "a statement must not stand for what was turned back")
}

func TestACompensationThatStopsAsksUntilItIsDone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		choice gate.Choice
		stage  workflows.Stage
	}{
		"retry finishes it":                  {gate.Retry, workflows.StageRolledBack},
		"keep leaves it, and status says so": {gate.Keep, workflows.StageStuck},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
				if in.Step == "slice-1" {
					return activities.SliceResult{}, fault.Newf(fault.Invalid, "load", "orders_2026-01-02.csv", "mend the file", "line 5 is short")
				}
				return e.built(ctx, in, gate.Pass)
			}
			swap, passes := e.swap, 0
			e.swap = func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
				if passes++; passes == 1 {
					return activities.Pass{}, fault.Newf(fault.Conflict, "swap back", "fct_orders", "look", "its child is gone")
				}
				return swap(ctx, in)
			}
			d := yes("compensate-prod")
			d.Choice = c.choice
			s, err := e.deploy(t, decide(100*time.Hour, d, answered(t))) // the question does not expire
			require.NoError(t, err, "it completes: its result says how")
			require.Equal(t, c.stage, s.Stage)
			require.Contains(t, s.Sentence, "line 5 is short")
			if c.choice == gate.Keep {
				require.Contains(t, s.Sentence, "its child is gone", "what is left is named")
				require.Equal(t, 1, e.ledgers["prod"].visible())
			} else {
				e.unchanged(t, "prod")
			}
		})
	}
}

func TestTheWatchAsksWhereItMayNotDecide(t *testing.T) {
	t.Parallel()
	unsure := gate.Verdict{Outcome: gate.Inconclusive, Reason: "relation does not exist"}
	cases := map[string]struct {
		gate     string
		onBreach string
		look     activities.Look
	}{
		"late data":                      {"watch-late-prod", "rollback", activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass}, Late: "newest data is 30h old"}},
		"checks that cannot run":         {"watch-unsure-prod", "rollback", activities.Look{Verdict: unsure}},
		"a breach where policy says ask": {"watch-breach-prod", "ask", fell("revenue fell", breach.Release)},
	}
	for name, c := range cases {
		for choice, stage := range map[gate.Choice]workflows.Stage{gate.Keep: workflows.StageDone, gate.Rollback: workflows.StageRolledBack} {
			t.Run(name+": "+string(choice), func(t *testing.T) {
				t.Parallel()
				x := crossing("prod")
				x.Watch = plan.Watch{For: 10 * time.Hour, Every: time.Hour, OnBreach: c.onBreach}
				e := smooth(t, x)
				e.look = func(activities.LookInput) (activities.Look, error) { return c.look, nil }
				d := yes(c.gate)
				d.Choice = choice
				s, err := e.deploy(t, decide(200*time.Hour, d, answered(t))) // it waits, however long
				require.NoError(t, err)
				require.Equal(t, stage, s.Stage)
				require.Equal(t, 1, s.Asked, "what was decided is not asked again")
				if stage == workflows.StageRolledBack {
					e.unchanged(t, "prod")
				}
			})
		}
	}
}

// continued is the input with which a deployment continues as new.
func continued(t *testing.T, env *testsuite.TestWorkflowEnvironment) workflows.DeploymentInput {
	t.Helper()
	require.True(t, env.IsWorkflowCompleted())
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	var again workflows.DeploymentInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &again))
	require.NotNil(t, again.State)
	return again
}

func TestAWatchBreachesDaysLaterAcrossContinueAsNew(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Watch = plan.Watch{For: 72 * time.Hour, Every: time.Hour, OnBreach: "rollback"}
	e := smooth(t, x)
	env := e.environment(t)
	env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true) }, 30*time.Hour)
	in := workflows.DeploymentInput{Pipeline: "shop", Release: candidate(), Environments: []string{"prod"}, By: "ann"}
	env.ExecuteWorkflow(workflows.DeploymentName, in)
	again := continued(t, env)
	published := len(e.seen())
	e.look = func(activities.LookInput) (activities.Look, error) {
		return fell("revenue fell", breach.Release), nil
	}
	env = e.environment(t)
	env.ExecuteWorkflow(workflows.DeploymentName, again)
	s, err := result(t, env)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
	require.NotContains(t, e.seen()[published:], "Publish prod publish-canary", "what was done before is not done again")
	require.Contains(t, e.seen()[published:], "Swap prod")
	e.unchanged(t, "prod")
	require.Equal(t, *again.State.Status.Crossings[0].WatchUntil, *s.Crossings[0].WatchUntil, "the window does not begin again")
}

// Nothing is decided about a ledger that lacks what it has told: a person is asked at once, and may let it go on.
func TestAWatchOverALedgerThatHasGoneBackAsks(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Watch = plan.Watch{For: 4 * time.Hour, Every: time.Hour, OnBreach: "rollback"}
	e := smooth(t, x)
	looks := 0
	look := e.look
	e.look = func(in activities.LookInput) (activities.Look, error) {
		if looks++; looks == 2 {
			return activities.Look{}, activities.ApplicationError(fmt.Errorf("look: %w", admission.LostError{Reason: "it does not know tenure 2 of shop"}))
		}
		return look(in)
	}
	d := yes("outage-prod")
	d.Choice = gate.Retry
	s, err := e.deploy(t, decide(90*time.Minute, d, answered(t)))
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Len(t, s.Gates, 1, "it was asked at the first attempt, once")
	require.Contains(t, s.Gates[0].Question, "the ledger has gone back: it does not know tenure 2 of shop")
	require.Equal(t, []gate.Choice{gate.Retry, gate.Reject}, s.Gates[0].Choices)
}

func TestTheFirstLookIsTheBaselineOfWhatHadNone(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Watch = plan.Watch{For: 2 * time.Hour, Every: time.Hour, OnBreach: "rollback"}
	e := smooth(t, x)
	var compared []map[string]float64
	e.look = func(in activities.LookInput) (activities.Look, error) {
		compared = append(compared, in.Baseline)
		return activities.Look{
			Verdict: gate.Verdict{Outcome: gate.Pass}, Values: map[string]float64{"revenue": 120, "orders": float64(7 + len(compared))},
		}, nil
	}
	_, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, []map[string]float64{
		{"revenue": 100}, {"revenue": 100, "orders": 8}, {"revenue": 100, "orders": 8},
	}, compared, "before the publish where there was a value, else the first look")
}

func TestADeploymentWalksThePlanOnly(t *testing.T) {
	t.Parallel()
	t.Run("a step that the plan leaves out is not done", func(t *testing.T) {
		t.Parallel()
		e := smooth(t, crossing("dev"))
		x := &e.plan.Summary.Environments[0]
		x.Steps = slices.DeleteFunc(x.Steps, func(s plan.Step) bool { return s.ID == plan.StepExpand })
		s, err := e.deploy(t)
		require.NoError(t, err)
		require.Equal(t, workflows.StageDone, s.Stage)
		require.NotContains(t, e.seen(), "Expand dev")
	})
	t.Run("a step that is not known is a fault before any work after it", func(t *testing.T) {
		t.Parallel()
		e := smooth(t, crossing("dev"))
		x := &e.plan.Summary.Environments[0]
		x.Steps = slices.Insert(x.Steps, 1, plan.Step{ID: "notarize", Title: "sign it in blood"})
		_, err := e.deploy(t)
		require.ErrorContains(t, err, "notarize")
		require.NotContains(t, e.seen(), "BuildSlice dev canary")
	})
}

func TestTheRestIsBuiltInLanesAndPublishedInOrder(t *testing.T) {
	t.Parallel()
	x := crossing("dev")
	x.Slices, x.Lanes = 9, 3
	e := smooth(t, x)
	second := make(chan struct{})
	build := e.build
	e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
		switch in.Step {
		case "slice-1":
			<-second // the first is done after the second
		case "slice-2":
			close(second)
		}
		return build(ctx, in)
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 9, s.Crossings[0].SlicesDone)
	var published []string
	for _, call := range e.seen() {
		if strings.HasPrefix(call, "Publish dev") {
			published = append(published, call)
		}
	}
	want := []string{"Publish dev publish-canary"}
	for i := range 8 {
		want = append(want, fmt.Sprintf("Publish dev publish-slice-%d", i+1))
	}
	require.Equal(t, want, published)
	require.Len(t, s.Crossings[0].Verdicts, 3, "slices are one line beside smoke and canary")
}

func TestADeploymentIsPausedAndGoesOn(t *testing.T) {
	t.Parallel()
	x := crossing("dev")
	x.Slices, x.Lanes = 9, 2
	e := smooth(t, x)
	env := e.environment(t)
	var once sync.Once
	e.on = func(call string) {
		if call == "Publish dev publish-slice-2" {
			once.Do(func() {
				env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Pause, By: "bob", Reason: "the month is being closed"})
			})
		}
	}
	held := 0
	env.RegisterDelayedCallback(func() {
		s := now(t, env)
		require.Equal(t, workflows.StagePaused, s.Stage)
		require.Contains(t, s.Sentence, "the month is being closed")
		held = len(e.seen())
	}, time.Hour)
	env.RegisterDelayedCallback(func() {
		require.Len(t, e.seen(), held, "nothing is done while it is paused")
		env.UpdateWorkflow(workflows.Steer, "resume", answered(t), conduct.Command{Kind: conduct.Resume, By: "bob"})
	}, 10*time.Hour)
	env.ExecuteWorkflow(workflows.DeploymentName, workflows.DeploymentInput{
		Pipeline: "shop", Release: candidate(), Environments: []string{"dev"}, By: "ann",
	})
	s, err := result(t, env)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Positive(t, held, "it did not wait")
	require.Less(t, held, len(e.seen()))
	require.Equal(t, 9, e.ledgers["dev"].visible())
}

func TestASliceIsHeldAtTheEdgeOfAPartition(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	env := e.environment(t)
	e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
		if in.Step == "slice-1" && in.From == 0 {
			env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Pause, By: "bob"})
			return activities.SliceResult{Next: 1}, nil // one of two partitions
		}
		return e.built(ctx, in, gate.Pass)
	}
	builds := func() (n int) {
		for _, call := range e.seen() {
			if call == "BuildSlice dev slice-1" {
				n++
			}
		}
		return n
	}
	env.RegisterDelayedCallback(func() {
		require.Equal(t, 1, builds(), "no further partition is begun")
		require.NotNil(t, now(t, env).Paused.Held)
		env.UpdateWorkflow(workflows.Steer, "resume", answered(t), conduct.Command{Kind: conduct.Resume, By: "bob"})
	}, time.Hour)
	env.ExecuteWorkflow(workflows.DeploymentName, workflows.DeploymentInput{
		Pipeline: "shop", Release: candidate(), Environments: []string{"dev"}, By: "ann",
	})
	s, err := result(t, env)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, 2, builds(), "it goes on with the rest of the slice")
}

func TestAPauseWhileItWatchesIsRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	x := crossing("dev")
	x.Watch = plan.Watch{For: 5 * time.Hour, Every: time.Hour, OnBreach: "rollback"}
	e := smooth(t, x)
	refused := false
	s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(workflows.Steer, "pause", &testsuite.TestUpdateCallback{
				OnAccept: func() { require.Fail(t, "accepted") },
				OnReject: func(err error) {
					refused = true
					class, hint := conduct.ClassOf(err)
					require.Equal(t, fault.Conflict, class)
					require.ErrorContains(t, err, "there is no work to hold")
					require.Contains(t, hint, "drawbridge cancel ")
				},
			}, conduct.Command{Kind: conduct.Pause, By: "bob"})
		}, 2*time.Hour)
	})
	require.NoError(t, err)
	require.True(t, refused)
	require.Equal(t, workflows.StageDone, s.Stage)
}

func TestACancelTurnsAPausedDeploymentBack(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	env := e.environment(t)
	e.on = func(call string) {
		if call == "Publish dev publish-canary" {
			env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Pause, By: "bob"})
		}
	}
	env.RegisterDelayedCallback(func() {
		require.NotNil(t, now(t, env).Paused.Held)
		env.CancelWorkflow()
	}, time.Hour)
	env.ExecuteWorkflow(workflows.DeploymentName, workflows.DeploymentInput{
		Pipeline: "shop", Release: candidate(), Environments: []string{"dev"}, By: "ann",
	})
	s, err := result(t, env)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
	require.Nil(t, s.Paused)
	require.NotContains(t, e.seen(), "BuildSlice dev slice-1")
}

func TestAPauseHoldsADeploymentBetweenItsSteps(t *testing.T) {
	t.Parallel()
	for call, next := range map[string]string{
		"Recheck dev":                "BuildSlice dev canary",
		"CompareCanary dev":          "Expand dev",
		"Expand dev":                 "Publish dev publish-canary",
		"Publish dev publish-canary": "Attest dev",
	} {
		t.Run("after "+call, func(t *testing.T) {
			t.Parallel()
			x := crossing("dev")
			x.Slices = 1
			e := smooth(t, x)
			env := e.environment(t)
			e.on = func(now string) {
				if now == call {
					env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Pause, By: "bob"})
				}
			}
			held := false
			env.RegisterDelayedCallback(func() {
				held = true
				require.NotContains(t, e.seen(), next)
				env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.Resume, By: "bob"})
			}, time.Hour)
			env.ExecuteWorkflow(workflows.DeploymentName, workflows.DeploymentInput{
				Pipeline: "shop", Release: candidate(), Environments: []string{"dev"}, By: "ann",
			})
			s, err := result(t, env)
			require.NoError(t, err)
			require.Equal(t, workflows.StageDone, s.Stage)
			require.True(t, held, "it did not wait")
			require.Contains(t, e.seen(), next)
		})
	}
}

func TestABreachThatPersistsStaysOneLine(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Watch = plan.Watch{For: 300 * time.Hour, Every: time.Hour, OnBreach: "ask"}
	e := smooth(t, x)
	e.look = func(activities.LookInput) (activities.Look, error) {
		return fell("revenue fell", breach.Release), nil
	}
	d := yes("watch-breach-prod")
	d.Choice = gate.Keep
	s, err := e.deploy(t, decide(2*time.Hour, d, answered(t)))
	require.NoError(t, err)
	verdicts := s.Crossings[0].Verdicts
	require.Equal(t, "watch", verdicts[len(verdicts)-1].Gate, "it stays visible")
	require.Greater(t, verdicts[len(verdicts)-1].Times, 200)
	require.Less(t, len(verdicts), 5)
	body, err := json.Marshal(s)
	require.NoError(t, err)
	require.Less(t, len(body), 64<<10)
}

// tried makes the candidate a try, which prod knows by its version, or does not let in.
func (e *effects) tried(refused error) {
	e.plan.Summary.Release = candidate().As("")
	e.enter = func(t activities.Target) (release.Release, error) {
		if t.Environment == "prod" {
			return candidate(), refused
		}
		return t.Release, nil
	}
}

func TestATryIsKnownByItsVersionWhereItHasClaimedIt(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.tried(nil)
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, "1.1.0+11", e.ledgers["dev"].now().Release.Version)
	require.Equal(t, "1.1.0", e.ledgers["prod"].now().Release.Version)
	require.Equal(t, candidate(), s.Release)
	require.Equal(t, "shop@1.1.0 is live in prod", s.Sentence)
}

func TestAVersionThatIsLostToAnotherReleaseIsRefusedBeforeAnyWork(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"), crossing("prod"))
	e.tried(fault.Newf(fault.Refused, "claim version", "shop 1.1.0", "raise the version", "it is another release's"))
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "another release's")
	require.NotContains(t, e.seen(), "BuildSlice prod canary")
	e.unchanged(t, "prod")
	require.Equal(t, "1.1.0+11", e.ledgers["dev"].now().Release.Version, "where it was tried it stays")
}
