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

// Abandoned reads from a workflow's history what it was started with. Only a deployment that was ended from outside is
// recovered: one that runs compensates by itself, and one that ended has done so.
func (d *Desk) Abandoned(ctx context.Context, id string) (workflows.RecoveryInput, error) {
	var in workflows.RecoveryInput
	description, err := d.Client.DescribeWorkflow(ctx, id, "")
	if err != nil {
		return in, d.Talk(id).explain(err)
	}
	refuse := func(hint, reason string) (workflows.RecoveryInput, error) {
		return in, fault.Newf(fault.Refused, "recover", id, hint, reason)
	}
	if description.WorkflowType.Name != workflows.DeploymentName {
		return refuse("start it again; a run and a rollback publish all or nothing", "it is no deployment")
	}
	switch {
	case description.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return refuse("let it turn itself back: drawbridge cancel "+id, "it is running")
	case !endedFromOutside(description.Status):
		return refuse("see how: drawbridge status "+id, "it ended by itself, and has turned back what it had to")
	}
	started, err := firstEvent(ctx, d.Client, id, description.WorkflowExecution.RunID)
	if err != nil {
		return in, err
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(started.GetInput(), &in.Deployment); err != nil {
		return in, fmt.Errorf("read the input of %s: %w", id, err)
	}
	if len(in.Deployment.Environments) == 0 {
		return refuse("nothing is left behind", "it was started without environments")
	}
	in.Key = workflows.EffectKey(id, started.GetFirstExecutionRunId())
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
