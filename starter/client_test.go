package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"drawbridge/activities"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// server is a Temporal that answers as it is told. What a test does not set must not be called: it panics.
type server struct {
	client.Client
	polled  map[string]time.Time // queue -> last poll
	start   func(o client.StartWorkflowOptions, workflow string, input any) error
	status  func() (workflows.Status, error)
	result  func(ctx context.Context, answer any) error
	pending []*workflowpb.PendingActivityInfo
	open    string // ID of what runs
	never   string // ID that nothing has had
	is      *workflowpb.WorkflowExecutionInfo
	update  func(o client.UpdateWorkflowOptions) (any, error)
	left    []any // signals
	started []client.StartWorkflowOptions
	inputs  []any
}

func (s *server) Close() {}

func (s *server) DescribeTaskQueue(_ context.Context, name string, _ enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	at, ok := s.polled[name]
	if !ok {
		return &workflowservice.DescribeTaskQueueResponse{}, nil
	}
	return &workflowservice.DescribeTaskQueueResponse{Pollers: []*taskqueuepb.PollerInfo{{LastAccessTime: timestamppb.New(at)}}}, nil
}

func (s *server) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if id == s.never {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	now := &workflowservice.DescribeWorkflowExecutionResponse{PendingActivities: s.pending, WorkflowExecutionInfo: s.is}
	if id == s.open {
		now.WorkflowExecutionInfo = &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
	}
	return now, nil
}

func (s *server) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	answer, err := s.update(o)
	return updated{answer: answer}, err
}

func (s *server) SignalWorkflow(_ context.Context, _, _, _ string, message any) error {
	s.left = append(s.left, message)
	return nil
}

// updated is the answer of an update.
type updated struct {
	client.WorkflowUpdateHandle
	answer any
}

func (u updated) Get(_ context.Context, into any) error {
	body, err := json.Marshal(u.answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (s *server) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	s.started = append(s.started, o)
	s.inputs = append(s.inputs, args[0])
	if err := s.start(o, workflow.(string), args[0]); err != nil {
		return nil, err
	}
	return run{server: s, id: o.ID}, nil
}

func (s *server) GetWorkflow(_ context.Context, id, _ string) client.WorkflowRun {
	return run{server: s, id: id}
}

func (s *server) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	status, err := s.status()
	if err != nil {
		return nil, err
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(status)
	return client.NewValue(payloads), err
}

type run struct {
	client.WorkflowRun
	server *server
	id     string
}

func (r run) GetID() string    { return r.id }
func (r run) GetRunID() string { return "run-of-" + r.id }
func (r run) Get(ctx context.Context, answer any) error {
	return r.server.result(ctx, answer)
}

// staffed is a server on which workers of these environments poll.
func staffed(environments ...string) *server {
	s := &server{polled: map[string]time.Time{}, start: func(client.StartWorkflowOptions, string, any) error { return nil }}
	for _, q := range dispatch.Queues(environments) {
		s.polled[q.Name] = noon().Add(-time.Second)
	}
	return s
}

// ends has every workflow end with a status.
func (s *server) ends(status workflows.Status) *server {
	s.result = func(_ context.Context, answer any) error {
		*answer.(*workflows.Status) = status
		return nil
	}
	return s
}

func running(client.StartWorkflowOptions, string, any) error {
	return serviceerror.NewWorkflowExecutionAlreadyStarted("running", "", "")
}

func TestDeployStartsOneDeploymentOfTheFolder(t *testing.T) {
	t.Parallel()
	s := staffed("dev", "staging").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone, Pipeline: "shop"}})
	x := newTerminal(t).with(s)
	dir := shop(t, x)
	require.Zero(t, x.run(t, "deploy", dir, "--to", "staging", "--rebuild", "last=2", "--reason", "why not", "--compensate", "all", "--config", "staging="+dir+"/config.staging.yaml"), x.errOut.String())
	require.Len(t, s.started, 1)
	o := s.started[0]
	require.Regexp(t, `^deploy/shop/1\.0\.0-[0-9a-f]{8}$`, o.ID, "nobody has claimed the version")
	require.Equal(t, workflows.Queue, o.TaskQueue)
	require.True(t, o.WorkflowExecutionErrorWhenAlreadyStarted, "without it, a second deployment would look started")
	require.Equal(t, enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL, o.WorkflowIDConflictPolicy)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, o.WorkflowIDReusePolicy)
	require.Contains(t, o.StaticSummary, "shop@1.0.0")
	require.Contains(t, o.StaticDetails, "why not")
	stage, ok := o.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(workflows.StageAttribute))
	require.True(t, ok)
	require.Equal(t, "planning", stage)
	in := s.inputs[0].(workflows.DeploymentInput)
	require.Equal(t, []string{"dev", "staging"}, in.Environments)
	require.NotEmpty(t, in.Source)
	require.Empty(t, in.Plan)
	require.Empty(t, in.Release)
	require.Equal(t, plan.Rebuild{Mode: plan.RebuildLast, Last: 2}, in.Rebuild)
	require.Equal(t, "ana", in.By)
	require.True(t, in.CompensateAll)
	require.Contains(t, in.Configs, "staging")
	require.Empty(t, x.errOut.String(), "every worker polls")
}

func TestDeployExitsAsItEnds(t *testing.T) {
	t.Parallel()
	for stage, code := range map[workflows.Stage]exit{
		workflows.StageDone: exitDone, workflows.StageRefused: exitRefused, workflows.StageRolledBack: exitRolledBack,
	} {
		x := newTerminal(t).with(staffed("dev").ends(workflows.Status{Header: conduct.Header{Stage: stage, Pipeline: "shop", Sentence: "because"}}))
		dir := shop(t, x)
		require.Equal(t, int(code), x.run(t, "deploy", dir, "--to", "dev"))
		require.Contains(t, x.out.String(), "because")
		require.Contains(t, x.out.String(), "Next: ")
		require.Equal(t, int(code), x.run(t, "deploy", dir, "--to", "dev", "--json"))
		var v view.View
		require.NoError(t, json.Unmarshal(x.out.Bytes(), &v), "stdout is for the answer")
		require.Equal(t, stage, v.Stage)
	}
}

func TestDeployDetachedSaysWhoIsMissing(t *testing.T) {
	t.Parallel()
	s := staffed("dev")
	x := newTerminal(t).with(s)
	require.Zero(t, x.run(t, "deploy", shop(t, x), "--to", "staging", "--detach"))
	require.Contains(t, x.out.String(), "Started deploy/shop/1.0.0")
	require.Contains(t, x.errOut.String(), "no worker answers on drawbridge-staging, drawbridge-staging-build")
	require.Contains(t, x.errOut.String(), "→ start one: drawbridge-worker --env staging\n")
}

func TestDeployAppliesAPlan(t *testing.T) {
	t.Parallel()
	s := staffed("dev", "staging").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone}})
	x := newTerminal(t).with(s)
	store, err := (&app{Main: x.main}).store()
	require.NoError(t, err)
	body, err := json.Marshal(plan.Plan{
		Release:      release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:1"},
		Environments: []plan.Environment{{Name: "dev"}, {Name: "staging"}},
	})
	require.NoError(t, err)
	digest, err := store.PutBlob(t.Context(), "application/json", body)
	require.NoError(t, err)

	require.Zero(t, x.run(t, "deploy", digest), x.errOut.String())
	in := s.inputs[0].(workflows.DeploymentInput)
	require.Equal(t, digest, in.Plan)
	require.Equal(t, []string{"dev", "staging"}, in.Environments)
	require.Empty(t, in.Source)
	require.Empty(t, in.Rebuild)
	require.Equal(t, digest, s.started[0].Memo["plan"], "the plan can be named when no worker answers")

	require.Equal(t, int(exitInvalid), x.run(t, "deploy", digest, "--to", "prod"))
	require.Contains(t, x.errOut.String(), "the plan goes to staging")
	require.Equal(t, int(exitInvalid), x.run(t, "deploy", digest, "--rebuild", "all"))
	require.Contains(t, x.errOut.String(), "a plan has its scope already")
	source, err := store.PutBlob(t.Context(), "application/json", []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, int(exitInvalid), x.run(t, "deploy", source))
	require.Contains(t, x.errOut.String(), "it is no plan")
	require.Len(t, s.started, 1)
}

func TestDeployOfAReleaseThatIsBeingDeployedIsRefused(t *testing.T) {
	t.Parallel()
	for _, stage := range []workflows.Stage{workflows.StageCrossing, workflows.StageWatching} {
		s := staffed("dev")
		s.start = running
		s.status = func() (workflows.Status, error) {
			return workflows.Status{Header: conduct.Header{Pipeline: "shop", Release: release.Release{Version: "1.0.0"}, By: "ben", Stage: stage, Sentence: "building"}}, nil
		}
		x := newTerminal(t).with(s)
		require.Equal(t, int(exitRefused), x.run(t, "deploy", shop(t, x), "--to", "dev"))
		require.Contains(t, x.errOut.String(), "shop@1.0.0 by ben runs already, "+string(stage)+": building")
		require.Contains(t, x.errOut.String(), "drawbridge status deploy/shop/1.0.0")
		require.Len(t, s.started, 1)
	}
}

// A folder is a try until its version is claimed, by whichever name it is called, and one that claimed it on its way is found
// under the ID that it began with.
func TestADeploymentIsOfATryUntilTheVersionIsClaimed(t *testing.T) {
	t.Parallel()
	s := staffed("dev").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone}})
	x := newTerminal(t).with(s)
	dir := shop(t, x)
	require.Zero(t, x.run(t, "deploy", dir, "--to", "dev"), x.errOut.String())
	require.Equal(t, int(exitInvalid), x.run(t, "deploy", "shop@1.0.0", "--to", "dev"))
	_, digits, _ := strings.Cut(s.started[0].ID, "1.0.0-")
	require.NotContains(t, x.errOut.String(), digits, "the worker has not built it yet")

	require.Zero(t, x.run(t, "build", dir), x.errOut.String())
	for _, arg := range []string{dir, "shop@1.0.0", "shop@1.0.0+" + digits} {
		require.Zero(t, x.run(t, "deploy", arg, "--to", "dev"), x.errOut.String())
		require.Equal(t, "deploy/shop/1.0.0", s.started[len(s.started)-1].ID, arg)
	}
	began := len(s.started)
	s.open = "deploy/shop/1.0.0-" + digits
	s.status = func() (workflows.Status, error) {
		return workflows.Status{Header: conduct.Header{Pipeline: "shop", Release: release.Release{Version: "1.0.0"}, By: "ben", Stage: workflows.StageWaiting}}, nil
	}
	require.Equal(t, int(exitRefused), x.run(t, "deploy", dir, "--to", "dev"))
	require.Contains(t, x.errOut.String(), "drawbridge status "+s.open)
	require.Len(t, s.started, began)

	edited := dir + "/sql/fct_orders.sql"
	body, err := os.ReadFile(edited)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(edited, append(body, "-- again\n"...), 0o644))
	require.Zero(t, x.run(t, "deploy", dir, "--to", "dev"), x.errOut.String())
	require.NotContains(t, s.started[began].ID, digits)
	require.Regexp(t, `^deploy/shop/1\.0\.0-[0-9a-f]{8}$`, s.started[began].ID, "another release has the version")
	require.Equal(t, int(exitRefused), x.run(t, "build", dir))
	require.Contains(t, x.errOut.String(), "raise the version")
}

func TestSearchAttributesAreNotNeeded(t *testing.T) {
	t.Parallel()
	s := staffed("dev").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone}})
	s.start = func(o client.StartWorkflowOptions, _ string, _ any) error {
		if o.TypedSearchAttributes.Size() > 0 {
			return serviceerror.NewInvalidArgument("Namespace default has no mapping defined for search attribute DrawbridgePipeline")
		}
		return nil
	}
	x := newTerminal(t).with(s)
	require.Zero(t, x.run(t, "deploy", shop(t, x), "--to", "dev"), x.errOut.String())
	require.Len(t, s.started, 2)
	require.Contains(t, x.errOut.String(), "→ temporal operator search-attribute create --name DrawbridgePipeline --type Keyword --name")
	require.Contains(t, x.errOut.String(), workflows.GateAttribute)
}

func TestQuestionsNeedAWorker(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		staff []string
		older time.Duration
		line  string
	}{
		"nobody works":                     {nil, 0, "start one: drawbridge-worker --env dev\n"},
		"only another environment's does":  {[]string{"prod"}, 0, "start one: drawbridge-worker --env dev\n"},
		"they polled too long ago to live": {[]string{"dev"}, 10 * time.Minute, "start one: drawbridge-worker --env dev --workflows\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := staffed(tc.staff...)
			for q := range s.polled {
				s.polled[q] = s.polled[q].Add(-tc.older)
			}
			x := newTerminal(t).with(s)
			dir := shop(t, x)
			for _, args := range [][]string{{"plan", dir, "--to", "dev"}, {"validate", dir, "--env", "dev"}} {
				require.Equal(t, int(exitRefused), x.run(t, args...))
				require.Contains(t, x.errOut.String(), "none polls drawbridge")
				require.Contains(t, x.errOut.String(), tc.line)
			}
			require.Empty(t, s.started, "nothing is asked that nobody answers")
		})
	}
}

func TestRunOfAFolder(t *testing.T) {
	t.Parallel()
	s := staffed("staging").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone}})
	x := newTerminal(t).with(s).set("CONFIG", "config.staging.yaml")
	dir := shop(t, x)
	require.Zero(t, x.run(t, "run", dir, "--partition", "2026-01-01"), x.errOut.String())
	require.Equal(t, "run/shop/staging/2026-01-01", s.started[0].ID)
	in := s.inputs[0].(workflows.RunInput)
	require.Equal(t, "staging", in.Environment)
	require.NotEmpty(t, in.Source)
	require.Equal(t, int(exitInvalid), x.run(t, "run", dir, "--partition", "2026-W01"))
	require.Contains(t, x.errOut.String(), "Write the day as 2026-01-31")
	require.Len(t, s.started, 1, "the key is read before anything has its name")
	require.Equal(t, int(exitInvalid), x.run(t, "run", dir, "--partition", "2026-01-01", "--env", "nowhere"))
	require.Contains(t, x.errOut.String(), "choose one of dev, staging, prod")
}

func TestAWorkflowThatFailsIsNamedWithItsError(t *testing.T) {
	t.Parallel()
	s := staffed("dev")
	s.result = func(context.Context, any) error {
		return fmt.Errorf("workflow execution error: %w", activities.ApplicationError(fault.Newf(fault.Invalid, "load", "data/orders.csv", "add the column", "its header lacks id")))
	}
	x := newTerminal(t).with(s)
	dir := shop(t, x)
	require.Equal(t, int(exitInvalid), x.run(t, "run", dir, "--partition", "2026-01-01"))
	require.Equal(t, "error: load data/orders.csv: its header lacks id\n→ add the column\nNext: drawbridge status run/shop/dev/2026-01-01\n", x.errOut.String())
	require.Equal(t, int(exitInvalid), x.run(t, "run", dir, "--partition", "2026-01-01", "--json"))
	var p problem
	require.NoError(t, json.Unmarshal(x.errOut.Bytes(), &p))
	require.Equal(t, "run/shop/dev/2026-01-01", p.ID)
	require.Empty(t, x.out.String(), "stdout is for the answer")
}

func TestRollbackNamesAReleaseAndARequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want turnback.Request
	}{
		"the release before":  {nil, turnback.Request{}},
		"a version":           {[]string{"--to", "1.1.0"}, turnback.Request{To: "1.1.0"}},
		"the retained data":   {[]string{"--data", "snapshot"}, turnback.Request{Snapshot: true}},
		"a tenure":            {[]string{"--to", "17"}, turnback.Request{To: "17"}},
		"without new outputs": {[]string{"--detach-new-outputs"}, turnback.Request{Detach: true}},
		"what is open":        {[]string{"--resume"}, turnback.Request{Resume: true}},
		"a partition":         {[]string{"--output", "o", "--partition", "p"}, turnback.Request{Output: "o", Partition: "p"}},
		"its last good one":   {[]string{"--output", "o", "--partition", "p", "--to", "last-good"}, turnback.Request{Output: "o", Partition: "p"}},
		"a whole partition":   {[]string{"--partition", "p", "--to", "nothing"}, turnback.Request{Partition: "p", To: "nothing"}},
		"one of its old ones": {[]string{"--output", "o", "--partition", "p", "--to", "41"}, turnback.Request{Output: "o", Partition: "p", Generation: 41}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := staffed("prod").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone}})
			x := newTerminal(t).with(s)
			require.Zero(t, x.run(t, append([]string{"rollback", "shop", "--env", "prod", "--reason", "bad", "--dry-run", "--verify", "full"}, tc.args...)...), x.errOut.String())
			require.True(t, strings.HasPrefix(s.started[0].ID, "preview/shop/"), "a question: a rollback that goes on meanwhile is none of its business")
			in := s.inputs[0].(workflows.RollbackInput)
			require.Equal(t, tc.want, in.Request)
			require.True(t, in.DryRun)
			require.EqualValues(t, "full", in.Verify)
			require.Equal(t, []string{"shop", "prod", "bad"}, []string{in.Pipeline, in.Environment, in.Reason})
		})
	}
}

// Two rollbacks of a pipeline are one: the second finds the first.
func TestARollbackHasOneIDForItsPipelineAndEnvironment(t *testing.T) {
	t.Parallel()
	s := staffed("prod").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone}})
	x := newTerminal(t).with(s)
	require.Zero(t, x.run(t, "rollback", "shop", "--env", "prod", "--reason", "bad"), x.errOut.String())
	require.Equal(t, "rollback/shop/prod", s.started[0].ID)
	require.False(t, s.inputs[0].(workflows.RollbackInput).DryRun)
}

func TestARollbackThatCannotBeMeantIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"without a reason":                 {[]string{"--env", "prod"}, "--reason TEXT"},
		"without an environment":           {[]string{"--reason", "bad"}, "--env prod"},
		"an output without a partition":    {[]string{"--env", "prod", "--reason", "bad", "--output", "o"}, "--partition P"},
		"one output of a partition away":   {[]string{"--env", "prod", "--reason", "bad", "--output", "o", "--partition", "p", "--to", "nothing"}, "taken away together"},
		"a generation of a release":        {[]string{"--env", "prod", "--reason", "bad", "--partition", "p", "--to", "1.0.0"}, "it is no generation"},
		"a release's last good one":        {[]string{"--env", "prod", "--reason", "bad", "--to", "last-good"}, "a generation belongs to a partition"},
		"a partition to a version":         {[]string{"--env", "prod", "--reason", "bad", "--output", "o", "--partition", "p", "--to", "1.0.0"}, "it is no generation"},
		"to what is no release":            {[]string{"--env", "prod", "--reason", "bad", "--to", "postgres://u:hunter2@h/x"}, "the name of the release is none"},
		"in what is no environment":        {[]string{"--env", "postgres://u:hunter2@h/x", "--reason", "bad"}, "the name of the environment is none"},
		"what is open, and to another end": {[]string{"--env", "prod", "--resume", "--to", "1.0.0"}, "what is open says where to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := staffed("prod")
			x := newTerminal(t).with(s)
			require.Equal(t, int(exitInvalid), x.run(t, append([]string{"rollback", "shop"}, tc.args...)...))
			require.Contains(t, x.errOut.String(), tc.says)
			require.NotContains(t, x.errOut.String(), "hunter2")
			require.Empty(t, s.started)
		})
	}
}

func TestFailureOfTheServerIsSaid(t *testing.T) {
	t.Parallel()
	s := staffed("dev")
	s.start = func(client.StartWorkflowOptions, string, any) error { return errors.New("quota") }
	x := newTerminal(t).with(s)
	require.Equal(t, int(exitInvalid), x.run(t, "deploy", shop(t, x), "--to", "dev"))
	require.Regexp(t, `start deploy/shop/1\.0\.0-[0-9a-f]{8}: quota`, x.errOut.String())
}

// What a dry run has shown is carried out by the command that it proposes, and the screen does not read as if it were done.
func TestADryRunProposesWhatItHasShown(t *testing.T) {
	t.Parallel()
	s := staffed("prod").ends(workflows.Status{Header: conduct.Header{Stage: workflows.StageDone, Sentence: "dry run: back by swap: 2 partitions"}})
	x := newTerminal(t).with(s)
	const id = "backfill/shop/prod/2026-01-01..2026-01-31"
	for _, tc := range []struct {
		typed []string
		next  string
	}{
		{
			[]string{"rollback", "shop", "--env", "prod", "--to", "1.0.0", "--reason", "it's bad", "--dry-run", "--detach-new-outputs"},
			`drawbridge rollback shop --detach-new-outputs --env prod --reason 'it'\''s bad' --to 1.0.0`,
		},
		{[]string{"backfill", "rollback", id, "--reason", "bad", "--dry-run"}, "drawbridge backfill rollback " + id + " --reason bad"},
		{
			[]string{"backfill", "shop", "--env", "prod", "--from", "2026-01-01", "--to", "2026-01-31", "--dry-run"},
			"drawbridge backfill shop --env prod --from 2026-01-01 --to 2026-01-31",
		},
	} {
		require.Zero(t, x.run(t, tc.typed...), x.errOut.String())
		require.Contains(t, x.out.String(), "Next: "+tc.next+"\n")
		require.Contains(t, x.out.String(), "dry run of ")
		require.NotContains(t, x.out.String(), "done")
	}
}
