package activities_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/scaffold"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// shelf is a store in memory: releases by digest, blobs, and what was stated.
type shelf struct {
	releases   map[string]map[string][]byte
	blobs      map[string][]byte
	statements []release.Statement
}

func (s *shelf) Source(_ context.Context, digest string) (map[string][]byte, error) {
	return s.releases[digest], nil
}

func (s *shelf) Publish(_ context.Context, name, version string, files map[string][]byte) (release.Release, error) {
	s.releases["sha256:"+version] = files
	return release.Release{Pipeline: name, Version: version, Digest: "sha256:" + version}, nil
}

func (s *shelf) Files(_ context.Context, digest string) (map[string][]byte, error) {
	files, ok := s.releases[digest]
	if !ok {
		return nil, fault.Newf(fault.Invalid, "load release", digest, "build it", "it is not there")
	}
	return files, nil
}

func (s *shelf) PutBlob(_ context.Context, _ string, body []byte) (string, error) {
	s.blobs["sha256:blob"] = body
	return "sha256:blob", nil
}

func (s *shelf) Blob(_ context.Context, digest string) ([]byte, error) { return s.blobs[digest], nil }

func (s *shelf) Attach(_ context.Context, st release.Statement) error {
	s.statements = append(s.statements, st)
	return nil
}

func (s *shelf) Statements(context.Context, string) ([]release.Statement, error) {
	return s.statements, nil
}

// desk is a warehouse that answers what a test says; what a test does not expect is a nil method and panics.
type desk struct {
	activities.Warehouse
	active   *release.Release
	approved bool
	undo     plan.Undo
	swapped  []generation.Swap
	publish  activities.PublishSpec
	former   []string // digests of releases that were active
	flipped  *release.Release
}

func (d *desk) WasActive(_ context.Context, _, digest string) (bool, error) {
	return slices.Contains(d.former, digest), nil
}

func (d *desk) SetActive(_ context.Context, _, _ string, r *release.Release) error {
	d.flipped = r
	return nil
}

func (d *desk) Active(context.Context, string) (*release.Release, error) { return d.active, nil }

func (d *desk) Approved(context.Context, string, string) (bool, error) { return d.approved, nil }

func (d *desk) Undo(context.Context, *pipeline.Pipeline, plan.TurnBack) (plan.Undo, error) {
	return d.undo, nil
}

func (d *desk) Publish(_ context.Context, in activities.PublishSpec, _ func(_, _ time.Duration)) (activities.PublishResult, error) {
	d.swapped, d.publish = in.Swaps, in
	return activities.PublishResult{Done: true, Swapped: len(in.Swaps)}, nil
}

// bundle is a site of prod with the scaffold's pipeline as release 1.0.0.
type bundle struct {
	*activities.Site
	shelf *shelf
	desk  *desk
}

func setup(t *testing.T) *bundle {
	t.Helper()
	files, err := scaffold.New("shop")
	require.NoError(t, err)
	b := &bundle{
		shelf: &shelf{releases: map[string]map[string][]byte{"sha256:1.0.0": files}, blobs: map[string][]byte{}},
		desk:  &desk{},
	}
	b.Site = &activities.Site{
		Environment: "prod", Store: b.shelf,
		Warehouse: func(context.Context, pipeline.Config) (activities.Warehouse, error) { return b.desk, nil },
	}
	return b
}

// target is release 1.0.0 in an environment.
func target(environment string) activities.Target {
	return activities.Target{
		Environment: environment, Key: "deploy/shop/1",
		Release: release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:1.0.0"},
	}
}

// call runs one activity and returns its result, and its error as a workflow sees it.
func call[In, Out any](t *testing.T, f func(context.Context, In) (Out, error), in In) (Out, *temporal.ApplicationError) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.NewFaultInterceptor(redact)}})
	env.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: "Act"})
	value, err := env.ExecuteActivity("Act", in)
	var out Out
	if err != nil {
		var app *temporal.ApplicationError
		require.ErrorAs(t, err, &app)
		return out, app
	}
	require.NoError(t, value.Get(&out))
	return out, nil
}

func TestAWorkerTouchesOnlyWhatItServes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := call(t, (&activities.Publishing{Site: b.Site}).Publish, activities.PublishInput{Target: target("dev"), Swaps: []generation.Swap{{To: 1}}})
	require.NotNil(t, err)
	require.Equal(t, string(fault.Refused), err.Type())
	require.Contains(t, err.Message(), "this worker serves prod only")
	require.Empty(t, b.desk.swapped)
}

func TestPublishTrustsNoCaller(t *testing.T) {
	t.Parallel()
	passed := release.Statement{Kind: release.Passed, Subject: "sha256:1.0.0", Environment: "staging"}
	approval := pipeline.Policy{Approval: gate.Approval{Required: true}}
	cases := map[string]struct {
		policy     pipeline.Policy
		statements []release.Statement
		active     *release.Release
		approved   bool
		planned    string
		turnBack   bool
		refused    string // empty: it is published
	}{
		"nothing is asked for": {},
		"a statement is missing": {
			policy: pipeline.Policy{Requires: []string{"staging"}}, refused: "there is none",
		},
		"a statement of another environment does not count": {
			policy: pipeline.Policy{Requires: []string{"staging"}}, refused: "there is none",
			statements: []release.Statement{{Kind: release.Passed, Subject: "sha256:1.0.0", Environment: "dev"}},
		},
		"the statement is there": {
			policy: pipeline.Policy{Requires: []string{"staging"}}, statements: []release.Statement{passed},
		},
		"a yanked release is refused, whatever it passed": {
			statements: []release.Statement{passed, {Kind: release.Yanked, Reason: "it loses orders"}}, refused: "it loses orders",
		},
		"an approval is missing":                   {policy: approval, planned: "sha256:p", refused: "wants an approval"},
		"an approval of a plan is no blank cheque": {policy: approval, approved: true, refused: "wants an approval"},
		"the approval is recorded":                 {policy: approval, approved: true, planned: "sha256:p"},
		"the active release may run again": {
			policy: approval, active: &release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:1.0.0"},
		},
		"turning back needs no approval": {policy: approval, turnBack: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Policy, b.shelf.statements, b.desk.active, b.desk.approved = c.policy, c.statements, c.active, c.approved
			_, err := call(t, (&activities.Publishing{Site: b.Site}).Publish, activities.PublishInput{
				Target: target("prod"), Plan: c.planned, TurnBack: c.turnBack, Step: "publish", Swaps: []generation.Swap{{Output: "fct_orders", To: 1}},
			})
			if c.refused == "" {
				require.Nil(t, err)
				require.Len(t, b.desk.swapped, 1)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, string(fault.Refused), err.Type())
			require.Contains(t, err.Message(), c.refused)
			require.Empty(t, b.desk.swapped)
		})
	}
}

func TestActivateTrustsNoCaller(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		approved bool
		former   []string
		in       activities.ActivateInput
		refused  string // empty: it becomes active
	}{
		"a release that nobody approved":        {refused: "wants an approval"},
		"an approved release":                   {approved: true, in: activities.ActivateInput{Plan: "sha256:p"}},
		"turning back to what was active":       {former: []string{"sha256:1.0.0"}, in: activities.ActivateInput{TurnBack: true}},
		"turning back to what was never active": {former: []string{"sha256:0.9.0"}, in: activities.ActivateInput{TurnBack: true}, refused: "never active"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Policy = pipeline.Policy{Approval: gate.Approval{Required: true}}
			b.desk.approved, b.desk.former = c.approved, c.former
			c.in.Target = target("prod")
			publishing := &activities.Publishing{Site: b.Site}
			_, err := call(t, func(ctx context.Context, in activities.ActivateInput) (bool, error) {
				return true, publishing.Activate(ctx, in)
			}, c.in)
			if c.refused == "" {
				require.Nil(t, err)
				require.NotNil(t, b.desk.flipped)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, string(fault.Refused), err.Type())
			require.Contains(t, err.Message(), c.refused)
			require.Nil(t, b.desk.flipped)
		})
	}
}

func TestWhatAnEarlierReleaseDoesNotHaveIsDetached(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := target("prod").Release
	b.desk.undo = plan.Undo{To: &before, Items: []plan.UndoItem{
		{Kind: plan.UndoRebuild, Output: "fct_orders", Partition: "2026-01-01", Live: 7},
		{Kind: plan.UndoRebuild, Output: "dim_new", Partition: "all", Live: 8},
		{Kind: plan.UndoSwapBack, Output: "fct_orders", Partition: "2026-01-02", Live: 9, To: 3},
	}}
	survey, err := call(t, (&activities.TurningBack{Site: b.Site}).Survey, activities.SurveyInput{Target: target("prod")})
	require.Nil(t, err)
	require.Equal(t, []int{1, 1, 1}, []int{survey.Rebuilds, survey.Detached, survey.Swaps})
	var kept plan.Undo
	require.NoError(t, json.Unmarshal(b.shelf.blobs[survey.Undo], &kept))
	require.Equal(t, plan.UndoDetach, kept.Items[1].Kind)
	batch, err := call(t, (&activities.TurningBack{Site: b.Site}).Swaps, activities.BatchInput{Target: target("prod"), Undo: survey.Undo})
	require.Nil(t, err)
	require.Equal(t, []generation.Swap{
		{Output: "dim_new", Partition: "all", From: 8}, {Output: "fct_orders", Partition: "2026-01-02", From: 9, To: 3},
	}, batch.Swaps)
}

func TestAStatementIsAttachedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	releases := &activities.Releases{Site: b.Site, Now: opened}
	in := activities.AttestInput{Target: target("prod"), Kind: release.Passed, Plan: "sha256:p", By: "ann"}
	for range 2 {
		_, err := call(t, func(ctx context.Context, in activities.AttestInput) (bool, error) {
			return true, releases.Attest(ctx, in)
		}, in)
		require.Nil(t, err)
	}
	require.Len(t, b.shelf.statements, 1)
}

func opened() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }
