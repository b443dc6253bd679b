package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/workflows"
)

// firstRuns asks the server for the first run of the workflow that calls: an owner's name holds it, and whoever has the same
// ID later must not go by that name.
type firstRuns struct {
	client client.Client
	mu     sync.Mutex
	known  map[string]string // by run: it never changes
}

// fate is what has become of a workflow, and whether it waits at a gate, or is paused. One that was started again under the same ID is
// another one, and one that the server does not know any more said nothing when it ended.
func (f *firstRuns) fate(ctx context.Context, owner effect.Owner) (fate activities.Fate, stands string, err error) {
	id := owner.Workflow()
	first := strings.TrimPrefix(string(owner), id+"/")
	described, err := f.client.DescribeWorkflowExecution(ctx, id, "")
	if err == nil && described.GetWorkflowExecutionInfo().GetFirstRunId() != first {
		described, err = f.client.DescribeWorkflowExecution(ctx, id, first)
	}
	if _, unknown := errors.AsType[*serviceerror.NotFound](err); unknown {
		return activities.FateAbandoned, "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("look what has become of %s: %w", id, err)
	}
	found := described.GetWorkflowExecutionInfo()
	switch found.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return activities.FateOpen, standing(found.GetSearchAttributes()), nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return activities.FateEnded, "", nil
	default: // terminated, timed out, or an earlier run of one that has ended since
		return activities.FateAbandoned, "", nil
	}
}

// standing says that a workflow waits at a gate, or is paused, by what the server keeps of it; empty: it does neither.
func standing(attributes *commonpb.SearchAttributes) string {
	kept := func(name string) string {
		var text string
		_ = converter.GetDefaultDataConverter().FromPayload(attributes.GetIndexedFields()[name], &text) // another type is no attribute of ours
		return text
	}
	switch gate := kept(workflows.GateAttribute); {
	case gate != "":
		return "waits at " + gate
	case kept(workflows.StageAttribute) == string(workflows.StagePaused):
		return "is paused"
	}
	return ""
}

// knownRuns bounds the memory of first runs.
const knownRuns = 1000

func (f *firstRuns) of(ctx context.Context) (string, error) {
	caller := activity.GetInfo(ctx).WorkflowExecution
	f.mu.Lock()
	first, ok := f.known[caller.RunID]
	f.mu.Unlock()
	if ok {
		return first, nil
	}
	description, err := f.client.DescribeWorkflowExecution(ctx, caller.ID, caller.RunID)
	if err != nil {
		return "", fmt.Errorf("look at the caller %s: %w", caller.ID, err)
	}
	first = description.GetWorkflowExecutionInfo().GetFirstRunId()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil || len(f.known) >= knownRuns {
		f.known = map[string]string{}
	}
	f.known[caller.RunID] = first
	return first, nil
}
