package dispatch

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

func execution(id string, status enumspb.WorkflowExecutionStatus, startedAgo time.Duration) *workflowpb.WorkflowExecutionInfo {
	e := &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: id + "-run"},
		Status:    status, StartTime: timestamppb.New(noon().Add(-startedAgo)),
	}
	if status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		e.CloseTime = timestamppb.New(noon())
	}
	return e
}

const (
	runs       = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	failed     = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	cancelled  = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
)

func TestWhatWasTerminatedIsAbandoned(t *testing.T) {
	t.Parallel()
	crossing := workflows.Status{Header: conduct.Header{Stage: workflows.StageCrossing, Pipeline: "shop"}}
	noWorkerAnswers := serviceerror.NewDeadlineExceeded("no worker")
	for name, tc := range map[string]struct {
		how    enumspb.WorkflowExecutionStatus
		status workflows.Status
		err    error
		want   workflows.Stage
	}{
		"terminated in the middle":            {terminated, crossing, nil, view.Abandoned},
		"terminated, and no worker answers":   {terminated, workflows.Status{}, noWorkerAnswers, view.Abandoned},
		"terminated after it was finished":    {terminated, workflows.Status{Header: conduct.Header{Stage: workflows.StageDone}}, nil, workflows.StageDone},
		"running":                             {runs, crossing, nil, workflows.StageCrossing},
		"running, and no worker answers":      {runs, workflows.Status{}, noWorkerAnswers, "waiting"},
		"failed, and no worker answers":       {failed, workflows.Status{}, noWorkerAnswers, workflows.StageRefused},
		"ended by itself":                     {completed, workflows.Status{Header: conduct.Header{Stage: workflows.StageRolledBack}}, nil, workflows.StageRolledBack},
		"cancelled, and compensated as asked": {cancelled, workflows.Status{Header: conduct.Header{Stage: workflows.StageRolledBack}}, nil, workflows.StageRolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{
				status: func(context.Context) (workflows.Status, error) { return tc.status, tc.err },
				result: func(context.Context) (workflows.Status, error) { return tc.status, tc.err },
			}
			e := execution("deploy/shop/1.1.0", tc.how, time.Hour)
			stage, err := converter.GetDefaultDataConverter().ToPayload("waiting")
			require.NoError(t, err)
			e.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{workflows.StageAttribute: stage}}
			v := lookAt(t.Context(), s, e)
			require.Equal(t, tc.want, v.Stage)
			require.Equal(t, tc.how != runs, v.Ended != nil)
		})
	}
}

func TestListKeepsTheNewestAndDropsTheRecovered(t *testing.T) {
	t.Parallel()
	all := []*workflowpb.WorkflowExecutionInfo{
		execution("deploy/shop/1.1.0", runs, time.Minute),
		execution("deploy/shop/1.1.0", completed, time.Hour),
		execution("deploy/taxi/1.0.0", terminated, 2*time.Hour),
		execution("recover/deploy/taxi/1.0.0", completed, time.Hour),
		execution("deploy/bike/1.0.0", terminated, time.Hour),
		execution("recover/deploy/bike/1.0.0", completed, 2*time.Hour),
	}
	var ids []string
	for _, e := range latest(all) {
		ids = append(ids, e.GetExecution().GetWorkflowId()+" "+e.GetStatus().String())
	}
	require.Equal(t, []string{"deploy/shop/1.1.0 Running", "recover/deploy/taxi/1.0.0 Completed", "deploy/bike/1.0.0 Terminated", "recover/deploy/bike/1.0.0 Completed"}, ids,
		"a recovery from before the termination is another one's")
}

func TestOnlyWhatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	next := timestamppb.New(noon().Add(time.Minute))
	pending := func(name string, attempt int32, message string) *workflowpb.PendingActivityInfo {
		p := &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: name}, Attempt: attempt, MaximumAttempts: 45}
		if message != "" {
			p.LastFailure = &failurepb.Failure{Message: message}
			p.NextAttemptScheduleTime = next
		}
		return p
	}
	got := retries([]*workflowpb.PendingActivityInfo{
		pending("Observe", 1, ""), // runs for the first time
		pending("Build", 2, ""),   // another attempt after a lost worker that said nothing
		pending("Publish", 4, "connection\n refused "+strings.Repeat("x", 1000)),
	})
	require.Len(t, got, 1)
	require.Equal(t, "Publish", got[0].Activity)
	require.Equal(t, 4, got[0].Attempt)
	require.Equal(t, 45, got[0].Attempts)
	require.Equal(t, next.AsTime(), *got[0].Next)
	require.Contains(t, got[0].Error, "connection refused xxx", "in one line")
	require.Len(t, []rune(got[0].Error), longestError)
}

// noon is the time of every test.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
