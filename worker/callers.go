package main

import (
	"context"
	"fmt"
	"sync"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
)

// firstRuns asks the server for the first run of the workflow that calls: an owner's name holds it, and whoever has the same
// ID later must not go by that name.
type firstRuns struct {
	client client.Client
	mu     sync.Mutex
	known  map[string]string // by run: it never changes
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
