package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

func (a *app) recoverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover ID",
		Short: "Turn back what a terminated deployment left behind",
		Long: `A deployment that somebody terminated could not compensate: status calls it abandoned. recover turns back everything that it
published, in every environment, from the ledger.`,
		Example: "  drawbridge recover deploy/shop",
		GroupID: groupChange,
		Args:    between(1, 1, "ID"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.recover(cmd.Context(), workflowID(args[0])) },
	}
	a.asFlag(cmd)
	return cmd
}

func (a *app) recover(ctx context.Context, id string) error {
	by, err := a.by()
	if err != nil {
		return err
	}
	c, err := a.temporal(ctx)
	if err != nil {
		return err
	}
	left, err := abandoned(ctx, c, id)
	if err != nil {
		return err
	}
	left.By = by
	d := &left.Deployment
	if d.Plan != "" && d.Release.Digest == "" {
		p, err := a.readPlan(ctx, d.Plan)
		if err != nil {
			return err
		}
		d.Release = p.Release
	}
	t, err := a.begin(ctx, order{
		id: workflows.RecoveryID(id), workflow: workflows.RecoveryName, input: left,
		pipeline: d.Pipeline, environment: d.Environments[len(d.Environments)-1], release: d.Release.Version,
		summary: "recover " + id,
		memo:    map[string]any{"pipeline": d.Pipeline, "release": d.Release.Version, "by": by, "environments": strings.Join(d.Environments, ",")},
	})
	if errors.Is(err, errRunning) {
		return a.running(ctx, t)
	}
	if err != nil {
		return err
	}
	return a.follow(ctx, t, d.Environments, untilAsked, nil)
}

// abandoned reads from a workflow's history what it was started with. Only a deployment that was ended from outside is
// recovered: one that runs compensates by itself, and one that ended has done so.
func abandoned(ctx context.Context, c client.Client, id string) (workflows.RecoveryInput, error) {
	var in workflows.RecoveryInput
	description, err := c.DescribeWorkflow(ctx, id, "")
	if err != nil {
		return in, talk{id: id}.explain(err)
	}
	refuse := func(hint, reason string) (workflows.RecoveryInput, error) {
		return in, fault.Newf(fault.Refused, "recover", id, hint, reason)
	}
	if description.WorkflowType.Name != workflows.DeploymentName {
		return refuse("start it again; a run and a rollback publish all or nothing", "it is no deployment")
	}
	switch {
	case description.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return refuse("let it turn itself back: drawbridge cancel "+id, "it is running")
	case !endedFromOutside(description.Status):
		return refuse("see how: drawbridge status "+id, "it ended by itself, and has turned back what it had to")
	}
	started, err := firstEvent(ctx, c, id, description.WorkflowExecution.RunID)
	if err != nil {
		return in, err
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(started.GetInput(), &in.Deployment); err != nil {
		return in, fmt.Errorf("read the input of %s: %w", id, err)
	}
	if len(in.Deployment.Environments) == 0 {
		return refuse("nothing is left behind", "it was started without environments")
	}
	in.Key = workflows.EffectKey(id, started.GetFirstExecutionRunId())
	return in, nil
}

// firstEvent is how a run was started.
func firstEvent(ctx context.Context, c client.Client, id, run string) (*historypb.WorkflowExecutionStartedEventAttributes, error) {
	events := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return nil, fault.Newf(fault.Invalid, "read the history of", id, "roll back by hand: drawbridge rollback", "it is not kept any more")
	}
	first, err := events.Next()
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", id, err)
	}
	return first.GetWorkflowExecutionStartedEventAttributes(), nil
}
