package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/workflows/conduct"
)

func (a *app) cancelCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.Cancel}
	cmd := &cobra.Command{
		Use:     "cancel PIPELINE[@VERSION]|ID",
		Short:   "Ask a workflow to stop; what a deployment published, or a migration did, is turned back",
		Long:    "Requests cancellation. A deployment then turns back what it published, which takes a while: status shows it. A migration undoes what it\nhas done, step by step; once it takes the old shape away it is refused.\nWith --reason the history says who has cancelled it, and why.",
		Example: "  drawbridge cancel shop --reason 'amounts doubled'\n  drawbridge cancel run/shop/dev/2026-01-31",
		GroupID: groupChange,
		Args:    between(1, 1, workflowArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			if m.Reason != "" || a.as != "" {
				return a.steer(cmd.Context(), args[0], m)
			}
			return a.cancel(cmd.Context(), args[0])
		},
	}
	a.steerFlags(cmd, &m)
	return cmd
}

func (a *app) cancel(ctx context.Context, arg string) error {
	d, err := a.desk(ctx)
	if err != nil {
		return err
	}
	id, err := d.Find(ctx, arg)
	if err != nil {
		return err
	}
	if err := d.Cancel(ctx, id); err != nil {
		return err
	}
	return a.answer(struct {
		ID        string `json:"id"`
		Requested bool   `json:"requested"`
	}{id, true}, func(s console.Screen) string { return s.Asked(id) })
}
