package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

func (a *app) historyCommand() *cobra.Command {
	var p place
	var limit int
	cmd := &cobra.Command{
		Use:     "history PIPELINE --env ENV",
		Short:   "Show what changed for readers, or the generations of one partition",
		Long:    "Reads the ledger of an environment, through its worker. With --output and --partition: every generation of it.",
		Example: "  drawbridge history shop --env prod\n  drawbridge history shop --env prod --output fct_orders --partition 2026-01-31",
		GroupID: groupLook,
		Args:    between(1, 1, "PIPELINE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.history(cmd.Context(), args[0], p, limit) },
	}
	p.flags(cmd)
	p.partitionFlag(cmd)
	cmd.Flags().IntVar(&limit, "limit", 30, "at most so many lines")
	return cmd
}

func (a *app) history(ctx context.Context, arg string, p place, limit int) error {
	if err := p.need("env"); err != nil {
		return err
	}
	if p.output != "" || p.partition != "" {
		if err := p.need("output", "partition"); err != nil {
			return err
		}
	}
	in := activities.InspectInput{Kind: activities.InspectHistory, Limit: limit}
	if p.output != "" {
		in = activities.InspectInput{Kind: activities.InspectGenerations, Output: p.output, Partition: partition.Key(p.partition)}
	}
	res, name, err := a.inspect(ctx, arg, p, in)
	if err != nil {
		return err
	}
	if in.Kind == activities.InspectGenerations {
		all := append([]generation.Generation{}, res.Generations...)
		return a.answer(all, func(s console.Screen) string { return s.Generations(p.shown(name), all) })
	}
	if res.History == nil {
		res.History = &generation.History{}
	}
	return a.answer(res.History, func(s console.Screen) string { return s.History(p.shown(name), *res.History) })
}
