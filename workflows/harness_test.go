package workflows_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// effects are the activities of a scenario: each says what it was asked, and answers as its field says. The defaults are
// those of a deployment at which nothing goes wrong.
type effects struct {
	mu    sync.Mutex
	calls []string
	on    func(call string) // told of every call as it begins

	plan      activities.ComputeResult
	validate  activities.ValidateResult
	recheck   func(activities.RecheckInput) error
	build     func(activities.SliceInput) (activities.SliceResult, error)
	compare   func(activities.CompareInput) (activities.CompareResult, error)
	baseline  func(activities.BaselineInput) (activities.BaselineResult, error)
	expand    func(activities.ExpandInput) (activities.ExpandResult, error)
	publish   func(activities.PublishInput) (activities.PublishResult, error)
	survey    func(activities.SurveyInput) (activities.Survey, error)
	look      func(activities.LookInput) (activities.Look, error)
	rule      gate.Approval // of runs, rollbacks and recoveries; a deployment's is in its plan
	housekeep error
	attest    func(activities.AttestInput)
	ledger    *ledger
}

// candidate is the release that scenarios deploy; previous is what was active before.
func candidate() release.Release {
	return release.Release{Pipeline: "shop", Version: "1.1.0", Digest: "sha256:11"}
}

func previous() release.Release {
	return release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:10"}
}

const planDigest = "sha256:0123456789abcdef0123456789abcdef"

// crossing is an environment of a scenario's plan: three publishing steps in one lane, no approval, no watch.
func crossing(name string) plan.EnvironmentSummary {
	before := previous()
	return plan.EnvironmentSummary{
		Name: name, Schema: "shop_" + name, Active: &before, Slices: 3, Partitions: 3, Lanes: 1,
		Smoke: []partition.Key{"2026-01-31"}, Canary: []partition.Key{"2026-01-31"}, SmokeMax: time.Minute,
		Watch: plan.Watch{OnBreach: "rollback"}, RollbackTo: &before,
	}
}

// steps are those that the planner gives an environment.
func steps(env plan.EnvironmentSummary) []plan.Step {
	var out []plan.Step
	for _, s := range []struct {
		id    string
		there bool
	}{
		{plan.StepPreflight, true},
		{plan.StepSmoke, true},
		{plan.StepCanary, true},
		{plan.StepApproval, env.Approval.Required},
		{plan.StepExpand, true},
		{plan.StepPublishCanary, true},
		{plan.StepPublishRest, env.Slices > 1},
		{plan.StepActivate, true},
		{plan.StepWatch, env.Watch.For > 0},
		{plan.StepAttest, true},
	} {
		if s.there {
			out = append(out, plan.Step{ID: s.id, Title: s.id})
		}
	}
	return out
}

// smooth answers every activity well, for the given environments.
func smooth(environments ...plan.EnvironmentSummary) *effects {
	var names []string
	for i, env := range environments {
		environments[i].Steps = steps(env)
		names = append(names, env.Name)
	}
	e := &effects{
		plan: activities.ComputeResult{Summary: plan.Summary{
			Digest: planDigest, Release: candidate(), Environments: environments,
		}},
		validate: activities.ValidateResult{Lines: []activities.Validation{{Subject: "fct_orders", OK: true}}},
		ledger:   newLedger(names...),
		attest:   func(activities.AttestInput) {},
	}
	e.recheck = func(activities.RecheckInput) error { return nil }
	e.build = func(in activities.SliceInput) (activities.SliceResult, error) {
		return activities.SliceResult{Pieces: []activities.Piece{piece(in.Step, gate.Pass)}, Seconds: 1}, nil
	}
	e.compare = func(activities.CompareInput) (activities.CompareResult, error) {
		return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "within budget"}}, nil
	}
	e.baseline = func(activities.BaselineInput) (activities.BaselineResult, error) {
		return activities.BaselineResult{}, nil
	}
	e.expand = func(activities.ExpandInput) (activities.ExpandResult, error) {
		return activities.ExpandResult{Done: true}, nil
	}
	e.publish = func(in activities.PublishInput) (activities.PublishResult, error) {
		if err := e.ledger.publish(in); err != nil {
			return activities.PublishResult{}, err
		}
		return activities.PublishResult{Done: true, Swapped: len(in.Swaps)}, nil
	}
	e.survey = func(in activities.SurveyInput) (activities.Survey, error) { return e.ledger.survey(in), nil }
	e.look = func(activities.LookInput) (activities.Look, error) {
		return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "1 check passed"}}, nil
	}
	return e
}

// piece is a generation that a build made, with an audit's outcome.
func piece(step string, audit gate.Outcome) activities.Piece {
	return activities.Piece{
		Swap: generation.Swap{Output: "fct_orders", Partition: partition.Key("2026-01-" + step), From: 1, To: 2},
		Rows: 10, Audit: audit, Checks: 3, Why: "3 checks: " + string(audit),
	}
}

func (e *effects) called(name string) {
	e.mu.Lock()
	e.calls = append(e.calls, name)
	e.mu.Unlock()
	if e.on != nil {
		e.on(name)
	}
}

// seen are the calls so far, in order.
func (e *effects) seen() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.calls...)
}

// environment is a test environment in which the effects answer.
func (e *effects) environment(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(20 * time.Second)
	workflows.RegisterWorkflows(env)
	control, build := e.bound()
	require.NoError(t, workflows.RegisterActivities(env, conduct.ControlQueue, control))
	require.NoError(t, workflows.RegisterActivities(env, conduct.BuildQueue, build))
	return env
}

// bound are the effects as activities, on their queues.
func (e *effects) bound() (control, build []conduct.Bound) {
	control = []conduct.Bound{
		workflows.BuildRelease.Bind(func(context.Context, activities.BuildReleaseInput) (release.Release, error) {
			e.called("BuildRelease")
			return candidate(), nil
		}),
		workflows.Observe.Bind(func(_ context.Context, in activities.Target) (activities.ObserveResult, error) {
			e.called("Observe " + in.Environment)
			return activities.ObserveResult{Observed: "sha256:" + in.Environment}, nil
		}),
		workflows.Compute.Bind(func(context.Context, activities.ComputeInput) (activities.ComputeResult, error) { return e.plan, nil }),
		workflows.ReadPlan.Bind(func(context.Context, activities.ReadPlanInput) (activities.ComputeResult, error) {
			e.called("ReadPlan")
			return e.plan, nil
		}),
		conduct.Effect(workflows.Recheck, func(_ context.Context, in activities.RecheckInput) error {
			e.called("Recheck " + in.Target.Environment)
			return activities.ApplicationError(e.recheck(in))
		}),
		workflows.MeasureBefore.Bind(func(context.Context, activities.Target) (activities.WatchBaseline, error) {
			return activities.WatchBaseline{Values: map[string]float64{"revenue": 100}}, nil
		}),
		conduct.Effect(workflows.AttachShadow, func(_ context.Context, in activities.ShadowInput) error {
			e.called("AttachShadow " + in.Target.Environment)
			return nil
		}),
		conduct.Effect(workflows.DropShadow, func(_ context.Context, in activities.ShadowInput) error {
			e.called("DropShadow " + in.Target.Environment)
			return nil
		}),
		conduct.Effect(workflows.RecordApproval, func(_ context.Context, in activities.RecordInput) error {
			e.called("RecordApproval " + in.Gate.Why)
			return nil
		}),
		workflows.Expand.Bind(func(_ context.Context, in activities.ExpandInput) (activities.ExpandResult, error) {
			e.called("Expand " + in.Target.Environment)
			res, err := e.expand(in)
			return res, activities.ApplicationError(err)
		}),
		workflows.Publish.Bind(func(_ context.Context, in activities.PublishInput) (activities.PublishResult, error) {
			e.called("Publish " + in.Target.Environment + " " + in.Step)
			res, err := e.publish(in)
			return res, activities.ApplicationError(err)
		}),
		conduct.Effect(workflows.Activate, func(_ context.Context, in activities.ActivateInput) error {
			e.called("Activate " + in.Target.Environment + " " + in.Target.Release.Version)
			e.ledger.activate(in)
			return nil
		}),
		workflows.Active.Bind(func(_ context.Context, in activities.ActiveInput) (activities.ActiveResult, error) {
			return activities.ActiveResult{Release: e.ledger.activeIn(in.Target.Environment), Rule: e.rule}, nil
		}),
		conduct.Effect(workflows.Housekeep, func(context.Context, activities.Target) error { return activities.ApplicationError(e.housekeep) }),
		conduct.Effect(workflows.Attest, func(_ context.Context, in activities.AttestInput) error {
			e.called("Attest " + in.Target.Environment)
			e.attest(in)
			return nil
		}),
		conduct.Effect(workflows.Fence, func(_ context.Context, in activities.Target) error {
			e.called("Fence " + in.Environment)
			return nil
		}),
		workflows.Survey.Bind(func(_ context.Context, in activities.SurveyInput) (activities.Survey, error) {
			e.called("Survey " + in.Target.Environment)
			res, err := e.survey(in)
			res.Rule = e.rule
			return res, activities.ApplicationError(err)
		}),
		workflows.Swaps.Bind(func(_ context.Context, in activities.BatchInput) (activities.SwapBatch, error) {
			return e.ledger.back(in), nil
		}),
		workflows.Rebuilds.Bind(func(context.Context, activities.BatchInput) (activities.RebuildBatch, error) {
			return activities.RebuildBatch{Items: []generation.Item{{Output: "fct_orders", Partition: "2026-01-30"}}}, nil
		}),
		workflows.Look.Bind(func(_ context.Context, in activities.LookInput) (activities.Look, error) {
			e.called("Look " + in.Target.Environment)
			return e.look(in)
		}),
		workflows.Inspect.Bind(func(context.Context, activities.InspectInput) (activities.InspectResult, error) {
			return activities.InspectResult{}, nil
		}),
	}
	build = []conduct.Bound{
		workflows.ValidateRelease.Bind(func(context.Context, activities.Target) (activities.ValidateResult, error) { return e.validate, nil }),
		workflows.ValidateSource.Bind(func(context.Context, activities.ValidateSourceInput) (activities.ValidateResult, error) {
			return e.validate, nil
		}),
		workflows.BuildSlice.Bind(func(_ context.Context, in activities.SliceInput) (activities.SliceResult, error) {
			e.called("BuildSlice " + in.Target.Environment + " " + in.Step)
			res, err := e.build(in)
			return res, activities.ApplicationError(err)
		}),
		workflows.ChooseBaseline.Bind(func(_ context.Context, in activities.BaselineInput) (activities.BaselineResult, error) {
			return e.baseline(in)
		}),
		workflows.CompareCanary.Bind(func(_ context.Context, in activities.CompareInput) (activities.CompareResult, error) {
			e.called("CompareCanary " + in.Target.Environment)
			return e.compare(in)
		}),
	}
	return control, build
}

// deploy runs a deployment to its end and returns its status.
func (e *effects) deploy(t *testing.T, prepare ...func(*testsuite.TestWorkflowEnvironment)) (workflows.Status, error) {
	t.Helper()
	env := e.environment(t)
	for _, p := range prepare {
		p(env)
	}
	in := workflows.DeploymentInput{Pipeline: "shop", Release: candidate(), By: "ann"}
	for _, x := range e.plan.Summary.Environments {
		in.Environments = append(in.Environments, x.Name)
	}
	env.ExecuteWorkflow(workflows.DeploymentName, in)
	return result(t, env)
}

// result reads the status of a workflow that ended; where it ended with an error, the status is what its query answers.
func result(t *testing.T, env *testsuite.TestWorkflowEnvironment) (workflows.Status, error) {
	t.Helper()
	require.True(t, env.IsWorkflowCompleted())
	var s workflows.Status
	if err := env.GetWorkflowError(); err != nil {
		if cancelled, ok := errors.AsType[*temporal.CanceledError](err); ok {
			require.NoError(t, cancelled.Details(&s), "a cancelled workflow carries its status")
			return s, err
		}
		return now(t, env), err
	}
	require.NoError(t, env.GetWorkflowResult(&s))
	return s, nil
}

// now is what the workflow's query answers.
func now(t *testing.T, env *testsuite.TestWorkflowEnvironment) workflows.Status {
	t.Helper()
	var s workflows.Status
	answer, err := env.QueryWorkflow(workflows.StatusQuery)
	require.NoError(t, err)
	require.NoError(t, answer.Get(&s))
	return s
}

// decide sends a decision by update, some time after the start.
func decide(after time.Duration, d gate.Decision, reply *testsuite.TestUpdateCallback) func(*testsuite.TestWorkflowEnvironment) {
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.UpdateWorkflow(workflows.Decide, d.Gate+d.By+after.String(), reply, d) }, after)
	}
}

// answered expects an update to be accepted.
func answered(t *testing.T) *testsuite.TestUpdateCallback {
	t.Helper()
	return &testsuite.TestUpdateCallback{
		OnAccept:   func() {},
		OnReject:   func(err error) { require.NoError(t, err) },
		OnComplete: func(_ any, err error) { require.NoError(t, err) },
	}
}

// yes is an approval by somebody else than the requester.
func yes(name string) gate.Decision {
	return gate.Decision{Gate: name, Plan: planDigest, Choice: gate.Approve, By: "bob", Reason: "the numbers are right"}
}
