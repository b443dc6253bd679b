package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"drawbridge/internal/view"
	"drawbridge/workflows"
)

const (
	// recentlyClosed is how many ended workflows a list shows beside the open ones.
	recentlyClosed = 10
	// pageSize bounds one page of a list.
	pageSize = 200
	// askers is how many workflows are asked for their status at the same time.
	askers = 8
)

// changing is the visibility query for the workflows that change something.
func changing() string {
	names := []string{workflows.DeploymentName, workflows.RunName, workflows.ScheduledName, workflows.BackfillName, workflows.MigrationName, workflows.RollbackName, workflows.RecoveryName}
	return "WorkflowType IN ('" + strings.Join(names, "', '") + "')"
}

// lister lists workflows.
type lister interface {
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// list returns at most limit executions of a visibility query; 0 is all.
func list(ctx context.Context, c lister, query string, limit int) ([]*workflowpb.WorkflowExecutionInfo, error) {
	var all []*workflowpb.WorkflowExecutionInfo
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: pageSize}
	if limit > 0 {
		request.PageSize = int32(min(limit, pageSize))
	}
	for {
		page, err := c.ListWorkflow(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("list workflows: %w", err)
		}
		all = append(all, page.GetExecutions()...)
		if limit > 0 && len(all) >= limit {
			return all[:limit], nil
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return all, nil
		}
	}
}

// Overview returns the open workflows and the last that ended, each as it is now.
func (d *Desk) Overview(ctx context.Context) ([]view.View, error) {
	open, err := list(ctx, d.Client, changing()+" AND ExecutionStatus = 'Running'", 0)
	if err != nil {
		return nil, err
	}
	ended, err := list(ctx, d.Client, changing()+" AND ExecutionStatus != 'Running' AND ExecutionStatus != 'ContinuedAsNew'", recentlyClosed)
	if err != nil {
		return nil, err
	}
	return look(ctx, d.Client, latest(append(open, ended...))), nil
}

// latest keeps the newest execution of each workflow ID, in order, and drops what was recovered since.
func latest(all []*workflowpb.WorkflowExecutionInfo) []*workflowpb.WorkflowExecutionInfo {
	newest := map[string]*workflowpb.WorkflowExecutionInfo{}
	for _, e := range all {
		id := e.GetExecution().GetWorkflowId()
		if have, ok := newest[id]; !ok || e.GetStartTime().AsTime().After(have.GetStartTime().AsTime()) {
			newest[id] = e
		}
	}
	return slices.DeleteFunc(all, func(e *workflowpb.WorkflowExecutionInfo) bool {
		id := e.GetExecution().GetWorkflowId()
		recovery, recovered := newest[workflows.RecoveryID(id)]
		return newest[id] != e ||
			(recovered && endedFromOutside(e.GetStatus()) && recovery.GetStartTime().AsTime().After(e.GetStartTime().AsTime()))
	})
}

// since is the field of the memo that says when a workflow was started: what the server gives is the start of the history that it
// has gone on in last.
const since = "since"

// begun is when a workflow was started.
func begun(e *workflowpb.WorkflowExecutionInfo) time.Time {
	if at, err := time.Parse(time.RFC3339Nano, texts(e.GetMemo())[since]); err == nil {
		return at
	}
	return e.GetStartTime().AsTime()
}

// View is one workflow as it is now.
func (d *Desk) View(ctx context.Context, id string) (view.View, error) {
	t := d.Talk(id)
	found, err := d.Client.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return view.View{}, t.explain(err)
	}
	return lookAt(ctx, t, found.GetWorkflowExecutionInfo()), nil
}

// Listable says whether workflows can be listed; the error is the server's.
func (d *Desk) Listable(ctx context.Context) error {
	_, err := list(ctx, d.Client, changing(), 1)
	return err
}

// UnregisteredAttributes are our search attributes that the server does not know.
func (d *Desk) UnregisteredAttributes(ctx context.Context) ([]string, error) {
	var missing []string
	for _, name := range workflows.Attributes() {
		_, err := list(ctx, d.Client, fmt.Sprintf("%s = 'any'", name), 1)
		if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok {
			missing = append(missing, name)
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// look asks several workflows for their status at the same time.
func look(ctx context.Context, c client.Client, all []*workflowpb.WorkflowExecutionInfo) []view.View {
	views := make([]view.View, len(all))
	slots := make(chan struct{}, askers)
	var group sync.WaitGroup
	for i, e := range all {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			views[i] = lookAt(ctx, Talk{client: c, ID: e.GetExecution().GetWorkflowId(), Run: e.GetExecution().GetRunId()}, e)
		})
	}
	group.Wait()
	return views
}

// lookAt is one workflow as it is. What no worker can answer is told from what the server keeps: memo, search attributes
// and how it ended.
func lookAt(ctx context.Context, c conversation, e *workflowpb.WorkflowExecutionInfo) view.View {
	v := view.View{ID: e.GetExecution().GetWorkflowId()}
	started := begun(e)
	v.Started = &started
	if e.GetCloseTime() != nil {
		closed := e.GetCloseTime().AsTime()
		v.Ended = &closed
	}
	if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		if s, err := c.Result(ctx); err == nil {
			v.Status = s
			return v
		}
	}
	if v.Ended == nil {
		v.Retries = c.Retries(ctx)
	}
	s, err := c.Status(ctx)
	if err != nil {
		s = remembered(e)
		s.Sentence = "no worker answers; start one (" + StartLines(Queues(nil))[0] + "), or read the log of the one that runs"
		if v.Ended != nil {
			s.Sentence = ""
		}
	}
	v.Status = s
	if endedFromOutside(e.GetStatus()) && !s.Stage.Finished() {
		v.Stage = view.Abandoned
		v.Sentence = fmt.Sprintf("it was ended from outside (%s) before it was finished", strings.ToLower(e.GetStatus().String()))
	}
	if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_FAILED && !s.Stage.Finished() {
		v.Stage = workflows.StageRefused
	}
	return v
}

// endedFromOutside says that a workflow had no chance to compensate.
func endedFromOutside(s enumspb.WorkflowExecutionStatus) bool {
	return s == enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED || s == enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
}

// remembered is what the server knows of a workflow without any worker.
func remembered(e *workflowpb.WorkflowExecutionInfo) workflows.Status {
	var s workflows.Status
	started := texts(e.GetMemo())
	s.Pipeline, s.Release.Version, s.Plan, s.By = started["pipeline"], started["release"], started["plan"], started["by"]
	attribute := func(name string) string {
		var text string
		if p, ok := e.GetSearchAttributes().GetIndexedFields()[name]; ok {
			_ = converter.GetDefaultDataConverter().FromPayload(p, &text) // another type is no attribute of ours
		}
		return text
	}
	s.Stage = workflows.Stage(attribute(workflows.StageAttribute))
	s.Environment = attribute(workflows.EnvironmentAttribute)
	if v := attribute(workflows.ReleaseAttribute); v != "" {
		s.Release.Version = v
	}
	if p := attribute(workflows.PipelineAttribute); p != "" {
		s.Pipeline = p
	}
	return s
}

// texts are the texts of a memo.
func texts(m *commonpb.Memo) map[string]string {
	out := map[string]string{}
	for name, payload := range m.GetFields() {
		var text string
		if converter.GetDefaultDataConverter().FromPayload(payload, &text) == nil {
			out[name] = text
		}
	}
	return out
}

// Waiting returns the workflows in which a gate is open: by search attribute, or, where it is not registered, by asking
// every open workflow.
func (d *Desk) Waiting(ctx context.Context) ([]view.View, error) {
	query := changing() + " AND ExecutionStatus = 'Running'"
	found, err := list(ctx, d.Client, query+fmt.Sprintf(" AND %s = '%s'", workflows.StageAttribute, workflows.StageWaiting), 0)
	if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok {
		found, err = list(ctx, d.Client, query, 0)
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(look(ctx, d.Client, found), func(v view.View) bool {
		_, open := v.Open()
		return !open && v.Stage != workflows.StageWaiting
	}), nil
}
