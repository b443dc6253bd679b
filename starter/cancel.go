package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ID",
		Short:   "Ask a workflow to stop; what it published is turned back",
		Long:    "Requests cancellation. A deployment then turns back what it published, which takes a while: status shows it.",
		Example: "  drawbridge cancel shop\n  drawbridge cancel run/shop/dev/2026-01-31",
		GroupID: groupChange,
		Args:    between(1, 1, "ID or PIPELINE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.cancel(cmd.Context(), workflowID(args[0])) },
	}
}

func (a *app) cancel(ctx context.Context, id string) error {
	c, err := a.temporal(ctx)
	if err != nil {
		return err
	}
	if err := c.CancelWorkflow(ctx, id, ""); err != nil {
		return talk{id: id}.explain(err)
	}
	if a.json {
		return a.print(struct {
			ID        string `json:"id"`
			Requested bool   `json:"requested"`
		}{id, true})
	}
	fmt.Fprintf(a.Stdout, "Asked %s to stop. What it published is turned back first.\n", id)
	a.next("drawbridge status " + id + " --watch")
	return nil
}
