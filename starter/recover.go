package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/internal/dispatch"
	"drawbridge/workflows"
)

func (a *app) recoverCommand() *cobra.Command {
	var environments []string
	cmd := &cobra.Command{
		Use:   "recover PIPELINE[@VERSION]|ID",
		Short: "Finish what a terminated workflow left behind",
		Long: `A deployment, run or rollback that somebody terminated could not finish: status calls it abandoned. recover finishes an open
turn-back, and turns back what a deployment had published in part, in every environment, as the ledgers there say. What was
published in full stays. An environment that cannot be recovered now stops no other, and is named; run it again for that.`,
		Example: "  drawbridge recover shop@1.1.0\n  drawbridge recover rollback/shop/prod\n  drawbridge recover shop@1.1.0 --env dev,prod",
		GroupID: groupChange,
		Args:    between(1, 1, workflowArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.recover(cmd.Context(), args[0], environments)
		},
	}
	a.asFlag(cmd)
	cmd.Flags().StringSliceVar(&environments, "env", nil, "where it was, beside what Temporal still knows of that")
	return cmd
}

func (a *app) recover(ctx context.Context, arg string, environments []string) error {
	by, err := a.by()
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	id, err := desk.Find(ctx, arg)
	if err != nil {
		return err
	}
	left, err := desk.Abandoned(ctx, id, environments)
	if err != nil {
		return err
	}
	left.By = by
	t, err := desk.Begin(ctx, dispatch.Order{
		ID: workflows.RecoveryID(left.Workflow), Workflow: workflows.RecoveryName, Input: left,
		Pipeline: left.Pipeline, By: by, Environments: left.Environments, Summary: "recover " + left.Workflow,
	})
	if err != nil {
		return err
	}
	return a.follow(ctx, t, left.Environments, dispatch.UntilAsked, nil)
}
