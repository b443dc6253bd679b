package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/workflows"
)

func (a *app) runCommand() *cobra.Command {
	var env, key, batch string
	var configs []string
	var detach bool
	cmd := &cobra.Command{
		Use:   "run DIR|PIPELINE[@VERSION] --partition P",
		Short: "Build, audit and publish one partition",
		Long: `Builds one partition of all outputs, audits it and publishes it in one transaction. Running it again gives the same rows.
Where the environment appends, a batch that is live already is not appended again, and nothing changes.
A pipeline without a version runs with the release that is active in the environment. CONFIG=config.dev.yaml selects the
environment as --env dev does.`,
		Example: "  drawbridge run shop --env prod --partition 2026-01-31\n  CONFIG=config.dev.yaml drawbridge run ./shop --partition 2026-01-31",
		GroupID: groupChange,
		Args:    between(1, 1, "DIR or PIPELINE[@VERSION]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := a.environment(env)
			if err != nil {
				return err
			}
			if key == "" {
				return fault.Newf(fault.Invalid, "run", args[0], "name one: --partition 2026-01-31", "the partition is missing")
			}
			typed, err := partition.Typed(key)
			if err != nil {
				return err
			}
			if batch != "" && !pipeline.BatchName(batch) {
				return fault.Newf(fault.Invalid, "run", args[0], "call it by letters, digits, dots, dashes, colons and underscores, such as 2026-01-31.late; "+pipeline.FileBatch+"… are the names of files", "--batch "+strconv.Quote(batch)+" is no name of a batch")
			}
			return a.runPartition(cmd.Context(), args[0], chosen, typed, batch, configs, detach)
		},
	}
	a.asFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&env, "env", "", "environment (default dev)")
	f.StringVar(&key, "partition", "", "partition, such as 2026-01-31")
	f.StringVar(&batch, "batch", "", "where runs append: the name of what is appended; by default that of its files")
	f.StringArrayVar(&configs, "config", nil, "ENV=FILE: a config that replaces the packed one")
	f.BoolVar(&detach, "detach", false, "return when it has started")
	return cmd
}

func (a *app) runPartition(ctx context.Context, arg, env string, key partition.Key, batch string, configs []string, detach bool) error {
	by, err := a.by()
	if err != nil {
		return err
	}
	s, err := a.subject(ctx, arg)
	if err != nil {
		return err
	}
	if s.plan != "" {
		return fault.Newf(fault.Invalid, "run", s.title, "name a folder, PIPELINE or PIPELINE@VERSION", "a plan is deployed, not run")
	}
	if err := s.in(env); err != nil {
		return err
	}
	if s.source == "" && s.release.Digest == "" {
		if s, err = a.active(ctx, s.pipeline, place{env: env, configs: configs}); err != nil {
			return err
		}
	}
	if key, err = s.scheme.Parse(string(key)); err != nil {
		return err
	}
	replaced, err := a.configs(ctx, configs)
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	t, err := desk.Begin(ctx, dispatch.Order{
		ID: workflows.RunID(s.pipeline, env, key), Workflow: workflows.RunName,
		Pipeline: s.pipeline, Release: s.version, By: by, Environments: []string{env},
		Summary: fmt.Sprintf("run %s of %s in %s", key, s.title, env),
		Input: workflows.RunInput{
			Pipeline: s.pipeline, Source: s.source, Release: s.release, Environment: env, Config: replaced[env],
			Partition: key, Batch: batch, By: by,
		},
	})
	if err != nil {
		return err
	}
	return a.followUnless(ctx, detach, t, env)
}

// active is the release that is active in an environment, as its worker knows it.
func (a *app) active(ctx context.Context, name string, p place) (subject, error) {
	res, _, err := a.inspect(ctx, name, p, activities.InspectInput{Kind: activities.InspectHistory, Limit: 1})
	if err != nil {
		return subject{}, err
	}
	if res.History == nil || res.History.Active == nil {
		return subject{}, fault.Newf(fault.Invalid, "run", name, "name a release, "+name+"@VERSION, or deploy one first: drawbridge deploy "+name+"@VERSION --to "+p.env, "no release is active in "+p.env)
	}
	s, err := a.store()
	if err != nil {
		return subject{}, err
	}
	return a.kept(ctx, s, res.History.Active.Release.Digest)
}
