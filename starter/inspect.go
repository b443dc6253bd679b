package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
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
	if p.partition == "" {
		return nil
	}
	_, err := partition.Typed(p.partition)
	return err
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
	res, err = a.answerOf(ctx, desk, in, string(in.Kind)+" of "+name+" in "+p.env)
	if err != nil && in.Target.Config == "" {
		err = cmp.Or(a.misnamed(ctx, desk, name, p.env), err)
	}
	return res, name, err
}

// misnamed says that no worker is missing but the environment is none: nobody works there, and the newest release of the pipeline
// does not know it. One that an older release knew may have a worker still.
func (a *app) misnamed(ctx context.Context, desk *dispatch.Desk, name, env string) error {
	if len(desk.Missing(ctx, []string{env})) == 0 {
		return nil
	}
	s, err := a.newest(ctx, name)
	if err != nil {
		return nil //nolint:nilerr // then nothing is known, and the first error stands
	}
	return s.in(env)
}

// answerOf asks, and reads a large answer from the store.
func (a *app) answerOf(ctx context.Context, desk *dispatch.Desk, in activities.InspectInput, summary string) (activities.InspectResult, error) {
	res, err := desk.Inspect(ctx, in, summary)
	if err != nil || res.Blob == "" {
		return res, err
	}
	s, err := a.store()
	if err != nil {
		return res, err
	}
	body, err := s.Blob(ctx, res.Blob)
	if err != nil {
		return res, err
	}
	var large activities.InspectResult
	if err := json.Unmarshal(body, &large); err != nil {
		return res, fmt.Errorf("read the answer %s: %w", res.Blob, err)
	}
	return large, nil
}
