package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

// started is what every kind of workflow that changes an environment is started with.
type started struct {
	Pipeline     string            `json:"pipeline"`
	Environments []string          `json:"environments"`
	Environment  string            `json:"environment"`
	Configs      map[string]string `json:"configs"`
	Config       string            `json:"config"`
}

// startsRead bounds how many starts of one workflow are read.
const startsRead = 20

// Abandoned says what to recover of a workflow: from the history of each of its starts, which environments it was about. What is
// left of it there the ledgers say. One that runs compensates by itself. What a recovery left is left of what it recovers. Where
// Temporal keeps the history no more, a person names the environments.
func (d *Desk) Abandoned(ctx context.Context, id string, environments []string) (workflows.RecoveryInput, error) {
	for of, ok := workflows.Recovered(id); ok; of, ok = workflows.Recovered(id) {
		id = of
	}
	if _, _, _, ok := workflows.Migrated(id); ok {
		return workflows.RecoveryInput{}, fault.Newf(fault.Refused, "recover", id, "undo what it has done: drawbridge migrate rollback "+id+" --reason TEXT; or start it again, and it goes on",
			"a migration finishes itself, by its own command")
	}
	in := workflows.RecoveryInput{Workflow: id, Environments: environments}
	description, err := d.Client.DescribeWorkflow(ctx, id, "")
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		var named bool
		if in.Pipeline, named = workflows.PipelineOf(id); named && len(environments) > 0 {
			return in, nil
		}
		return in, fault.Newf(fault.Invalid, "recover", id,
			"list what there is: drawbridge status; where it was too long ago for that, say where it was: drawbridge recover "+id+" --env ENV",
			"there is no such workflow, or its history is not kept any more")
	}
	if err != nil {
		return in, err
	}
	if description.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return in, fault.Newf(fault.Refused, "recover", id, "let it turn itself back: drawbridge cancel "+id, "it is running")
	}
	runs, err := d.runs(ctx, id, description.WorkflowExecution.RunID)
	if err != nil {
		return in, err
	}
	for _, run := range runs {
		of, err := readStart(ctx, d.Client, id, run)
		if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
			continue // the server's list lags behind what it keeps
		}
		if err != nil {
			return in, err
		}
		of.into(&in)
	}
	if in.Pipeline == "" || len(in.Environments) == 0 {
		return in, fault.Newf(fault.Refused, "recover", id, "see what it was: drawbridge status "+id, "it changes no environment")
	}
	return in, nil
}

// runs are the runs of a workflow that the server still lists, newest first; the latest is among them in any case.
func (d *Desk) runs(ctx context.Context, id, latest string) ([]string, error) {
	runs := []string{latest}
	if strings.ContainsAny(id, `'"\`) { // no ID of ours that a query could name
		return runs, nil
	}
	found, err := list(ctx, d.Client, fmt.Sprintf("WorkflowId = '%s' AND ExecutionStatus != 'ContinuedAsNew'", id), startsRead)
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if run := e.GetExecution().GetRunId(); run != latest {
			runs = append(runs, run)
		}
	}
	return runs, nil
}

// into adds where a start of a workflow was about.
func (s started) into(in *workflows.RecoveryInput) {
	if in.Pipeline == "" {
		in.Pipeline = s.Pipeline
	}
	environments, configs := s.Environments, s.Configs
	if s.Environment != "" {
		environments, configs = []string{s.Environment}, map[string]string{s.Environment: s.Config}
	}
	for _, env := range environments {
		if !slices.Contains(in.Environments, env) {
			in.Environments = append(in.Environments, env)
		}
	}
	for env, config := range configs {
		if config == "" || slices.Contains(in.Configs[env], config) {
			continue
		}
		if in.Configs == nil {
			in.Configs = map[string][]string{}
		}
		in.Configs[env] = append(in.Configs[env], config)
	}
}

// readStart is how a run was started.
func readStart(ctx context.Context, c client.Client, id, run string) (of started, err error) {
	first, err := firstEvent(ctx, c, id, run)
	if err != nil {
		return of, err
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(first.GetInput(), &of); err != nil {
		return of, fmt.Errorf("read the input of %s: %w", id, err)
	}
	return of, nil
}

// firstEvent is how a run was started.
func firstEvent(ctx context.Context, c client.Client, id, run string) (*historypb.WorkflowExecutionStartedEventAttributes, error) {
	events := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return nil, fault.Newf(fault.Invalid, "read the history of", id, "say where it was: drawbridge recover "+id+" --env ENV", "it is not kept any more")
	}
	first, err := events.Next()
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", id, err)
	}
	return first.GetWorkflowExecutionStartedEventAttributes(), nil
}
