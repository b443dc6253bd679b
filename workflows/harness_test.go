package workflows_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/adoption"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/scaffold"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// effects are the activities of a scenario: each says what it was asked, and answers as its field says. The defaults are the
// product's own, over ledgers in memory, and those of a deployment at which nothing goes wrong.
type effects struct {
	mu    sync.Mutex
	calls []string
	on    func(call string) // told of every call as it begins

	plan      activities.ComputeResult
	validate  activities.ValidateResult
	enter     func(activities.Target) (release.Release, error) // the release as it is known there
	recheck   func(activities.RecheckInput) error
	build     func(context.Context, activities.SliceInput) (activities.SliceResult, error)
	compare   func(activities.CompareInput) (activities.CompareResult, error)
	baseline  func(activities.BaselineInput) (activities.BaselineResult, error)
	publish   func(context.Context, activities.PublishInput) (generation.PublishResult, error)
	begin     func(ctx context.Context, in activities.BeginInput, begin func() (activities.Began, error)) (activities.Began, error)
	swap      func(context.Context, activities.PassInput) (activities.Pass, error)
	look      func(activities.LookInput) (activities.Look, error)
	refuse    error // why no recovery begins in prod
	inspect   func(context.Context, activities.InspectInput) (activities.InspectResult, error)
	survey    []activities.Surveyed
	housekeep func(activities.House) error
	hold      func(activities.HoldInput) ([]activities.Held, error)
	adoption  adoption.Plan
	heldBy    map[string]string // who stands in the way of an activity of an adoption
	due       func(activities.DueInput) (activities.Due, error)
	missing   func(activities.MissingInput) (activities.Missing, error)
	announce  func(activities.AnnounceInput) error
	told      []notice.Event // what people were to be told, where they listen
	signals   []signal       // to other workflows
	over      []string       // the IDs of those that are over
	deliver   func() (activities.Delivered, error)
	clock     func() time.Time // of turn-backs
	revenue   float64          // before a publish
	filler    *filler          // of backfills
	shelf     *shelf
	sites     map[string]*activities.Site
	ledgers   map[string]*ledger
}

// shelf is a store in memory: every release is the same folder, and statements are kept.
type shelf struct {
	activities.Store
	mu         sync.Mutex
	files      map[string][]byte
	statements []release.Statement
	blobs      map[string][]byte
}

func (s *shelf) PutBlob(_ context.Context, _ string, body []byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[string][]byte{}
	}
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	s.blobs[digest] = body
	return digest, nil
}

func (s *shelf) Blob(_ context.Context, digest string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, ok := s.blobs[digest]
	if !ok {
		return nil, fault.Newf(fault.Invalid, "read", digest, "look for it", "it is not there")
	}
	return body, nil
}

func (s *shelf) Claim(context.Context, release.Release) error { return nil }

func (s *shelf) Files(context.Context, string) (map[string][]byte, error) { return s.files, nil }

func (s *shelf) Releases(context.Context, string) iter.Seq2[release.Release, error] {
	return func(yield func(release.Release, error) bool) {
		_ = yield(candidate(), nil) && yield(previous(), nil)
	}
}

func (s *shelf) Statements(context.Context, string) ([]release.Statement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.statements), nil
}

func (s *shelf) Attach(_ context.Context, st release.Statement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements = append(s.statements, st)
	return nil
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
		{plan.StepAgree, env.Asks && !env.Approval.Required},
		{plan.StepBuildRest, env.Transactions > 0 && env.Slices > 1},
		{plan.StepExpand, true},
		{plan.StepPublish, env.Transactions > 0},
		{plan.StepPublishCanary, env.Transactions == 0},
		{plan.StepPublishRest, env.Transactions == 0 && env.Slices > 1},
		{plan.StepWatch, env.Watch.For > 0},
		{plan.StepAttest, true},
	} {
		if s.there {
			out = append(out, plan.Step{ID: s.id, Title: s.id})
		}
	}
	return out
}

// smooth answers every activity well, for the given environments: in each of them the previous release is active, and all the
// partitions of a scenario show its data.
func smooth(t *testing.T, environments ...plan.EnvironmentSummary) *effects {
	t.Helper()
	files, err := scaffold.New("shop")
	require.NoError(t, err)
	e := &effects{
		revenue: 100, validate: activities.ValidateResult{Lines: []activities.Validation{{Subject: "fct_orders", OK: true}}},
		shelf: &shelf{files: files}, sites: map[string]*activities.Site{}, ledgers: map[string]*ledger{}, clock: time.Now,
	}
	seeds := []partition.Key{day("canary"), "2026-01-30", "2026-01-31"}
	for i := range 9 {
		seeds = append(seeds, day(fmt.Sprintf("slice-%d", i)))
	}
	for i, env := range environments {
		environments[i].Steps = steps(env)
		l := newLedger(env.Name)
		l.published(previous(), release.ByDeployment, "deploy/shop/0", seeds...)
		l.settle()
		e.ledgers[env.Name] = l
		e.sites[env.Name] = &activities.Site{
			Environment: env.Name, Policy: pipeline.Policy{Approval: env.Approval}, Store: e.shelf,
			Warehouse: func(context.Context, pipeline.Config) (activities.Warehouse, error) { return l, nil },
		}
	}
	e.plan.Summary = plan.Summary{Digest: planDigest, Release: candidate(), Environments: environments}
	e.enter = func(t activities.Target) (release.Release, error) { return t.Release, nil }
	e.recheck = func(activities.RecheckInput) error { return nil }
	e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
		return e.built(ctx, in, gate.Pass)
	}
	e.compare = func(activities.CompareInput) (activities.CompareResult, error) {
		return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "within budget"}}, nil
	}
	e.baseline = func(activities.BaselineInput) (activities.BaselineResult, error) {
		return activities.BaselineResult{}, nil
	}
	e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
		if in.Plan != "" {
			return e.cutsOver(ctx, in)
		}
		return (&activities.Publishing{Site: e.sites[in.Target.Environment]}).Publish(ctx, in)
	}
	e.swap = func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
		return e.turning(in.Target).SwapPass(ctx, in)
	}
	e.inspect = func(context.Context, activities.InspectInput) (activities.InspectResult, error) {
		return activities.InspectResult{}, nil
	}
	e.housekeep = func(activities.House) error { return nil }
	e.announce = func(activities.AnnounceInput) error { return nil }
	e.deliver = func() (activities.Delivered, error) { return activities.Delivered{}, nil }
	e.look = func(activities.LookInput) (activities.Look, error) {
		return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "1 check passed"}}, nil
	}
	return e
}

// rule makes one rule that of every environment.
func (e *effects) rule(rule gate.Approval) {
	for _, s := range e.sites {
		s.Policy.Approval = rule
	}
}

func (e *effects) turning(t activities.Target) *activities.TurningBack {
	return &activities.TurningBack{Site: e.sites[t.Environment], Now: func() time.Time { return e.clock() }}
}

// day is the partition that a step of a scenario builds.
func day(step string) partition.Key { return partition.Key("2026-01-" + step) }

// built builds a slice in the ledger, and audits it with an outcome.
func (e *effects) built(ctx context.Context, in activities.SliceInput, audit gate.Outcome) (activities.SliceResult, error) {
	key := in.Partition
	if key == "" {
		key = day(in.Step)
	}
	for _, it := range in.Items {
		key = it.Partition
	}
	l, of := e.ledgers[in.Target.Environment], in.Target.Release
	if in.Control != nil {
		of = *in.Control
	}
	built, err := l.Build(ctx, activities.BuildSpec{
		Key: in.Target.Effect(in.Step, key, in.Round), Config: in.Target.Config, Tenure: in.Target.Tenure, Release: of,
		Partition: key, Outputs: []string{"fct_orders"}, Control: in.Control != nil,
	}, func(activities.Progress) {})
	out := activities.SliceResult{Seconds: 1}
	for _, b := range built {
		l.audited(b.Generation.ID, audit)
		out.Pieces = append(out.Pieces, activities.Piece{
			Swap: generation.Swap{Output: b.Generation.Output, Partition: key, From: b.From, To: b.Generation.ID},
			Rows: 10, Audit: audit, Checks: 3, Why: "3 checks: " + string(audit),
		})
	}
	return out, err
}

// signal is a command to another workflow.
type signal struct {
	id, run, name string
	command       conduct.Command
}

// signalled notes a signal to another workflow, which may be over.
func (e *effects) signalled(_, id, run, name string, arg any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.signals = append(e.signals, signal{id: id, run: run, name: name, command: arg.(conduct.Command)})
	if slices.Contains(e.over, id) {
		return &temporal.UnknownExternalWorkflowExecutionError{}
	}
	return nil
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
	env.SetTestTimeout(5 * time.Minute) // of a busy machine: time itself is skipped
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&started{}, activities.NewCallerInterceptor(mayCall)}})
	workflows.RegisterWorkflows(env)
	for _, l := range e.ledgers {
		if l.tables != nil { // what the ledger says of a window is the workflow's time
			e.clock, l.clock = env.Now, env.Now
		}
	}
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(e.signalled).Maybe()
	control, build := e.bound()
	require.NoError(t, workflows.RegisterActivities(env, conduct.ControlQueue, control))
	require.NoError(t, workflows.RegisterActivities(env, conduct.BuildQueue, build))
	return env
}

// mayCall holds every scenario to the registry of callers: a call that it does not list would be refused by every worker. The IDs
// are the test environment's.
func mayCall(activityName, workflowType, _ string) error {
	for _, w := range workflows.Workflows() {
		if w.Name == workflowType {
			return activities.ApplicationError(workflows.MayCall(activityName, workflowType, strings.Join(append(w.IDs, "any")[:1], "")))
		}
	}
	return activities.ApplicationError(workflows.MayCall(activityName, workflowType, ""))
}

// started gives workflows the first run ID that a server gives them: the test environment has none.
type started struct {
	interceptor.WorkerInterceptorBase
}

func (*started) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &startedInbound{}
	in.Next = next
	return in
}

type startedInbound struct {
	interceptor.WorkflowInboundInterceptorBase
}

func (i *startedInbound) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	out := &startedOutbound{}
	out.Next = outbound
	return i.Next.Init(out)
}

type startedOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
}

func (o *startedOutbound) GetInfo(ctx workflow.Context) *workflow.Info {
	info := *o.Next.GetInfo(ctx)
	info.FirstRunID = "00000000-0000-4000-8000-000000000001"
	if info.ParentWorkflowExecution != nil { // the same ID may be started again
		info.FirstRunID = uuid.NewSHA1(uuid.Nil, []byte(info.WorkflowExecution.RunID)).String()
	}
	return &info
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
			return activities.WatchBaseline{Values: map[string]float64{"revenue": e.revenue}}, nil
		}),
		workflows.Enter.Bind(func(ctx context.Context, in activities.EnterInput) (activities.Entered, error) {
			defer e.called("Enter " + in.Target.Environment)
			called, err := e.enter(in.Target)
			if err != nil {
				return activities.Entered{}, activities.ApplicationError(err)
			}
			t, err := e.ledgers[in.Target.Environment].Enter(ctx, release.Tenure{
				Release: called, Config: in.Target.Config, Kind: in.Kind, Owner: string(in.Target.Owner), Plan: in.Plan, By: in.By, Reason: in.Reason,
			}, in.Target.Effect("enter", "", 0), []string{"fct_orders"}, in.Exclusive)
			policy := e.sites[in.Target.Environment].Policy
			return activities.Entered{Tenure: t, Rule: policy.Approval, Tells: policy.Notify.Tells()}, activities.ApplicationError(err)
		}),
		conduct.Effect(workflows.BeginWatch, func(ctx context.Context, in activities.Target) error {
			e.called("BeginWatch " + in.Environment)
			return activities.ApplicationError((&activities.Admitting{Site: e.sites[in.Environment]}).BeginWatch(ctx, in))
		}),
		conduct.Effect(workflows.Leave, func(ctx context.Context, in activities.Target) error {
			e.called("Leave " + in.Environment)
			return activities.ApplicationError((&activities.Admitting{Site: e.sites[in.Environment]}).Leave(ctx, in))
		}),
		conduct.Effect(workflows.RecordAnswers, func(ctx context.Context, in activities.RecordInput) error {
			e.called("RecordAnswers " + in.Gate.Why)
			return activities.ApplicationError((&activities.Admitting{Site: e.sites[in.Target.Environment]}).RecordAnswers(ctx, in))
		}),
		conduct.Effect(workflows.AttachShadow, func(ctx context.Context, in activities.ShadowInput) error {
			e.called("AttachShadow " + in.Target.Environment)
			return activities.ApplicationError((&activities.Publishing{Site: e.sites[in.Target.Environment]}).AttachShadow(ctx, in))
		}),
		conduct.Effect(workflows.DropShadow, func(ctx context.Context, in activities.ShadowInput) error {
			e.called("DropShadow " + in.Target.Environment)
			return activities.ApplicationError((&activities.Publishing{Site: e.sites[in.Target.Environment]}).DropShadow(ctx, in))
		}),
		workflows.Expand.Bind(func(ctx context.Context, in activities.ExpandInput) (generation.ExpandResult, error) {
			e.called("Expand " + in.Target.Environment)
			res, err := (&activities.Publishing{Site: e.sites[in.Target.Environment]}).Expand(ctx, in)
			return res, activities.ApplicationError(err)
		}),
		workflows.Publish.Bind(func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
			e.called("Publish " + in.Target.Environment + " " + in.Step)
			res, err := e.publish(ctx, in)
			return res, activities.ApplicationError(err)
		}),
		conduct.Effect(workflows.Attest, func(ctx context.Context, in activities.Target) error {
			e.called("Attest " + in.Environment)
			return activities.ApplicationError((&activities.Releases{Site: e.sites[in.Environment], Now: time.Now}).Attest(ctx, in))
		}),
		workflows.BeginTurnBack.Bind(func(ctx context.Context, in activities.BeginInput) (activities.Began, error) {
			if in.DryRun {
				e.called("Preview " + in.Target.Environment)
			} else {
				e.called("Begin " + in.Target.Environment)
			}
			begin := func() (activities.Began, error) { return e.turning(in.Target).Begin(ctx, in) }
			if e.begin == nil {
				began, err := begin()
				return began, activities.ApplicationError(err)
			}
			began, err := e.begin(ctx, in, begin)
			return began, activities.ApplicationError(err)
		}),
		workflows.BeginCompensation.Bind(func(ctx context.Context, in activities.CompensateInput) (activities.Began, error) {
			if in.DryRun {
				e.called("Preview " + in.Target.Environment)
			} else {
				e.called("Begin " + in.Target.Environment)
			}
			began, err := e.turning(in.Target).Compensate(ctx, in)
			return began, activities.ApplicationError(err)
		}),
		workflows.BeginRecovery.Bind(func(ctx context.Context, in activities.RecoverInput) (activities.Began, error) {
			e.called("Begin " + in.Target.Environment)
			if e.refuse != nil && in.Target.Environment == "prod" {
				return activities.Began{}, activities.ApplicationError(e.refuse)
			}
			began, err := e.turning(in.Target).Recover(ctx, in)
			return began, activities.ApplicationError(err)
		}),
		workflows.SwapPass.Bind(func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
			e.called("Swap " + in.Target.Environment)
			pass, err := e.swap(ctx, in)
			return pass, activities.ApplicationError(err)
		}),
		workflows.EndTurnBack.Bind(func(ctx context.Context, in activities.EndInput) (activities.Ended, error) {
			e.called("End " + in.Target.Environment)
			ended, err := e.turning(in.Target).End(ctx, in)
			return ended, activities.ApplicationError(err)
		}),
		workflows.FindRemains.Bind(func(ctx context.Context, in activities.RemainsInput) (activities.Remains, error) {
			e.called("FindRemains " + in.Target.Environment)
			found, err := e.turning(in.Target).Remains(ctx, in)
			return found, activities.ApplicationError(err)
		}),
		workflows.Look.Bind(func(ctx context.Context, in activities.LookInput) (activities.Look, error) {
			e.called("Look " + in.Target.Environment)
			seen, err := e.look(in)
			if err == nil {
				seen.Active = e.ledgers[in.Target.Environment].since(in.Target.Tenure)
			}
			return seen, err
		}),
		workflows.Inspect.Bind(func(ctx context.Context, in activities.InspectInput) (activities.InspectResult, error) {
			e.called("Inspect " + string(in.Kind))
			return e.inspect(ctx, in)
		}),
		workflows.Examine.Bind(func(ctx context.Context, in activities.InspectInput) (activities.InspectResult, error) {
			e.called("Examine " + string(in.Kind))
			return e.inspect(ctx, in)
		}),
		workflows.Survey.Bind(func(_ context.Context, in activities.SurveyInput) ([]activities.Surveyed, error) {
			e.called("Survey " + in.Environment)
			return e.survey, nil
		}),
		conduct.Effect(workflows.Housekeep, func(_ context.Context, in activities.HousekeepInput) error {
			e.called("Housekeep " + in.House.Schema)
			return activities.ApplicationError(e.housekeep(in.House))
		}),
		conduct.Effect(workflows.Announce, func(_ context.Context, in activities.AnnounceInput) error {
			e.called("Announce " + in.Target.Environment)
			if err := e.announce(in); err != nil {
				return activities.ApplicationError(err)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, told := range in.Events {
				told.Environment = in.Target.Environment
				e.told = append(e.told, told)
			}
			return nil
		}),
		workflows.Deliver.Bind(func(context.Context, activities.DeliverInput) (activities.Delivered, error) {
			e.called("Deliver")
			return e.deliver()
		}),
		workflows.PlanBackfill.Bind(func(_ context.Context, in activities.PlanFillInput) (activities.FillPlan, error) {
			e.called("PlanBackfill " + in.Target.Environment)
			planned, err := e.filler.plan(in)
			return planned, activities.ApplicationError(err)
		}),
		workflows.BeginBackfill.Bind(func(_ context.Context, in activities.BeginFillInput) (activities.BegunFill, error) {
			e.called("BeginBackfill " + in.Target.Environment)
			begun, err := e.filler.begin(in)
			return begun, activities.ApplicationError(err)
		}),
		workflows.EndBackfill.Bind(func(_ context.Context, in activities.EndFillInput) (activities.EndedFill, error) {
			e.called("EndBackfill " + in.Target.Environment)
			if e.filler.ended != nil {
				return e.filler.ended(), nil
			}
			return activities.EndedFill{Live: e.filler.live()}, nil
		}),
		workflows.PlanMigration.Bind(func(ctx context.Context, in activities.PlanMigrationInput) (activities.MigrationPlan, error) {
			e.called("PlanMigration " + in.Name)
			planned, err := e.migrating(in.Target).Plan(ctx, in)
			return planned, activities.ApplicationError(err)
		}),
		workflows.BeginMigration.Bind(func(ctx context.Context, in activities.BeginMigrationInput) (activities.MigrationPlan, error) {
			defer e.called("BeginMigration " + in.Name)
			begun, err := e.migrating(in.Target).Begin(ctx, in)
			return begun, activities.ApplicationError(err)
		}),
		workflows.EnterPhase.Bind(func(ctx context.Context, in activities.EnterPhaseInput) (activities.EnteredPhase, error) {
			entered, err := e.migrating(in.Target).EnterPhase(ctx, in)
			if entered.Entered {
				e.called("EnterPhase " + string(in.Phase))
			}
			return entered, activities.ApplicationError(err)
		}),
		workflows.MigrationStep.Bind(func(ctx context.Context, in activities.StepInput) (migrate.StepResult, error) {
			e.called("Step " + in.Step)
			done, err := e.migrating(in.Target).Step(ctx, in)
			return done, activities.ApplicationError(err)
		}),
		workflows.BrownOut.Bind(func(ctx context.Context, in activities.BrownoutInput) (activities.BrownoutOutput, error) {
			out, err := e.migrating(in.Target).Brownout(ctx, in)
			if in.On && err == nil && out.Tried.On() {
				e.called("BrownOut")
			}
			return out, activities.ApplicationError(err)
		}),
		workflows.Ungiven.Bind(func(ctx context.Context, in activities.UngivenInput) (activities.Ungiven, error) {
			why, err := e.migrating(in.Target).Ungiven(ctx, in)
			return why, activities.ApplicationError(err)
		}),
		workflows.MigrationBlockers.Bind(func(ctx context.Context, in activities.Target) (activities.Blocked, error) {
			blocked, err := e.migrating(in).Blockers(ctx, in)
			return blocked, activities.ApplicationError(err)
		}),
		conduct.Effect(workflows.AckMigration, func(ctx context.Context, in activities.AckInput) error {
			return activities.ApplicationError(e.migrating(in.Target).Ack(ctx, in))
		}),
		conduct.Effect(workflows.WithdrawAck, func(ctx context.Context, in activities.AckInput) error {
			return activities.ApplicationError(e.migrating(in.Target).WithdrawAck(ctx, in))
		}),
		conduct.Effect(workflows.AttestMigration, func(ctx context.Context, in activities.Target) error {
			return activities.ApplicationError(e.migrating(in).AttestMigration(ctx, in))
		}),
		workflows.EndMigration.Bind(func(ctx context.Context, in activities.EndMigrationInput) (activities.EndedMigration, error) {
			e.called("EndMigration " + in.How)
			ended, err := e.migrating(in.Target).End(ctx, in)
			return ended, activities.ApplicationError(err)
		}),
		workflows.Due.Bind(func(_ context.Context, in activities.DueInput) (activities.Due, error) {
			e.called("Due " + in.Target.Environment)
			due, err := e.due(in)
			return due, activities.ApplicationError(err)
		}),
		workflows.MissingFiles.Bind(func(_ context.Context, in activities.MissingInput) (activities.Missing, error) {
			e.called("Missing " + string(in.Partition))
			return e.missing(in)
		}),
		workflows.SetHold.Bind(func(_ context.Context, in activities.HoldInput) ([]activities.Held, error) {
			e.called("SetHold " + in.Environment)
			return e.hold(in)
		}),
		workflows.PlanAdoption.Bind(func(_ context.Context, in activities.AdoptInput) (adoption.Plan, error) {
			e.called("PlanAdoption " + in.Ask.Output)
			return e.adoption, nil
		}),
		workflows.ProveAdoption.Bind(e.adopting("ProveAdoption")),
		workflows.AdoptTable.Bind(e.adopting("AdoptTable")),
		workflows.ReleaseTable.Bind(e.adopting("ReleaseTable")),
	}
	build = []conduct.Bound{
		workflows.ValidateRelease.Bind(func(context.Context, activities.Target) (activities.ValidateResult, error) { return e.validate, nil }),
		workflows.ValidateSource.Bind(func(context.Context, activities.ValidateSourceInput) (activities.ValidateResult, error) {
			return e.validate, nil
		}),
		workflows.RebuildPass.Bind(func(ctx context.Context, in activities.PassInput) (activities.Pass, error) {
			e.called("Rebuild " + in.Target.Environment)
			pass, err := e.turning(in.Target).RebuildPass(ctx, in)
			return pass, activities.ApplicationError(err)
		}),
		workflows.FillSlice.Bind(func(_ context.Context, in activities.FillInput) (activities.Filled, error) {
			done, err := e.filler.fill(in)
			return done, activities.ApplicationError(err)
		}),
		workflows.CutBackfill.Bind(func(_ context.Context, in activities.CutInput) (activities.Filled, error) {
			e.called(fmt.Sprintf("CutBackfill %d", in.Part))
			done, err := e.filler.cut(in)
			return done, activities.ApplicationError(err)
		}),
		workflows.FillTable.Bind(func(ctx context.Context, in activities.FillTableInput) (activities.FilledTable, error) {
			e.called("FillTable")
			done, err := e.migrating(in.Target).Fill(ctx, in)
			return done, activities.ApplicationError(err)
		}),
		workflows.ProveMigration.Bind(func(ctx context.Context, in activities.Target) ([]migrate.Checked, error) {
			proved, err := e.migrating(in).Prove(ctx, in)
			return proved, activities.ApplicationError(err)
		}),
		workflows.BuildSlice.Bind(func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
			e.called("BuildSlice " + in.Target.Environment + " " + in.Step)
			res, err := e.build(ctx, in)
			return res, activities.ApplicationError(err)
		}),
		workflows.ChooseBaseline.Bind(func(_ context.Context, in activities.BaselineInput) (activities.BaselineResult, error) {
			return e.baseline(in)
		}),
		workflows.CompareCanary.Bind(func(_ context.Context, in activities.CompareInput) (activities.CompareResult, error) {
			e.called("CompareCanary " + in.Target.Environment)
			res, err := e.compare(in)
			if err == nil {
				e.ledgers[in.Target.Environment].judged(in, res.Verdict)
			}
			return res, err
		}),
	}
	return control, build
}

// adopting is an activity of an adoption.
func (e *effects) adopting(name string) func(context.Context, activities.AdoptInput) (adoption.Result, error) {
	return func(_ context.Context, in activities.AdoptInput) (adoption.Result, error) {
		e.called(name + " " + in.Ask.Output)
		if who := e.heldBy[name]; who != "" {
			return adoption.Result{Blocked: []generation.Session{{PID: 7, User: who}}}, nil
		}
		return adoption.Result{Done: true}, nil
	}
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
