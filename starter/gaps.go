package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/backfill"
	"drawbridge/internal/console"
)

func (a *app) gapsCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "gaps PIPELINE --env ENV",
		Short: "Find partitions that are missing, or older than their files",
		Long: `Compares what is live in an environment with the files that its worker sees, and with the schedule: holes between the first partition and
the last, files without a partition, partitions that are older than a file of theirs, and those that were due and have no file yet.
For what can be built it shows the backfill to type. It changes nothing. The exit code is 2 where something is missing.`,
		Example: "  drawbridge gaps shop --env prod\n  drawbridge gaps shop --env prod --json",
		GroupID: groupLook,
		Args:    between(1, 1, "PIPELINE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.gaps(cmd.Context(), args[0], p) },
	}
	f := cmd.Flags()
	f.StringVar(&p.env, "env", "", "environment")
	f.StringArrayVar(&p.configs, "config", nil, "ENV=FILE: a config that says where the pipeline is, in place of the packed one")
	return cmd
}

func (a *app) gaps(ctx context.Context, arg string, p place) error {
	if err := p.need("env"); err != nil {
		return err
	}
	res, name, err := a.inspect(ctx, arg, p, activities.InspectInput{Kind: activities.InspectGaps})
	if err != nil {
		return err
	}
	if res.Gaps == nil {
		res.Gaps = &backfill.Gaps{}
	}
	answer := console.Gaps{Pipeline: name, Environment: p.env, Gaps: *res.Gaps, Commands: console.Fill(name, p.env, res.Gaps.Fill)}
	if err := a.answer(answer, func(s console.Screen) string { return s.Gaps(answer) }); err != nil || answer.None() {
		return err
	}
	return exitRefused.err()
}
