package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/release"
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

// shown is the place as screens name it.
func (p place) shown(pipeline string) console.Place {
	return console.Place{Pipeline: pipeline, Environment: p.env, Output: p.output, Partition: p.partition}
}

// inspect asks an environment's worker about a pipeline: what is active there says where its warehouse is.
func (a *app) inspect(ctx context.Context, arg string, p place, in activities.InspectInput) (res activities.InspectResult, name string, err error) {
	if name, err = named(arg); err != nil {
		return res, name, err
	}
	configs, err := a.configs(ctx, p.configs)
	if err != nil {
		return res, name, err
	}
	in.Target = activities.Target{Environment: p.env, Release: release.Release{Pipeline: name}, Config: configs[p.env]}
	desk, err := a.desk(ctx)
	if err != nil {
		return res, name, err
	}
	res, err = dispatch.Ask[activities.InspectResult](ctx, desk, "inspect", dispatch.Order{
		Workflow: workflows.InspectionName, Pipeline: name, Environments: []string{p.env},
		Summary: string(in.Kind) + " of " + name + " in " + p.env, Input: in,
	})
	return res, name, err
}
