package dispatch

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

// started is what every kind of workflow that changes an environment is started with.
type started struct {
	Pipeline     string            `json:"pipeline"`
	Environments []string          `json:"environments"`
	Environment  string            `json:"environment"`
	Configs      map[string]string `json:"configs"`
	Config       string            `json:"config"`
}

// Abandoned reads from a workflow's history which environments it was about. What is left of it, of whichever of its runs,
// the ledgers there say. One that runs compensates by itself.
func (d *Desk) Abandoned(ctx context.Context, id string) (workflows.RecoveryInput, error) {
	in := workflows.RecoveryInput{Workflow: id}
	description, err := d.Client.DescribeWorkflow(ctx, id, "")
	if err != nil {
		return in, d.Talk(id).explain(err)
	}
	if description.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return in, fault.Newf(fault.Refused, "recover", id, "let it turn itself back: drawbridge cancel "+id, "it is running")
	}
	first, err := firstEvent(ctx, d.Client, id, description.WorkflowExecution.RunID)
	if err != nil {
		return in, err
	}
	var of started
	if err := converter.GetDefaultDataConverter().FromPayloads(first.GetInput(), &of); err != nil {
		return in, fmt.Errorf("read the input of %s: %w", id, err)
	}
	in.Pipeline, in.Environments, in.Configs = of.Pipeline, of.Environments, of.Configs
	if of.Environment != "" {
		in.Environments = []string{of.Environment}
		if of.Config != "" {
			in.Configs = map[string]string{of.Environment: of.Config}
		}
	}
	if in.Pipeline == "" || len(in.Environments) == 0 {
		return in, fault.Newf(fault.Refused, "recover", id, "see what it was: drawbridge status "+id, "it changes no environment")
	}
	return in, nil
}

// firstEvent is how a run was started.
func firstEvent(ctx context.Context, c client.Client, id, run string) (*historypb.WorkflowExecutionStartedEventAttributes, error) {
	events := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return nil, fault.Newf(fault.Invalid, "read the history of", id, "roll back by hand: drawbridge rollback", "it is not kept any more")
	}
	first, err := events.Next()
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", id, err)
	}
	return first.GetWorkflowExecutionStartedEventAttributes(), nil
}
