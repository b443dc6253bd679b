package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"drawbridge/activities"
	"drawbridge/workflows"
)

const (
	// recentlyClosed is how many ended workflows a list shows beside the open ones.
	recentlyClosed = 10
	// pageSize bounds one page of a list.
	pageSize = 200
	// planSearch is how many of the last plans are searched for a digest.
	planSearch = 50
	// askers is how many workflows are asked for their status at the same time.
	askers = 8
)

// changing is the visibility query for the workflows that change something.
func changing() string {
	names := []string{workflows.DeploymentName, workflows.RunName, workflows.RollbackName, workflows.RecoveryName}
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

// overview returns the open workflows and the last that ended, each as it is now.
func overview(ctx context.Context, c client.Client) ([]view, error) {
	open, err := list(ctx, c, changing()+" AND ExecutionStatus = 'Running'", 0)
	if err != nil {
		return nil, err
	}
	ended, err := list(ctx, c, changing()+" AND ExecutionStatus != 'Running' AND ExecutionStatus != 'ContinuedAsNew'", recentlyClosed)
	if err != nil {
		return nil, err
	}
	return look(ctx, c, latest(append(open, ended...))), nil
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

// look asks several workflows for their status at the same time.
func look(ctx context.Context, c client.Client, all []*workflowpb.WorkflowExecutionInfo) []view {
	views := make([]view, len(all))
	slots := make(chan struct{}, askers)
	var group sync.WaitGroup
	for i, e := range all {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			views[i] = lookAt(ctx, talk{client: c, id: e.GetExecution().GetWorkflowId(), run: e.GetExecution().GetRunId()}, e)
		})
	}
	group.Wait()
	return views
}

// lookAt is one workflow as it is. What no worker can answer is told from what the server keeps: memo, search attributes
// and how it ended.
func lookAt(ctx context.Context, c conversation, e *workflowpb.WorkflowExecutionInfo) view {
	v := view{ID: e.GetExecution().GetWorkflowId()}
	started := e.GetStartTime().AsTime()
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
	s, err := c.Status(ctx)
	if err != nil {
		s = remembered(e)
		s.Sentence = "no worker answers; start one (" + startLines(queues(nil))[0] + "), or read the log of the one that runs"
		if v.Ended != nil {
			s.Sentence = ""
		}
	}
	v.Status = s
	if endedFromOutside(e.GetStatus()) && !s.Stage.Finished() {
		v.Stage = stageAbandoned
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

// waiting returns the workflows in which a gate is open: by search attribute, or, where it is not registered, by asking
// every open workflow.
func waiting(ctx context.Context, c client.Client) ([]view, error) {
	query := changing() + " AND ExecutionStatus = 'Running'"
	found, err := list(ctx, c, query+fmt.Sprintf(" AND %s = '%s'", workflows.StageAttribute, workflows.StageWaiting), 0)
	if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok {
		found, err = list(ctx, c, query, 0)
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(look(ctx, c, found), func(v view) bool {
		_, open := v.Open()
		return !open && v.Stage != workflows.StageWaiting
	}), nil
}

// findPlan looks for the digest that begins with hex among the answers of the last plans. None is no error.
func findPlan(ctx context.Context, c client.Client, hex string) (string, error) {
	last, err := list(ctx, c, fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Completed'", workflows.PlanName), planSearch)
	if err != nil {
		return "", err
	}
	for _, e := range last {
		var res activities.ComputeResult
		err := c.GetWorkflow(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()).Get(ctx, &res)
		if err != nil {
			return "", fmt.Errorf("read the answer of %s: %w", e.GetExecution().GetWorkflowId(), err)
		}
		if strings.HasPrefix(strings.TrimPrefix(res.Summary.Digest, "sha256:"), hex) {
			return res.Summary.Digest, nil
		}
	}
	return "", nil
}
