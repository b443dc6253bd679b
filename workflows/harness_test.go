package workflows_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows"
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
	active    *release.Release
	housekeep error
}

// candidate is the release that scenarios deploy; previous is what was active before.
func candidate() release.Release {
	return release.Release{Pipeline: "shop", Version: "1.1.0", Digest: "sha256:11"}
}

func previous() release.Release {
	return release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:10"}
}

const planDigest = "sha256:0123456789abcdef0123456789abcdef"

// crossing is an environment of a scenario's plan: three publishing steps, no approval, no watch.
func crossing(name string) plan.EnvironmentSummary {
	before := previous()
	return plan.EnvironmentSummary{
		Name: name, Schema: "shop_" + name, Active: &before, Slices: 3, Partitions: 3,
		Smoke: []partition.Key{"2026-01-31"}, Canary: []partition.Key{"2026-01-31"}, SmokeMax: time.Minute,
		Watch: plan.Watch{OnBreach: "rollback"}, RollbackTo: &before,
	}
}

// smooth answers every activity well, for the given environments.
func smooth(environments ...plan.EnvironmentSummary) *effects {
	before := previous()
	e := &effects{
		plan: activities.ComputeResult{Summary: plan.Summary{
			Digest: planDigest, Release: candidate(), Environments: environments,
		}},
		validate: activities.ValidateResult{Lines: []activities.Validation{{Subject: "fct_orders", OK: true}}},
		active:   &before,
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
	e.expand = func(activities.ExpandInput) (activities.ExpandResult, error) { return activities.ExpandResult{}, nil }
	e.publish = func(in activities.PublishInput) (activities.PublishResult, error) {
		return activities.PublishResult{Done: true, Swapped: len(in.Swaps)}, nil
	}
	e.survey = func(in activities.SurveyInput) (activities.Survey, error) {
		return activities.Survey{Undo: "sha256:undo", To: &before, From: &in.Target.Release, Swaps: 2, SwapBatches: 1}, nil
	}
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
	for name, f := range map[string]any{
		workflows.DeploymentName: workflows.Deployment, workflows.RunName: workflows.Run,
		workflows.RollbackName: workflows.Rollback, workflows.RecoveryName: workflows.Recovery,
	} {
		env.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
	}
	for name, f := range map[string]any{
		"BuildRelease": func(context.Context, activities.BuildReleaseInput) (release.Release, error) {
			e.called("BuildRelease")
			return candidate(), nil
		},
		"Observe": func(_ context.Context, in activities.Target) (activities.ObserveResult, error) {
			e.called("Observe " + in.Environment)
			return activities.ObserveResult{Observed: "sha256:" + in.Environment}, nil
		},
		"Compute": func(context.Context, activities.ComputeInput) (activities.ComputeResult, error) { return e.plan, nil },
		"ReadPlan": func(context.Context, activities.ReadPlanInput) (activities.ComputeResult, error) {
			e.called("ReadPlan")
			return e.plan, nil
		},
		"ValidateRelease": func(context.Context, activities.Target) (activities.ValidateResult, error) { return e.validate, nil },
		"Recheck": func(_ context.Context, in activities.RecheckInput) error {
			e.called("Recheck " + in.Target.Environment)
			return activities.ApplicationError(e.recheck(in))
		},
		"MeasureBefore": func(context.Context, activities.Target) (activities.WatchBaseline, error) {
			return activities.WatchBaseline{Values: map[string]float64{"revenue": 100}}, nil
		},
		"BuildSlice": func(_ context.Context, in activities.SliceInput) (activities.SliceResult, error) {
			e.called("BuildSlice " + in.Target.Environment + " " + in.Step)
			res, err := e.build(in)
			return res, activities.ApplicationError(err)
		},
		"ChooseBaseline": func(_ context.Context, in activities.BaselineInput) (activities.BaselineResult, error) {
			return e.baseline(in)
		},
		"CompareCanary": func(_ context.Context, in activities.CompareInput) (activities.CompareResult, error) {
			e.called("CompareCanary " + in.Target.Environment)
			return e.compare(in)
		},
		"AttachShadow": func(_ context.Context, in activities.ShadowInput) error {
			e.called("AttachShadow " + in.Target.Environment)
			return nil
		},
		"DropShadow": func(_ context.Context, in activities.ShadowInput) error {
			e.called("DropShadow " + in.Target.Environment)
			return nil
		},
		"RecordApproval": func(_ context.Context, in activities.RecordInput) error {
			e.called("RecordApproval " + in.Gate.Why)
			return nil
		},
		"Expand": func(_ context.Context, in activities.ExpandInput) (activities.ExpandResult, error) {
			e.called("Expand " + in.Target.Environment)
			res, err := e.expand(in)
			return res, activities.ApplicationError(err)
		},
		"Publish": func(_ context.Context, in activities.PublishInput) (activities.PublishResult, error) {
			e.called("Publish " + in.Target.Environment + " " + in.Step)
			res, err := e.publish(in)
			return res, activities.ApplicationError(err)
		},
		"Activate": func(_ context.Context, in activities.ActivateInput) error {
			e.called("Activate " + in.Target.Environment + " " + in.Target.Release.Version)
			return nil
		},
		"Active": func(context.Context, activities.ActiveInput) (activities.ActiveResult, error) {
			return activities.ActiveResult{Release: e.active}, nil
		},
		"Housekeep": func(context.Context, activities.Target) error { return activities.ApplicationError(e.housekeep) },
		"Attest": func(_ context.Context, in activities.AttestInput) error {
			e.called("Attest " + in.Target.Environment)
			return nil
		},
		"Fence": func(_ context.Context, in activities.Target) error {
			e.called("Fence " + in.Environment)
			return nil
		},
		"Survey": func(_ context.Context, in activities.SurveyInput) (activities.Survey, error) {
			e.called("Survey " + in.Target.Environment)
			res, err := e.survey(in)
			return res, activities.ApplicationError(err)
		},
		"Swaps": func(context.Context, activities.BatchInput) (activities.SwapBatch, error) {
			return activities.SwapBatch{Swaps: []generation.Swap{{Output: "fct_orders", Partition: "2026-01-31", From: 2, To: 1}}}, nil
		},
		"Rebuilds": func(context.Context, activities.BatchInput) (activities.RebuildBatch, error) {
			return activities.RebuildBatch{Items: []generation.Item{{Output: "fct_orders", Partition: "2026-01-30"}}}, nil
		},
		"Look": func(_ context.Context, in activities.LookInput) (activities.Look, error) {
			e.called("Look " + in.Target.Environment)
			return e.look(in)
		},
	} {
		env.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
	return env
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
		answer, queryErr := env.QueryWorkflow(workflows.StatusQuery)
		require.NoError(t, queryErr)
		require.NoError(t, answer.Get(&s))
		return s, err
	}
	require.NoError(t, env.GetWorkflowResult(&s))
	return s, nil
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
