package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// listed is a workflow as Temporal lists it, begun an hour ago.
func listed(id string, status enumspb.WorkflowExecutionStatus) []*workflowpb.WorkflowExecutionInfo {
	return []*workflowpb.WorkflowExecutionInfo{{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "run"}, Status: status, StartTime: timestamppb.New(noon().Add(-time.Hour)),
	}}
}

// visibility answers queries by what they contain.
type visibility struct {
	*server
	asked   []string
	answers func(query string) ([]*workflowpb.WorkflowExecutionInfo, error)
}

func (v *visibility) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	v.asked = append(v.asked, r.GetQuery())
	found, err := v.answers(r.GetQuery())
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: found}, err
}

func TestInboxFindsGatesWithAndWithoutSearchAttributes(t *testing.T) {
	t.Parallel()
	open := listed("deploy/shop/1.1.0", enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)
	for name, tc := range map[string]struct {
		status  workflows.Status
		unknown bool
		want    string
	}{
		"an open gate": {waitingStatus(), false, "drawbridge approve shop@1.1.0 --gate approval-prod --plan 999999999999 --reason TEXT"},
		"an open gate, attributes not registered": {waitingStatus(), true, "drawbridge approve shop@1.1.0 --gate approval-prod --plan 999999999999 --reason TEXT"},
		"none is open": {workflows.Status{Header: conduct.Header{Stage: workflows.StageCrossing}}, true, "No gate is open."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := staffed("prod")
			s.status = func() (workflows.Status, error) { return tc.status, nil }
			v := &visibility{server: s, answers: func(query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
				if tc.unknown && strings.Contains(query, workflows.StageAttribute) {
					return nil, serviceerror.NewInvalidArgument("invalid query: column name 'DrawbridgeStage' is not defined")
				}
				return open, nil
			}}
			x := newTerminal(t).with(v)
			require.Zero(t, x.run(t, "inbox"), x.errOut.String())
			require.Contains(t, x.out.String(), tc.want)
			require.Zero(t, x.run(t, "inbox", "--json"))
			require.NotEqual(t, "null\n", x.out.String())
		})
	}
}

func TestStatusOfAllIsAList(t *testing.T) {
	t.Parallel()
	s := staffed("prod")
	s.status = func() (workflows.Status, error) {
		return workflows.Status{Header: conduct.Header{Pipeline: "shop", Release: release.Release{Version: "1.1.0"}, Stage: workflows.StageCrossing, Gates: []gate.Gate{}}}, nil
	}
	v := &visibility{server: s, answers: func(query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
		if strings.Contains(query, "ExecutionStatus = 'Running'") {
			return listed("deploy/shop/1.1.0", enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING), nil
		}
		return listed("deploy/taxi/2.0.0", enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED), nil
	}}
	x := newTerminal(t).with(v)
	require.Zero(t, x.run(t, "status"), x.errOut.String())
	require.Contains(t, x.out.String(), "deploy/shop/1.1.0  crossing")
	require.Contains(t, x.out.String(), "deploy/taxi/2.0.0  abandoned")
	require.Contains(t, x.out.String(), "Next: drawbridge recover deploy/taxi/2.0.0")
	for _, query := range v.asked {
		require.Contains(t, query, "'drawbridge.Rollback'")
		require.NotContains(t, query, "drawbridge.Plan", "questions are not listed")
	}
}

func TestDoctorNamesEachRemedy(t *testing.T) {
	t.Parallel()
	v := &visibility{server: staffed("dev"), answers: func(query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
		if strings.Contains(query, workflows.GateAttribute) {
			return nil, serviceerror.NewInvalidArgument("not defined")
		}
		return nil, nil
	}}
	x := newTerminal(t).with(v)
	require.Equal(t, int(exitRefused), x.run(t, "doctor", "--env", "dev", "--env", "prod"))
	require.Contains(t, x.out.String(), "✔ Temporal")
	require.Contains(t, x.out.String(), "✔ store")
	require.Contains(t, x.out.String(), "→ temporal operator search-attribute create --name DrawbridgeGate --type Keyword\n")
	require.Contains(t, x.out.String(), "✔ drawbridge-dev ")
	require.Contains(t, x.out.String(), "✘ drawbridge-prod ")
	require.Contains(t, x.out.String(), "→ drawbridge-worker --env prod\n")

	require.Equal(t, int(exitRefused), newTerminal(t).run(t, "doctor"), "without a Temporal")
}

// waitingStatus is a deployment that waits at the approval of prod.
func waitingStatus() workflows.Status {
	return workflows.Status{
		Header: conduct.Header{
			Pipeline:    "shop",
			Release:     release.Release{Version: "1.1.0"},
			Stage:       workflows.StageWaiting,
			Environment: "prod",
			Gates: []gate.Gate{{
				Name: "approval-prod", Plan: "sha256:" + strings.Repeat("9", 64), Choices: []gate.Choice{gate.Approve, gate.Reject}, OpenedAt: noon(),
			}},
		},
	}
}

// Screens print the first digits of a plan; they are enough for whoever is asked about it.
func TestAPlanIsFoundByTheDigitsThatScreensPrint(t *testing.T) {
	t.Parallel()
	approved, asked := "sha256:"+strings.Repeat("9", 64), "sha256:"+strings.Repeat("8", 64)
	s := staffed("prod")
	s.status = func() (workflows.Status, error) { return waitingStatus(), nil }
	s.result = func(_ context.Context, answer any) error {
		answer.(*activities.ComputeResult).Summary.Digest = asked
		return nil
	}
	open := "deploy/shop/1.1.0"
	v := &visibility{server: s, answers: func(query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
		if strings.Contains(query, workflows.PlanName) {
			return listed("ask/plan/shop/1", enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED), nil
		}
		return listed(open, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING), nil
	}}
	x := newTerminal(t).with(v)
	desk, err := (&app{Main: x.main}).desk(t.Context())
	require.NoError(t, err)
	for digits, want := range map[string]string{"999999999999": approved, "888888888888": asked} {
		got, err := desk.FindPlan(t.Context(), digits)
		require.NoError(t, err, digits)
		require.Equal(t, want, got)
	}
	for _, command := range []string{"plan", "deploy"} {
		require.Equal(t, int(exitInvalid), x.run(t, command, "777777777777"))
		require.Contains(t, x.errOut.String(), "none of the last 200 plans and deployments has it")
	}
	open = "backfill/shop/prod/2026-01-01..2026-01-31"
	require.Equal(t, int(exitInvalid), x.run(t, "plan", "999999999999"))
	require.Contains(t, x.errOut.String(), "see it: drawbridge status "+open)
}

// The inbox shows what asks of a pipeline, whatever it is: to name the pipeline is enough where that is one workflow.
func TestADecisionAboutAPipelineFindsItsBackfill(t *testing.T) {
	t.Parallel()
	s := staffed("prod")
	s.status = func() (workflows.Status, error) { return waitingStatus(), nil }
	s.is = listed("", enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)[0]
	asking := listed("backfill/shop/prod/2026-01-01..2026-01-31", enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)
	v := &visibility{server: s, answers: func(query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
		if strings.Contains(query, "STARTS_WITH") {
			return nil, nil
		}
		return asking, nil
	}}
	desk, err := (&app{Main: newTerminal(t).with(v).main}).desk(t.Context())
	require.NoError(t, err)
	id, err := desk.FindAsking(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, "backfill/shop/prod/2026-01-01..2026-01-31", id)

	_, err = desk.FindAsking(t.Context(), "taxi")
	require.ErrorContains(t, err, "there is none", "it asks of another pipeline")

	asking = append(asking, listed("run/shop/prod/2026-02-01", enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)...)
	_, err = desk.FindAsking(t.Context(), "shop")
	require.ErrorContains(t, err, "2 wait for a decision: backfill/shop/prod/2026-01-01..2026-01-31, run/shop/prod/2026-02-01")
}

func TestDoctorLooksAtAFolderBeforeItsFirstDeployment(t *testing.T) {
	t.Parallel()
	v := &visibility{server: staffed(), answers: func(string) ([]*workflowpb.WorkflowExecutionInfo, error) { return nil, nil }}
	x := newTerminal(t).with(v)
	dir := shop(t, x)
	require.Equal(t, int(exitRefused), x.run(t, "doctor", "shop"))
	require.Contains(t, x.out.String(), "before its first deployment name its folder: drawbridge doctor ./shop")
	require.Equal(t, int(exitRefused), x.run(t, "doctor", dir))
	require.NotContains(t, x.out.String(), "✘ pipeline")
	require.Contains(t, x.out.String(), "✘ drawbridge-prod ", "the folder says which environments there are")
}

// A mistyped environment is no missing worker.
func TestAnEnvironmentThatThePipelineDoesNotKnowIsSaid(t *testing.T) {
	t.Parallel()
	x := newTerminal(t).with(staffed("prod"))
	require.Zero(t, x.run(t, "build", shop(t, x)), x.errOut.String())
	for _, typed := range [][]string{
		{"backfill", "shop", "--env", "prd", "--from", "2026-01-01", "--to", "2026-01-31", "--reason", "bad"},
		{"rollback", "shop", "--env", "prd", "--reason", "bad"},
	} {
		require.Equal(t, int(exitInvalid), x.run(t, typed...))
		require.Contains(t, x.errOut.String(), "choose one of dev, staging, prod")
		require.NotContains(t, x.errOut.String(), "drawbridge-worker")
	}
}

// Without an ID all that are open are shown, each as by its ID; one of them only can be followed.
func TestTheStatusOfMigrationsShowsAllThatAreOpen(t *testing.T) {
	t.Parallel()
	s := staffed("prod")
	s.status = func() (workflows.Status, error) {
		return workflows.Status{Header: conduct.Header{Pipeline: "shop", Stage: workflows.StageWatching, Environment: "prod"}}, nil
	}
	first, second, ended := "migrate/shop/prod/0001_channel", "migrate/shop/prod/0002_note", "migrate/shop/prod/0000_old"
	s.is = listed(first, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)[0]
	open := append(listed(first, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING), listed(second, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)...)
	v := &visibility{server: s, answers: func(query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
		if strings.Contains(query, "ExecutionStatus = 'Running'") {
			return open, nil
		}
		before := listed(ended, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED)
		before[0].CloseTime = timestamppb.New(noon())
		return before, nil
	}}
	x := newTerminal(t).with(v)
	require.Zero(t, x.run(t, "migrate", "status"), x.errOut.String())
	require.Equal(t, 2, strings.Count(x.out.String(), "watching"), x.out.String())
	require.NotContains(t, x.out.String(), ended)
	require.Zero(t, x.run(t, "migrate", "status", "--json"), x.errOut.String())
	require.Equal(t, 2, strings.Count(x.out.String(), `"stage": "watching"`), "each is an answer like that of its ID")

	require.Equal(t, int(exitInvalid), x.run(t, "migrate", "status", "--watch"))
	require.Contains(t, x.errOut.String(), "2 are open: "+first+", "+second)
	require.Contains(t, x.errOut.String(), "drawbridge status "+first+" --watch")
}
