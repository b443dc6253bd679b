package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/adoption"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/shell"
	"drawbridge/workflows"
)

// adopting is the flags of adopt and release-table.
type adopting struct {
	env, until, reason string
	config             []string
	yes                bool
}

func (f *adopting) flags(a *app, cmd *cobra.Command) {
	a.asFlag(cmd)
	cmd.Flags().StringVar(&f.env, "env", "", "environment")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for those who look later")
	cmd.Flags().StringArrayVar(&f.config, "config", nil, "ENV=FILE: a config that replaces the packed one")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do what the plan says; without it the plan is shown, and nothing changes")
}

func (a *app) adoptCommand() *cobra.Command {
	var f adopting
	cmd := &cobra.Command{
		Use:   "adopt PIPELINE@VERSION TABLE --env ENV",
		Short: "Make a table that is there already an output, without a copy of its rows",
		Long: `Turns a plain table into the output of its name, in one short transaction: its rows become a partition of it, and owner, rights, policies,
comments and views stay. What is proved before keeps nobody from reading or writing. An output that is one partition gets the table as its live
generation. One that is cut by time or into ranges gets it as one legacy partition, up to --until; partitions from there on are built as usual.
It shows the plan, and what an output cannot keep, by name. With --yes it does it. Where it was stopped the same command goes on.`,
		Example: "  drawbridge adopt shop@1.0.0 fct_orders --env prod\n  drawbridge adopt shop@1.0.0 fct_orders --env prod --until 2026-02-01 --reason 'ours from February on' --yes",
		GroupID: groupChange,
		Args:    between(2, 2, "PIPELINE@VERSION TABLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.adopt(cmd.Context(), args[0], activities.AdoptInput{Ask: adoption.Ask{Output: args[1], Until: partition.Key(f.until)}}, f)
		},
	}
	f.flags(a, cmd)
	cmd.Flags().StringVar(&f.until, "until", "", "first partition that is built, such as 2026-02-01 (default: the one after the newest row)")
	return cmd
}

func (a *app) releaseTableCommand() *cobra.Command {
	var f adopting
	cmd := &cobra.Command{
		Use:   "release-table PIPELINE@VERSION TABLE --env ENV",
		Short: "Give an adopted table back, as a plain one",
		Long: `Undoes adopt, in one short transaction: the table takes its name back, with the rights and comments that the output has now, and can be written
again; views read it. It is refused while anything else is live of the output. Of a table whose adoption was not done it drops what that has
left. It shows the plan; with --yes it does it.`,
		Example: "  drawbridge release-table shop@1.0.0 fct_orders --env prod --reason 'back to the old job' --yes",
		GroupID: groupChange,
		Args:    between(2, 2, "PIPELINE@VERSION TABLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.adopt(cmd.Context(), args[0], activities.AdoptInput{Ask: adoption.Ask{Output: args[1]}, Back: true}, f)
		},
	}
	f.flags(a, cmd)
	return cmd
}

// adoptionLasts bounds an adoption: it reads all rows, of however large a table.
const adoptionLasts = 24 * time.Hour

func (a *app) adopt(ctx context.Context, arg string, in activities.AdoptInput, f adopting) error {
	if f.env == "" {
		return fault.Newf(fault.Invalid, "read", "--env", "name the environment: --env prod", "it is missing")
	}
	if f.yes && f.reason == "" {
		return fault.Newf(fault.Invalid, "read", "--reason", "say why: --reason TEXT", "it is missing")
	}
	if f.until != "" {
		if _, err := partition.Typed(f.until); err != nil {
			return err
		}
	}
	var err error
	if in.By, err = a.by(); err != nil {
		return err
	}
	s, err := a.subject(ctx, arg)
	if err != nil {
		return err
	}
	if err := s.releaseNamed(); err != nil {
		return err
	}
	if s.source != "" {
		return fault.Newf(fault.Invalid, "read", arg, "build it, and name the release: drawbridge build "+shell.Word(arg), "it is a folder, and a table becomes the output of a release")
	}
	if err := s.in(f.env); err != nil {
		return err
	}
	configs, err := a.configs(ctx, f.config)
	if err != nil {
		return err
	}
	in.Target = activities.Target{Environment: f.env, Release: release.Release{Pipeline: s.pipeline, Version: s.version, Digest: s.digest}, Config: configs[f.env]}
	in.Look, in.Reason = !f.yes, f.reason
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	kind := workflows.AdoptionQuestion
	order := dispatch.Order{
		Turn: workflows.AdoptionID(s.pipeline, f.env, in.Ask.Output), Workflow: workflows.AdoptionName, Pipeline: s.pipeline, Release: s.version, By: in.By,
		Environments: []string{f.env}, Input: in, Summary: in.Command() + " " + in.Ask.Output + " in " + f.env, Details: quoted(f.reason), Longest: adoptionLasts,
	}
	if in.Look {
		kind, order.Turn, order.Longest = workflows.AdoptionPreview, "", 0
	}
	done, err := dispatch.Ask[activities.Adopted](ctx, desk, kind, order)
	if err != nil {
		return err
	}
	answer := console.Adopted{Environment: f.env, Adopted: done, Again: f.again(s.version, in, done)}
	if err := a.answer(answer, func(x console.Screen) string { return x.Adopted(answer) }); err != nil {
		return err
	}
	if len(done.Plan.Refusals) > 0 || f.yes && !done.Result.Done && !done.Plan.Adopted {
		return exitRefused.err()
	}
	return nil
}

// again is the command that does what was planned, goes on with it, or comes after it.
func (f adopting) again(version string, in activities.AdoptInput, done activities.Adopted) string {
	pipeline := in.Target.Release.Pipeline
	switch {
	case len(done.Plan.Refusals) > 0:
		return ""
	case in.Back && done.Result.Done:
		return "drawbridge history " + shell.Word(pipeline) + " --env " + shell.Word(f.env)
	case done.Result.Done || done.Plan.Adopted:
		return "drawbridge deploy " + shell.Word(pipeline+"@"+version) + " --to " + shell.Word(f.env)
	}
	line := "drawbridge " + in.Command() + " " + shell.Word(pipeline+"@"+version) + " " + shell.Word(in.Ask.Output) + " --env " + shell.Word(f.env)
	if f.until != "" {
		line += " --until " + shell.Word(f.until)
	}
	return line + " --reason TEXT --yes"
}
