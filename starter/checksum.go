package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
)

func (a *app) checksumCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:     "checksum PIPELINE --env ENV --output TABLE",
		Short:   "Count and checksum a published table",
		Long:    "Reads a whole published table, through the environment's worker. Equal rows have the equal checksum, in any order.",
		Example: "  drawbridge checksum shop --env prod --output fct_orders",
		GroupID: groupLook,
		Args:    between(1, 1, "PIPELINE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.checksum(cmd.Context(), args[0], p) },
	}
	p.flags(cmd)
	return cmd
}

func (a *app) checksum(ctx context.Context, arg string, p place) error {
	if err := p.need("env", "output"); err != nil {
		return err
	}
	res, name, err := a.inspect(ctx, arg, p, activities.InspectInput{Kind: activities.InspectChecksum, Output: p.output})
	if err != nil {
		return err
	}
	sum := console.Sum{Pipeline: name, Environment: p.env, Output: p.output, Rows: res.Rows, Checksum: res.Checksum}
	return a.answer(sum, func(s console.Screen) string { return s.Sum(sum) })
}
