package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/console"
	"drawbridge/internal/partition"
)

func (a *app) diffCommand() *cobra.Command {
	var p place
	var left, right int64
	cmd := &cobra.Command{
		Use:   "diff PIPELINE --env ENV --output TABLE --partition P",
		Short: "Compare two generations of a partition",
		Long: `Counts rows and keys that went, came and changed, per column, between two generations of one partition: by default the
newest retired one and the live one. The worker compares; no row leaves the warehouse.`,
		Example: "  drawbridge diff shop --env prod --output fct_orders --partition 2026-01-31\n  drawbridge diff shop --env prod --output fct_orders --partition 2026-01-31 --left 41 --right 57",
		GroupID: groupLook,
		Args:    between(1, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.diff(cmd.Context(), args[0], p, left, right)
		},
	}
	p.flags(cmd)
	p.partitionFlag(cmd)
	cmd.Flags().Int64Var(&left, "left", 0, "generation (default: the newest retired one)")
	cmd.Flags().Int64Var(&right, "right", 0, "generation (default: the live one)")
	return cmd
}

func (a *app) diff(ctx context.Context, arg string, p place, left, right int64) error {
	if err := p.need("env", "output", "partition"); err != nil {
		return err
	}
	in := activities.InspectInput{Kind: activities.InspectDiff, Output: p.output, Partition: partition.Key(p.partition), Left: left, Right: right}
	res, name, err := a.inspect(ctx, arg, p, in)
	if err != nil {
		return err
	}
	if res.Diff == nil {
		res.Diff = &canary.Diff{}
	}
	return a.answer(res.Diff, func(s console.Screen) string { return s.Diff(p.shown(name), *res.Diff) })
}
