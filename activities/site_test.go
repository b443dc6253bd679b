package activities_test

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
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
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/scaffold"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// shelf is a store in memory: releases by digest, blobs, and what was stated.
type shelf struct {
	releases   map[string]map[string][]byte
	blobs      map[string][]byte
	claimed    map[string]string // version -> digest
	statements []release.Statement
}

func (s *shelf) Source(_ context.Context, digest string) (map[string][]byte, error) {
	return s.releases[digest], nil
}

func (s *shelf) Try(_ context.Context, name, version string, files map[string][]byte) (release.Release, error) {
	s.releases["sha256:"+version] = files
	return release.Release{Pipeline: name, Version: version, Digest: "sha256:" + version}.As(s.claimed[version]), nil
}

func (s *shelf) Owner(_ context.Context, _, version string) (string, error) {
	return s.claimed[version], nil
}

func (s *shelf) Claim(_ context.Context, r release.Release) error {
	if owner := s.claimed[r.Base()]; owner != "" && owner != r.Digest {
		return fault.Newf(fault.Refused, "claim", r.String(), "raise the version", "it is another release's")
	}
	s.claimed[r.Base()] = r.Digest
	return nil
}

func (s *shelf) Files(_ context.Context, digest string) (map[string][]byte, error) {
	files, ok := s.releases[digest]
	if !ok {
		return nil, fault.Newf(fault.Invalid, "load release", digest, "build it", "it is not there")
	}
	return files, nil
}

func (s *shelf) Releases(context.Context, string) iter.Seq2[release.Release, error] {
	return maps.All(map[release.Release]error{target("prod").Release: nil})
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
	lost     error           // what of it the ledger does not know any more
	active   release.Release // what a run finds
	history  generation.History
	kept     map[string][]generation.Generation // by output
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

func (d *desk) History(context.Context, string, int) (generation.History, error) {
	return d.history, nil
}

func (d *desk) Generations(_ context.Context, output string, _ partition.Key) ([]generation.Generation, error) {
	return d.kept[output], nil
}

func (d *desk) TenureOf(context.Context, string, effect.Owner) (release.Tenure, error) {
	return d.facts.Tenure, nil
}

func (d *desk) Standing(context.Context) (release.Standing, error) {
	return release.Standing{Environment: d.facts.Environment, Pipelines: []release.Pipeline{{Name: "shop"}}}, nil
}

func (d *desk) FirstBuilt(context.Context, *pipeline.Pipeline) (partition.Key, error) { return "", nil }

func (d *desk) Epoch(context.Context) (string, error) { return "epoch", nil }

func (d *desk) Remembers(context.Context, admission.Told) error { return d.lost }

func (d *desk) Admit(_ context.Context, ticket admission.Ticket) error { return ticket.Decide(d.facts) }

func (d *desk) Enter(_ context.Context, t release.Tenure, _ effect.Key, _ []string, _ bool) (release.Tenure, error) {
	if t.Number = 7; d.active.Digest != "" {
		t.Release = d.active
	}
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
		shelf: &shelf{releases: map[string]map[string][]byte{"sha256:1.0.0": files}, blobs: map[string][]byte{}, claimed: map[string]string{}},
		desk: &desk{facts: admission.Facts{
			Environment: "prod", Crossing: owner, Now: opened(),
			Tenure:      release.Tenure{Number: 7, Release: target("prod").Release, Kind: release.ByDeployment, Owner: owner, Plan: "sha256:plan", By: "ann"},
			Generations: map[int64]admission.Generation{1: {Pipeline: "shop", Digest: "sha256:1.0.0", State: generation.Built, Audit: gate.Pass}},
		}},
	}
	b.Site = &activities.Site{
		Environment: "prod", Store: b.shelf,
		Warehouse: func(context.Context, pipeline.Config) (activities.Warehouse, error) { return b.desk, nil },
	}
	return b
}

// looked lets the desk say what the release's outputs have: nothing is in the way of a run.
func (b *bundle) looked() {
	for _, table := range []string{"fct_orders", "dim_channel"} {
		b.desk.observed.Outputs = append(b.desk.observed.Outputs, plan.ObservedOutput{
			Table: table, Kind: generation.Absent, Candidate: []generation.Column{{Name: "order_id", Type: "bigint"}},
		})
	}
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
				f.Generations[1] = admission.Generation{Pipeline: "shop", Digest: "sha256:0.9.0", State: generation.Built, Audit: gate.Pass}
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

// The scaffold's first environment is dev: whatever enters prod claims its version there, and nothing that only looks.
func TestAReleaseClaimsItsVersionWhereItEntersASecondEnvironment(t *testing.T) {
	t.Parallel()
	const digest, other = "sha256:0123abcdef", "sha256:other"
	try := release.Release{Pipeline: "shop", Version: "1.0.0+0123abcd", Digest: digest}
	for name, c := range map[string]struct {
		environment, owner string
		active             release.Release // what a run finds
		named              string          // empty: it is refused
		claimed            string
	}{
		"in the first nothing is claimed":                  {environment: "dev", named: "1.0.0+0123abcd"},
		"in the first another release may have it":         {environment: "dev", owner: other, named: "1.0.0+0123abcd", claimed: other},
		"in the first it is known by what it has":          {environment: "dev", owner: digest, named: "1.0.0", claimed: digest},
		"in the second it is claimed":                      {environment: "prod", named: "1.0.0", claimed: digest},
		"in the second it stays claimed":                   {environment: "prod", owner: digest, named: "1.0.0", claimed: digest},
		"another release's version is not to be had":       {environment: "prod", owner: other, claimed: other},
		"a run that is not let in beside another has none": {environment: "prod", active: release.Release{Version: "9.0.0", Digest: other}, named: "9.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Environment = c.environment
			b.shelf.releases[digest] = b.shelf.releases["sha256:1.0.0"]
			if c.owner != "" {
				b.shelf.claimed["1.0.0"] = c.owner
			}
			b.desk.active = c.active
			b.looked()
			in := target(c.environment)
			in.Release, in.Tenure = try, 0
			in.Release.Version = "7.7.7" // a caller calls it what it likes
			entered, err := call(t, (&activities.Admitting{Site: b.Site}).Enter, activities.EnterInput{Target: in, Kind: release.ByRun, By: "ann"})
			require.Equal(t, c.claimed, b.shelf.claimed["1.0.0"])
			if c.named == "" {
				require.NotNil(t, err)
				require.Equal(t, string(fault.Refused), err.Type())
				return
			}
			require.Nil(t, err)
			require.Equal(t, c.named, entered.Tenure.Release.Version)
		})
	}
}

// A version that another release has claimed is said when it is planned, for every environment but the first.
func TestAVersionOfAnotherReleaseIsAProblemOfThePlan(t *testing.T) {
	t.Parallel()
	for environment, found := range map[string]int{"dev": 0, "prod": 1} {
		b := setup(t)
		b.Environment = environment
		b.shelf.claimed["1.0.0"] = "sha256:other"
		b.Sources = everyDay{}
		in := target(environment)
		in.Tenure = 0
		_, err := call(t, (&activities.Planning{Site: b.Site}).Observe, in)
		require.Nil(t, err)
		var seen plan.EnvironmentInput
		require.NoError(t, json.Unmarshal(b.shelf.blobs["sha256:blob"], &seen))
		require.Len(t, seen.Observed.Problems, found)
		for _, p := range seen.Observed.Problems {
			require.True(t, p.Blocking)
			require.Contains(t, p.Remedy, "raise the version")
		}
	}
}

// A ledger notes a release as it was known then: what was tried in dev is shown by its version once it has claimed that.
func TestATryIsShownByItsVersionOnceItHasClaimedIt(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string]string{"": "1.4.0+0123abcd", "sha256:ffffffff": "1.4.0+0123abcd", "sha256:0123abcdef": "1.4.0"} {
		b := setup(t)
		b.shelf.claimed["1.4.0"] = owner
		tried := release.Release{Pipeline: "shop", Version: "1.4.0+0123abcd", Digest: "sha256:0123abcdef"}
		b.desk.history = generation.History{
			Active: &release.Tenure{Number: 7, Release: tried},
			Events: []generation.Event{{Release: release.Release{Version: "1.3.0"}}, {Release: tried}},
		}
		in := target("prod")
		in.Tenure = 0
		res, err := call(t, (&activities.Inspecting{Site: b.Site}).Inspect, activities.InspectInput{Target: in, Kind: activities.InspectHistory})
		require.Nil(t, err)
		require.Equal(t, want, res.History.Active.Release.Version)
		require.Equal(t, []string{"1.3.0", want}, []string{res.History.Events[0].Release.Version, res.History.Events[1].Release.Version})
	}
}

func TestAQuestionIsAboutABoundedNumberOfTables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := activities.InspectInput{Target: target("prod"), Kind: activities.InspectSizes, Tables: make([]string, activities.MaxSizes+1)}
	_, err := call(t, (&activities.Inspecting{Site: b.Site}).Inspect, in)
	require.Equal(t, fault.Invalid, fault.Class(err.Type()))
	require.ErrorContains(t, err, "it names 1001 tables, and may name 1000")
}

// everyDay are sources of which nothing is named by partition.
type everyDay struct{}

func (everyDay) Partitions(pipeline.Config, *pipeline.Pipeline) (plan.Sources, error) {
	return plan.Sources{Named: true}, nil
}

func (everyDay) Changed(pipeline.Config, *pipeline.Pipeline, []partition.Key) (map[partition.Key]time.Time, error) {
	return nil, nil
}

func (everyDay) Missing(pipeline.Config, *pipeline.Pipeline, partition.Key) ([]string, error) {
	return nil, nil
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
		_, err := call(t, func(ctx context.Context, in activities.Target) (bool, error) {
			return true, releases.Attest(ctx, in)
		}, target("prod"))
		return err
	}
	err := attest()
	require.NotNil(t, err, "it has not been published")
	require.Equal(t, string(fault.Conflict), err.Type())
	active := &b.desk.facts.Tenure
	active.Activated, active.At, active.Plan, active.By, active.Reason = true, opened(), "sha256:plan", "ann", "currency"
	b.desk.facts.Active = *active
	p, failed := b.Pipeline(t.Context(), target("prod"))
	require.NoError(t, failed)
	require.NotZero(t, p.Watch.For)
	b.desk.facts.Now = opened().Add(p.Watch.For / 2)
	err = attest()
	require.NotNil(t, err, "it is watched still")
	require.False(t, err.NonRetryable(), "nothing is wrong, and it has to wait")
	require.Empty(t, b.shelf.statements)
	b.desk.facts.Now = opened().Add(p.Watch.For)
	err = attest()
	require.NotNil(t, err, "nobody has tried it")
	require.Equal(t, string(fault.Refused), err.Type())
	pass := admission.Verdict{Verdict: gate.Verdict{Outcome: gate.Pass}}
	b.desk.facts.Verdicts = map[admission.Stage]admission.Verdict{admission.Smoke: pass, admission.Canary: pass}
	for range 2 {
		require.Nil(t, attest())
	}
	require.Equal(t, []release.Statement{{
		Kind: release.Passed, Subject: target("prod").Release.Digest, Environment: "prod", Plan: "sha256:plan", By: "ann", Reason: "currency", At: opened(),
	}}, b.shelf.statements, "what it says is the ledger's")
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
