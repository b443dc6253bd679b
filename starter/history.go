package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// place is the flags that say where a question is about.
type place struct {
	env       string
	output    string
	partition string
	configs   []string
}

// flags adds those that every question has.
func (p *place) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.env, "env", "", "environment")
	f.StringVar(&p.output, "output", "", "output, a table")
	f.StringArrayVar(&p.configs, "config", nil, "ENV=FILE: a config that replaces the packed one")
}

func (p *place) partitionFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.partition, "partition", "", "partition, such as 2026-01-31")
}

// need refuses what is missing.
func (p place) need(flags ...string) error {
	given := map[string]string{"env": p.env, "output": p.output, "partition": p.partition}
	for _, f := range flags {
		if given[f] == "" {
			return fault.Newf(fault.Invalid, "read", "the command line", "give it: --"+f+" VALUE", "--"+f+" is missing")
		}
	}
	return nil
}

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
		if a.json {
			return a.print(append([]generation.Generation{}, res.Generations...))
		}
		a.showGenerations(name, p.env, in, res.Generations)
		return nil
	}
	if res.History == nil {
		res.History = &activities.History{}
	}
	if a.json {
		return a.print(res.History)
	}
	a.showHistory(name, p.env, *res.History)
	return nil
}

// inspect asks an environment's worker about a pipeline. The newest release in the store says where its warehouse is.
func (a *app) inspect(ctx context.Context, arg string, p place, in activities.InspectInput) (res activities.InspectResult, name string, err error) {
	if name, err = named(arg); err != nil {
		return res, name, err
	}
	s, err := a.newest(ctx, name)
	if err != nil {
		return res, name, err
	}
	if err := s.in(p.env); err != nil {
		return res, name, err
	}
	configs, err := a.configs(ctx, p.configs)
	if err != nil {
		return res, name, err
	}
	in.Target = activities.Target{Environment: p.env, Release: s.release, Config: configs[p.env]}
	res, err = ask[activities.InspectResult](ctx, a, "inspect", order{
		workflow: workflows.InspectionName, pipeline: name, environment: p.env, release: s.version,
		summary: string(in.Kind) + " of " + name + " in " + p.env, input: in,
	}, []string{p.env})
	return res, name, err
}
