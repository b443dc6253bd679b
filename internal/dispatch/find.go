package dispatch

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
	"drawbridge/workflows"
)

// pipelineName is what a pipeline may be called, as far as a query has to know.
var pipelineName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// A workflow that has just started is not in the server's list yet: a name that nothing has is looked for once more.
const (
	findAgain = 300 * time.Millisecond
	findTries = 5
)

// Find is the ID of the workflow that a person means: a full ID, PIPELINE@VERSION for the deployment of a release, or PIPELINE
// for its deployment that is open, else its newest. A version that no deployment has by itself means those of its tries, in
// the same way. Where several are open nothing is chosen: the error names them.
func (d *Desk) Find(ctx context.Context, arg string) (string, error) {
	return d.find(ctx, arg, func(context.Context, string) (bool, error) { return true, nil }, "are open")
}

// FindAsking is Find for a decision: where several are open, the one that asks a person is meant. What no worker answers for
// asks if the server says that it waits.
//
// Where none of a pipeline's deployments asks, the one other workflow of it that does is meant: a backfill, a run or a rollback.
func (d *Desk) FindAsking(ctx context.Context, arg string) (string, error) {
	asks := func(ctx context.Context, id string) (bool, error) {
		v, err := d.View(ctx, id)
		_, open := v.Open()
		return open || v.Stage == workflows.StageWaiting, err
	}
	id, err := d.find(ctx, arg, asks, "wait for a decision")
	if !pipelineName.MatchString(arg) {
		return id, err
	}
	if err == nil {
		if it, failed := asks(ctx, id); it || failed != nil {
			return id, nil //nolint:nilerr // to decide there says what is wrong
		}
	}
	waiting, failed := d.Waiting(ctx)
	if failed != nil {
		return id, err // then only deployments are known
	}
	var others []string
	for _, v := range waiting {
		if _, _, deployed := workflows.Deployed(v.ID); !deployed && v.Pipeline == arg {
			others = append(others, v.ID)
		}
	}
	switch len(others) {
	case 0:
		return id, err
	case 1:
		return others[0], nil
	}
	return "", fault.Newf(fault.Invalid, "find what asks of", arg, "name one of them in place of "+arg,
		fmt.Sprintf("%d wait for a decision: %s", len(others), strings.Join(others, ", ")))
}

// find looks for what is meant. Of several open ones those are meant that are; said is what they do, where that is not one.
func (d *Desk) find(ctx context.Context, arg string, are func(ctx context.Context, id string) (bool, error), said string) (string, error) {
	if strings.Contains(arg, "/") {
		return arg, nil
	}
	name, version, released := strings.Cut(arg, "@")
	if _, _, try := release.CutTry(version); try {
		return workflows.DeploymentID(name, version), nil
	}
	unknown := fault.Newf(fault.Invalid, "find a deployment of", arg, "list what there is: drawbridge status", "there is none")
	if !pipelineName.MatchString(name) {
		return "", unknown
	}
	if released {
		id := workflows.DeploymentID(name, version)
		_, err := d.Client.DescribeWorkflowExecution(ctx, id, "")
		if _, missing := errors.AsType[*serviceerror.NotFound](err); !missing {
			return id, err
		}
	}
	meant := func() ([]*workflowpb.WorkflowExecutionInfo, error) {
		all, err := d.deployments(ctx, name)
		return slices.DeleteFunc(all, func(e *workflowpb.WorkflowExecutionInfo) bool {
			_, of, _ := workflows.Deployed(e.GetExecution().GetWorkflowId())
			base, _, try := release.CutTry(of)
			return released && (base != version || !try)
		}), err
	}
	all, err := meant()
	for tries := 1; err == nil && len(all) == 0 && tries < findTries; tries++ {
		if err := pause(ctx, findAgain); err != nil {
			return "", err
		}
		all, err = meant()
	}
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", unknown
	}
	open, err := d.open(ctx, all)
	if err != nil {
		return "", err
	}
	switch len(open) {
	case 0:
		return newest(all).GetExecution().GetWorkflowId(), nil
	case 1:
		return open[0], nil
	}
	var those []string
	for _, id := range open {
		is, err := are(ctx, id)
		if err != nil {
			return "", err
		}
		if is {
			those = append(those, id)
		}
	}
	switch len(those) {
	case 0:
		those, said = open, "are open, and none is known to "+said
	case 1:
		return those[0], nil
	}
	_, version, _ = workflows.Deployed(those[0])
	return "", fault.Newf(fault.Invalid, "find a deployment of", arg, "name one of them, such as "+name+"@"+version,
		fmt.Sprintf("%d %s: %s", len(those), said, strings.Join(those, ", ")))
}

// deployments are the deployments of a pipeline that the server still lists, the latest run of each.
func (d *Desk) deployments(ctx context.Context, pipeline string) ([]*workflowpb.WorkflowExecutionInfo, error) {
	prefix := workflows.DeploymentsOf(pipeline)
	found, err := list(ctx, d.Client, fmt.Sprintf("WorkflowType = '%s' AND WorkflowId STARTS_WITH '%s' AND ExecutionStatus != 'ContinuedAsNew'",
		workflows.DeploymentName, prefix), pageSize)
	return latest(found), err
}

// open are the IDs of those that run. Where several seem to, each is asked for: the server's list lags behind.
func (d *Desk) open(ctx context.Context, all []*workflowpb.WorkflowExecutionInfo) ([]string, error) {
	var ids []string
	for _, e := range all {
		if e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			ids = append(ids, e.GetExecution().GetWorkflowId())
		}
	}
	if len(ids) < 2 {
		return ids, nil
	}
	var open []string
	for _, id := range ids {
		now, err := d.Client.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			return nil, d.Talk(id).explain(err)
		}
		if now.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			open = append(open, id)
		}
	}
	return open, nil
}

// newest is the one that started last.
func newest(all []*workflowpb.WorkflowExecutionInfo) *workflowpb.WorkflowExecutionInfo {
	last := all[0]
	for _, e := range all[1:] {
		if begun(e).After(begun(last)) {
			last = e
		}
	}
	return last
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
