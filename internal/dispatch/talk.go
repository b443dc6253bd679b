package dispatch

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// queryTimeout is how long a worker may take to answer a query; a person waits.
const queryTimeout = 3 * time.Second

// conversation is one workflow as the CLI talks with it.
type conversation interface {
	// Status asks a worker. Where none answers in time, the error is unreachable.
	Status(ctx context.Context) (workflows.Status, error)
	// Result waits until the workflow has ended. A status may come with an error.
	Result(ctx context.Context) (workflows.Status, error)
	// Retries are the activities that failed and are tried again now; none where the server does not say.
	Retries(ctx context.Context) []view.Retry
}

// Talk is a conversation through Temporal. An empty run is the latest one.
type Talk struct {
	client client.Client
	ID     string
	Run    string
}

// Status asks the workflow, which may have ended long ago.
func (t Talk) Status(ctx context.Context) (workflows.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, err := t.client.QueryWorkflow(ctx, t.ID, t.Run, workflows.StatusQuery)
	if err != nil {
		return workflows.Status{}, t.explain(err)
	}
	var s workflows.Status
	err = answer.Get(&s)
	return s, err
}

// Result follows continue-as-new. A cancelled workflow carries its last status in the details of the cancellation.
func (t Talk) Result(ctx context.Context) (workflows.Status, error) {
	var s workflows.Status
	err := t.client.GetWorkflow(ctx, t.ID, t.Run).Get(ctx, &s)
	if cancelled, ok := errors.AsType[*temporal.CanceledError](err); ok && cancelled.HasDetails() && cancelled.Details(&s) == nil {
		return s, nil
	}
	if _, ok := errors.AsType[*temporal.TerminatedError](err); ok {
		return s, fault.Newf(fault.Refused, "follow", t.ID, "turn back what it left: drawbridge recover "+t.ID, "it was terminated")
	}
	return s, t.explain(err)
}

// Decide sends a decision as an update and returns the gate as it is then.
func (t Talk) Decide(ctx context.Context, d gate.Decision) (gate.Gate, error) {
	return update[gate.Gate](ctx, t, workflows.Decide, d)
}

// Leave sends a decision as a signal, for whichever worker comes next.
func (t Talk) Leave(ctx context.Context, d gate.Decision) error {
	return t.explain(t.client.SignalWorkflow(ctx, t.ID, t.Run, workflows.Decide, d))
}

// Steer sends a command as an update and returns how the workflow stands then.
func (t Talk) Steer(ctx context.Context, m conduct.Command) (conduct.Steered, error) {
	return update[conduct.Steered](ctx, t, workflows.Steer, m)
}

// LeaveCommand sends a command as a signal, for whichever worker comes next.
func (t Talk) LeaveCommand(ctx context.Context, m conduct.Command) error {
	return t.explain(t.client.SignalWorkflow(ctx, t.ID, t.Run, workflows.Steer, m))
}

// update sends an update and waits for its answer.
func update[A any](ctx context.Context, t Talk, name string, message any) (A, error) {
	var answer A
	handle, err := t.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: t.ID, RunID: t.Run, UpdateName: name, Args: []any{message},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &answer)
	}
	return answer, t.explain(err)
}

// Retries asks the server, which knows even while no worker does. The latest run is meant: an earlier one waits for nothing.
func (t Talk) Retries(ctx context.Context) []view.Retry {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d, err := t.client.DescribeWorkflowExecution(ctx, t.ID, "")
	if err != nil {
		return nil
	}
	return retries(d.GetPendingActivities())
}

// longestError bounds the error of an attempt, in characters.
const longestError = 300

// retries are the activities that have failed at least once.
func retries(pending []*workflowpb.PendingActivityInfo) []view.Retry {
	var all []view.Retry
	for _, p := range pending {
		if p.GetAttempt() < 2 || p.GetLastFailure() == nil {
			continue
		}
		r := view.Retry{
			Activity: p.GetActivityType().GetName(), Attempt: int(p.GetAttempt()), Attempts: int(p.GetMaximumAttempts()),
			Error: shorten(strings.Join(strings.Fields(p.GetLastFailure().GetMessage()), " "), longestError),
		}
		if p.GetNextAttemptScheduleTime() != nil {
			r.Next = new(p.GetNextAttemptScheduleTime().AsTime())
		}
		all = append(all, r)
	}
	return all
}

func shorten(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// remembered is what the server keeps of a workflow without any worker: the plan digest that it was started with, and a gate that
// is open; empty where it has none.
func (t Talk) remembered(ctx context.Context) (plan, gate string) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d, err := t.client.DescribeWorkflow(ctx, t.ID, t.Run)
	if err != nil {
		return "", ""
	}
	gate, _ = d.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(workflows.GateAttribute))
	return texts(d.Memo)["plan"], gate
}
