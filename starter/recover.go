package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/internal/dispatch"
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
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.recover(cmd.Context(), dispatch.WorkflowID(args[0]))
		},
	}
	a.asFlag(cmd)
	return cmd
}

func (a *app) recover(ctx context.Context, id string) error {
	by, err := a.by()
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	left, err := desk.Abandoned(ctx, id)
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
	t, err := desk.Begin(ctx, dispatch.Order{
		ID: workflows.RecoveryID(id), Workflow: workflows.RecoveryName, Input: left,
		Pipeline: d.Pipeline, Release: d.Release.Version, By: by, Environments: d.Environments, Summary: "recover " + id,
	})
	if err != nil {
		return err
	}
	return a.follow(ctx, t, d.Environments, dispatch.UntilAsked, nil)
}
