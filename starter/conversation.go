package main

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// queryTimeout is how long a worker may take to answer a query; a person waits.
const queryTimeout = 3 * time.Second

// conversation is one workflow as the CLI talks with it.
type conversation interface {
	// Status asks a worker. Where none answers in time, the error is unreachable.
	Status(ctx context.Context) (workflows.Status, error)
	// Result waits until the workflow has ended. A status may come with an error.
	Result(ctx context.Context) (workflows.Status, error)
	// Decide has a worker apply a decision and returns the gate as it is then.
	Decide(ctx context.Context, d gate.Decision) (gate.Gate, error)
	// Leave records a decision for whichever worker comes next.
	Leave(ctx context.Context, d gate.Decision) error
}

// talk is a conversation through Temporal. An empty run is the latest one.
type talk struct {
	client client.Client
	id     string
	run    string
}

// Status asks the workflow, which may have ended long ago.
func (t talk) Status(ctx context.Context) (workflows.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, err := t.client.QueryWorkflow(ctx, t.id, t.run, workflows.StatusQuery)
	if err != nil {
		return workflows.Status{}, t.explain(err)
	}
	var s workflows.Status
	err = answer.Get(&s)
	return s, err
}

// Result follows continue-as-new. A cancelled workflow carries its last status in the details of the cancellation.
func (t talk) Result(ctx context.Context) (workflows.Status, error) {
	var s workflows.Status
	err := t.client.GetWorkflow(ctx, t.id, t.run).Get(ctx, &s)
	if cancelled, ok := errors.AsType[*temporal.CanceledError](err); ok && cancelled.HasDetails() && cancelled.Details(&s) == nil {
		return s, nil
	}
	if _, ok := errors.AsType[*temporal.TerminatedError](err); ok {
		return s, fault.Newf(fault.Refused, "follow", t.id, "turn back what it left: drawbridge recover "+t.id, "it was terminated")
	}
	return s, t.explain(err)
}

// Decide sends an update. The same decision sent twice has the same ID, and counts once.
func (t talk) Decide(ctx context.Context, d gate.Decision) (gate.Gate, error) {
	handle, err := t.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: t.id, RunID: t.run, UpdateName: workflows.Decide, Args: []any{d},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return gate.Gate{}, t.explain(err)
	}
	var g gate.Gate
	err = handle.Get(ctx, &g)
	return g, t.explain(err)
}

// Leave sends a signal.
func (t talk) Leave(ctx context.Context, d gate.Decision) error {
	return t.explain(t.client.SignalWorkflow(ctx, t.id, t.run, workflows.Decide, d))
}

// explain names the workflow where the server does not know it.
func (t talk) explain(err error) error {
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return fault.Newf(fault.Invalid, "find", t.id, "list what there is: drawbridge status", "there is no such workflow, or it has ended")
	}
	return err
}

// workflowID is what a person means: a workflow ID, or the deployment of a pipeline.
func workflowID(arg string) string {
	for _, r := range arg {
		if r == '/' {
			return arg
		}
	}
	return workflows.DeploymentID(arg)
}

// silent says that a query found no worker: the server refuses at once where none polled lately, or the answer never came.
func silent(err error) bool {
	if _, ok := errors.AsType[*serviceerror.FailedPrecondition](err); ok {
		return true
	}
	if _, ok := errors.AsType[*serviceerror.Canceled](err); ok {
		return true
	}
	return unreachable(err)
}

// plan is the plan digest that the workflow was started with, as the server keeps it; empty where it has none.
func (t talk) plan(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d, err := t.client.DescribeWorkflow(ctx, t.id, t.run)
	if err != nil {
		return ""
	}
	return texts(d.Memo)["plan"]
}
