package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

// planSearch is how many of the last workflows of a kind are searched for a plan.
const planSearch = 200

// FindPlan completes the first digits of a plan's digest, as screens print them: from the last plans that were asked for, and those
// that the last deployments have computed, go by, or ask people about.
func (d *Desk) FindPlan(ctx context.Context, hex string) (string, error) {
	found := map[string]string{} // digest -> the backfill or migration that it is of, if it is of one
	note := func(digest, of string) {
		if strings.HasPrefix(strings.TrimPrefix(digest, "sha256:"), hex) {
			found[digest] = of
		}
	}
	asked, err := list(ctx, d.Client, fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Completed'", workflows.PlanName), planSearch)
	if err != nil {
		return "", err
	}
	for _, e := range asked {
		var res activities.ComputeResult
		err := d.Client.GetWorkflow(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()).Get(ctx, &res)
		if err != nil {
			return "", fmt.Errorf("read the answer of %s: %w", e.GetExecution().GetWorkflowId(), err)
		}
		note(res.Summary.Digest, "")
	}
	if len(found) == 0 { // to ask them takes longer
		if err := d.plansOfChanges(ctx, note); err != nil {
			return "", err
		}
	}
	all := slices.Sorted(maps.Keys(found))
	switch len(all) {
	case 0:
		return "", fault.Newf(fault.Invalid, "find plan", hex, "give all 64 digits, or plan again: drawbridge plan DIR --to ENV",
			fmt.Sprintf("none of the last %d plans and deployments has it", planSearch))
	case 1:
		if id := found[all[0]]; id != "" {
			return "", fault.Newf(fault.Invalid, "find plan", hex, "see it: drawbridge status "+id, "it is the plan of "+id)
		}
		return all[0], nil
	}
	return "", fault.Newf(fault.Invalid, "find plan", hex, "give more of its digits", "it is the beginning of "+strings.Join(all, ", "))
}

// plansOfChanges notes the plans of the last deployments, backfills and migrations, and those of the gates at which they waited.
func (d *Desk) plansOfChanges(ctx context.Context, note func(digest, of string)) error {
	changes, err := list(ctx, d.Client, fmt.Sprintf("WorkflowType IN ('%s', '%s', '%s') AND ExecutionStatus != 'ContinuedAsNew'",
		workflows.DeploymentName, workflows.BackfillName, workflows.MigrationName), planSearch)
	if err != nil {
		return err
	}
	for _, v := range look(ctx, d.Client, changes) {
		of := ""
		if _, _, deployed := workflows.Deployed(v.ID); !deployed {
			of = v.ID
		}
		note(v.Plan, of)
		for _, g := range v.Gates {
			note(g.Plan, of)
		}
	}
	return nil
}
