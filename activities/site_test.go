package activities_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"drawbridge/activities"
	"drawbridge/internal/admission"
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

func (s *shelf) Pipelines(context.Context) ([]string, error) { return []string{"shop"}, nil }

func (s *shelf) Releases(context.Context, string) ([]release.Release, error) {
	return []release.Release{target("prod").Release}, nil
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

// desk is a warehouse whose ledger says what a test says. What is asked of it is decided by the product's own rule; what a
// test does not expect is a nil method and panics.
type desk struct {
	activities.Warehouse
	facts    admission.Facts
	lost     error // what of it the ledger does not know any more
	entered  []release.Tenure
	observed plan.Observed
	swapped  []generation.Swap
	spec     generation.PublishSpec
}

func (d *desk) EnsureLedger(context.Context) error { return nil }

func (d *desk) Active(context.Context, string) (release.Tenure, error) { return d.facts.Active, nil }

func (d *desk) Observe(context.Context, *pipeline.Pipeline) (plan.Observed, error) {
	return d.observed, nil
}

func (d *desk) Epoch(context.Context) (string, error) { return "epoch", nil }

func (d *desk) Remembers(context.Context, admission.Told) error { return d.lost }

func (d *desk) Admit(_ context.Context, ticket admission.Ticket) error { return ticket.Decide(d.facts) }

func (d *desk) Enter(_ context.Context, t release.Tenure, _ string, _ []string, _ bool) (release.Tenure, error) {
	t.Number = 7
	d.entered = append(d.entered, t)
	return t, nil
}

func (d *desk) Publish(_ context.Context, spec generation.PublishSpec, ticket admission.Ticket, _ func(_, _ time.Duration)) (generation.PublishResult, error) {
	if err := ticket.Decide(d.facts); err != nil {
		return generation.PublishResult{}, err
	}
	d.swapped, d.spec = ticket.Question.Swaps, spec
	return generation.PublishResult{Done: true, Swapped: len(ticket.Question.Swaps)}, nil
}

// bundle is a site of prod with the scaffold's pipeline as release 1.0.0. Its deployment crosses under tenure 7 and has built
// generation 1.
type bundle struct {
	*activities.Site
	shelf *shelf
	desk  *desk
}

// owner is the workflow that calls, as the test environment names it.
const owner = "default-test-workflow-id/6b3d8f0e-0000-4000-8000-000000000001"

func setup(t *testing.T) *bundle {
	t.Helper()
	files, err := scaffold.New("shop")
	require.NoError(t, err)
	b := &bundle{
		shelf: &shelf{releases: map[string]map[string][]byte{"sha256:1.0.0": files}, blobs: map[string][]byte{}},
		desk: &desk{facts: admission.Facts{
			Environment: "prod", Crossing: owner, Now: opened(),
			Tenure:      release.Tenure{Number: 7, Release: target("prod").Release, Kind: release.ByDeployment, Owner: owner, Plan: "sha256:plan", By: "ann"},
			Generations: map[int64]admission.Generation{1: {Pipeline: "shop", Digest: "sha256:1.0.0", State: generation.Built}},
		}},
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
		Environment: environment, Owner: owner, Tenure: 7,
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
	approval := pipeline.Policy{Approval: gate.Approval{Required: true, Approvers: []string{"ann", "ben"}, Quorum: 1, FourEyes: true, Expires: time.Hour}}
	answer := func(by string) []gate.Gate {
		return []gate.Gate{{Name: gate.ApprovalOf("prod"), Plan: "sha256:plan", Requester: "ann", Answers: []gate.Answer{{
			Decision: gate.Decision{Gate: gate.ApprovalOf("prod"), Plan: "sha256:plan", Choice: gate.Approve, By: by, Reason: "fine"}, At: opened(),
		}}}}
	}
	for name, c := range map[string]struct {
		policy     pipeline.Policy
		statements []release.Statement
		ledger     func(*admission.Facts)
		forge      func(*activities.PublishInput)
		class      fault.Class // empty: it is published
		says       string
	}{
		"nothing is asked for": {},
		"a statement is missing": {
			policy: pipeline.Policy{Requires: []string{"staging"}}, class: fault.Refused, says: "there is none",
		},
		"a statement of another environment does not count": {
			policy: pipeline.Policy{Requires: []string{"staging"}}, class: fault.Refused, says: "there is none",
			statements: []release.Statement{{Kind: release.Passed, Subject: "sha256:1.0.0", Environment: "dev"}},
		},
		"the statement is there": {
			policy: pipeline.Policy{Requires: []string{"staging"}}, statements: []release.Statement{passed},
		},
		"a yanked release is refused, whatever it passed": {
			statements: []release.Statement{passed, {Kind: release.Yanked, Reason: "it loses orders"}}, class: fault.Refused, says: "it loses orders",
		},
		"an approval is missing":                 {policy: approval, class: fault.Refused, says: "wants an approval"},
		"who asked has approved":                 {policy: approval, ledger: func(f *admission.Facts) { f.Answers = answer("ann") }, class: fault.Refused, says: "wants an approval"},
		"the approval is recorded":               {policy: approval, ledger: func(f *admission.Facts) { f.Answers = answer("ben") }},
		"what is active may run again":           {policy: approval, ledger: func(f *admission.Facts) { f.Tenure.Activated = true; f.Active = f.Tenure }},
		"a tenure that the ledger does not know": {ledger: func(f *admission.Facts) { f.Tenure = release.Tenure{} }, class: fault.Refused, says: "knows no tenure 7"},
		"another release than the tenure's": {
			forge: func(in *activities.PublishInput) { in.Target.Release.Digest = "sha256:other" }, class: fault.Refused, says: "is of shop@1.0.0",
		},
		"another config than the tenure's": {
			forge: func(in *activities.PublishInput) { in.Target.Config = "sha256:config" }, class: fault.Refused, says: "of another config",
		},
		"on behalf of another workflow": {
			forge: func(in *activities.PublishInput) {
				in.Target.Owner = "deploy/shop/9/6b3d8f0e-0000-4000-8000-000000000001"
			},
			class: fault.Refused, says: "act for deploy/shop/9",
		},
		"in the name of an earlier start": {
			forge: func(in *activities.PublishInput) {
				in.Target.Owner = "default-test-workflow-id/6b3d8f0e-0000-4000-8000-000000000009"
			},
			class: fault.Refused, says: "belongs to another workflow",
		},
		"a generation of another release": {
			ledger: func(f *admission.Facts) {
				f.Generations[1] = admission.Generation{Pipeline: "shop", Digest: "sha256:0.9.0", State: generation.Built}
			}, class: fault.Refused, says: "of another release",
		},
		"a detach": {
			forge: func(in *activities.PublishInput) { in.Swaps = []generation.Swap{{Output: "fct_orders", From: 1}} }, class: fault.Refused, says: "would be detached",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Policy, b.shelf.statements = c.policy, c.statements
			b.shelf.releases["sha256:other"] = b.shelf.releases["sha256:1.0.0"]
			if c.ledger != nil {
				c.ledger(&b.desk.facts)
			}
			in := activities.PublishInput{Target: target("prod"), Step: "publish", Activate: true, Swaps: []generation.Swap{{Output: "fct_orders", To: 1}}}
			if c.forge != nil {
				c.forge(&in)
			}
			if in.Target.Config != "" {
				b.shelf.blobs[in.Target.Config] = b.shelf.releases["sha256:1.0.0"]["config.prod.yaml"]
			}
			_, err := call(t, (&activities.Publishing{Site: b.Site}).Publish, in)
			if c.class == "" {
				require.Nil(t, err)
				require.Equal(t, in.Swaps, b.desk.swapped)
				require.True(t, b.desk.spec.Activate)
				require.Equal(t, owner+"/prod/publish/-/0", b.desk.spec.Key.String())
				return
			}
			require.NotNil(t, err)
			require.Equal(t, string(c.class), err.Type(), err.Message())
			require.Contains(t, err.Message(), c.says)
			require.Empty(t, b.desk.swapped)
		})
	}
}

// A plan is a blob that anybody who reaches the store may write: whoever enters is held to what prod's own files say.
func TestADeploymentEntersUnderThisEnvironmentsOwnRules(t *testing.T) {
	t.Parallel()
	policy := pipeline.Policy{
		Approval: gate.Approval{Required: true, Approvers: []string{"ann", "ben", "cy"}, Quorum: 2}, Requires: []string{"staging"}, KeepRetired: 30 * 24 * time.Hour,
	}
	passed := []release.Statement{{Kind: release.Passed, Subject: "sha256:1.0.0", Environment: "staging"}}
	for name, c := range map[string]struct {
		statements []release.Statement
		forge      func(*plan.Plan)
		class      fault.Class // empty: it enters
		says       string
	}{
		"as it was planned":      {statements: passed},
		"without its statement":  {class: fault.Refused, says: "there is none"},
		"with a quorum of one":   {statements: passed, forge: func(p *plan.Plan) { p.Environments[0].Approval.Quorum = 1 }, class: fault.Conflict, says: "rule of approval"},
		"without a watch":        {statements: passed, forge: func(p *plan.Plan) { p.Environments[0].Watch.For = 0 }, class: fault.Conflict, says: "the watch"},
		"of another environment": {statements: passed, forge: func(p *plan.Plan) { p.Environments[0].Name = "staging" }, class: fault.Refused, says: "does not touch prod"},
		"of another release":     {statements: passed, forge: func(p *plan.Plan) { p.Release.Digest = "sha256:0.9.0" }, class: fault.Refused, says: "about another release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Policy, b.shelf.statements = policy, c.statements
			p, err := b.Pipeline(t.Context(), target("prod"))
			require.NoError(t, err)
			var outputs []plan.ObservedOutput
			for _, o := range p.Outputs {
				outputs = append(outputs, plan.ObservedOutput{Table: o.Table, Kind: generation.Absent})
			}
			planned, err := plan.Compute(plan.Input{
				Release: target("prod").Release, Pipeline: p,
				Environments: []plan.EnvironmentInput{{Config: p.Config, Policy: policy, Observed: plan.Observed{
					Environment: "prod", Schema: p.Config.WarehouseSchema, ConfigDigest: p.Config.Digest(), PolicyDigest: policy.Digest(), Outputs: outputs,
				}}},
			})
			require.NoError(t, err)
			if c.forge != nil {
				c.forge(&planned)
			}
			b.shelf.blobs["sha256:plan"], err = json.Marshal(planned)
			require.NoError(t, err)
			entered, refused := call(t, (&activities.Admitting{Site: b.Site}).Enter, activities.EnterInput{
				Target: target("prod"), Kind: release.ByDeployment, Plan: "sha256:plan", By: "ann",
			})
			if c.class == "" {
				require.Nil(t, refused)
				require.EqualValues(t, 7, entered.Tenure.Number)
				require.Equal(t, policy.Approval, entered.Rule, "every gate there has the rule of this environment")
				require.Equal(t, "sha256:plan", b.desk.entered[0].Plan)
				return
			}
			require.NotNil(t, refused)
			require.Equal(t, string(c.class), refused.Type(), refused.Message())
			require.Contains(t, refused.Message(), c.says)
			require.Empty(t, b.desk.entered)
		})
	}
}

func TestARunIsHeldToWhatRefusesAPlan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.desk.observed = plan.Observed{Problems: []plan.Problem{{Rule: "publication", Object: "fct_orders", Text: "the table is published", Remedy: "leave it out", Blocking: true}}}
	_, err := call(t, (&activities.Admitting{Site: b.Site}).Enter, activities.EnterInput{Target: target("prod"), Kind: release.ByRun, By: "ann"})
	require.NotNil(t, err)
	require.Equal(t, string(fault.Refused), err.Type())
	require.Contains(t, err.Message(), "the table is published")
	require.Empty(t, b.desk.entered)
}

func TestAStatementIsAttachedOnceAndOnlyAboutWhatIsActive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	releases := &activities.Releases{Site: b.Site, Now: opened}
	attest := func() *temporal.ApplicationError {
		in := activities.AttestInput{Target: target("prod"), Kind: release.Passed, Plan: "sha256:plan", By: "ann"}
		_, err := call(t, func(ctx context.Context, in activities.AttestInput) (bool, error) {
			return true, releases.Attest(ctx, in)
		}, in)
		return err
	}
	err := attest()
	require.NotNil(t, err, "it has not been published")
	require.Equal(t, string(fault.Conflict), err.Type())
	b.desk.facts.Tenure.Activated = true
	b.desk.facts.Active = b.desk.facts.Tenure
	for range 2 {
		require.Nil(t, attest())
	}
	require.Len(t, b.shelf.statements, 1)
	b.desk.facts.Fenced = "turned back under tenure 8"
	b.shelf.statements = nil
	err = attest()
	require.NotNil(t, err, "it was turned back since")
	require.Equal(t, string(fault.Conflict), err.Type())
	require.Empty(t, b.shelf.statements)
}

func opened() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }

// Whatever a ledger lacks of what it told the caller, no activity goes on with it.
func TestNothingIsDoneInALedgerThatHasGoneBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.desk.lost = admission.LostError{Reason: "it does not know tenure 7 of shop"}
	in := target("prod")
	in.Tenure = 7
	_, err := call(t, (&activities.Publishing{Site: b.Site}).Publish, activities.PublishInput{Target: in, Step: "publish"})
	require.NotNil(t, err)
	require.Equal(t, activities.Lost, err.Type())
	require.True(t, err.NonRetryable(), "a person is asked at once")
	require.Empty(t, b.desk.swapped)
	_, err = call(t, (&activities.Watching{Site: b.Site}).Look, activities.LookInput{Target: in})
	require.NotNil(t, err)
	require.Equal(t, activities.Lost, err.Type())
}
