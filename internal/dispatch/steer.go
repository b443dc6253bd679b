package dispatch

import (
	"context"
	"errors"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"

	"drawbridge/internal/fault"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// Steer hands a command to a workflow and, where a worker applied it, returns how the workflow stands then. What the server
// alone knows to be of no use is refused, whether a worker is there or not.
func (d *Desk) Steer(ctx context.Context, id string, m conduct.Command) (Delivery, conduct.Steered, error) {
	t := d.Talk(id)
	if err := t.steerable(ctx, m.Kind); err != nil {
		return "", conduct.Steered{}, err
	}
	return deliver(ctx, m, t.Steer, t.LeaveCommand, answerTimeout)
}

// Cancel asks a workflow to stop. It compensates first. One that has ended is refused: nothing of it is turned back any more; so is a
// migration that takes the old shape away.
func (d *Desk) Cancel(ctx context.Context, id string) error {
	t := d.Talk(id)
	if _, err := t.still(ctx, conduct.Cancel); err != nil {
		return err
	}
	if _, _, _, ok := workflows.Migrated(id); ok {
		if s, err := t.Status(ctx); err == nil && s.Migration != nil && s.Migration.Committed {
			return fault.Newf(fault.Conflict, string(conduct.Cancel), id, "let it go on: drawbridge status "+id, "it is past its point of no return")
		}
	}
	return t.explain(d.Client.CancelWorkflow(ctx, id, ""))
}

// Runs says whether a workflow runs. One that the server does not know any more does not.
func (d *Desk) Runs(ctx context.Context, id string) (bool, error) {
	found, err := d.Client.DescribeWorkflowExecution(ctx, id, "")
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return false, nil
	}
	return found.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, d.Talk(id).explain(err)
}

// still refuses a command to a workflow that has ended.
func (t Talk) still(ctx context.Context, kind conduct.Kind) (*workflowpb.WorkflowExecutionInfo, error) {
	found, err := t.client.DescribeWorkflowExecution(ctx, t.ID, t.Run)
	if err != nil {
		return nil, t.explain(err)
	}
	now := found.GetWorkflowExecutionInfo()
	if now.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil, fault.Newf(fault.Conflict, string(kind), t.ID, "see how it ended: drawbridge status "+t.ID, "it has ended")
	}
	return now, nil
}

// steerable refuses a command to a workflow that has ended, or that never obeys it.
func (t Talk) steerable(ctx context.Context, kind conduct.Kind) error {
	now, err := t.still(ctx, kind)
	if err != nil {
		return err
	}
	if takes := workflows.Takes(now.GetType().GetName()); !slices.Contains(takes, kind) {
		return conduct.NotTaken(t.ID, kind, takes)
	}
	return nil
}
