package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	// question names the workflow that the stack asks itself, its ID, and the task queue that is nobody else's.
	question = "drawbridge-devstack-ready"
	// answerLimit is far more than a busy machine needs, which is some seconds.
	answerLimit = time.Minute
)

// awaitTemporal returns when Temporal has answered a workflow. That it lists workflows shows that frontend and
// visibility are up; only an answer shows that what it accepts is dispatched.
func awaitTemporal(ctx context.Context, target string, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{
		HostPort: target, Namespace: namespace,
		// What cannot be reached is asked again, and in the end is an error: there is nothing to report before.
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return fmt.Errorf("await Temporal: %w", err)
	}
	defer c.Close()
	err = awaitList(limited, c)
	if err == nil {
		err = ask(limited, c)
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("temporal answered no workflow within %s: %w; if this happens again, `clean` deletes its state", limit, err)
	}
	return err
}

// awaitList lists workflows until the server does it.
func awaitList(ctx context.Context, c client.Client) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err := c.CountWorkflow(attempt, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace})
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("list workflows: %w: %w", ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// ask starts a workflow, answers it, and deletes it, so that the namespace holds the workflows of its users only.
func ask(ctx context.Context, c client.Client) error {
	w := worker.New(c, question, worker.Options{})
	w.RegisterWorkflowWithOptions(func(workflow.Context) error { return nil }, workflow.RegisterOptions{Name: question})
	if err := w.Start(); err != nil {
		return fmt.Errorf("work on a workflow: %w", err)
	}
	defer w.Stop()
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:        question,
		TaskQueue: question,
		// One that a killed stack has left is of no use: its task may be with a worker that is gone.
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
	}, question)
	if err != nil {
		return fmt.Errorf("start a workflow: %w", err)
	}
	if err := run.Get(ctx, nil); err != nil {
		return fmt.Errorf("await the answer of a workflow: %w", err)
	}
	if _, err := c.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace:         namespace,
		WorkflowExecution: &common.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
	}); err != nil {
		return fmt.Errorf("delete a workflow: %w", err)
	}
	return nil
}
