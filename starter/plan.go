package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/workflows"
)

// scope is the flags that plan and deploy share.
type scope struct {
	to      string
	rebuild string
	configs []string
}

func (s *scope) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.to, "to", "", "last environment; those before it are crossed first")
	f.StringVar(&s.rebuild, "rebuild", "", "what to build anew beside the canary and what has no data: none, last=N, since=PARTITION or all")
	f.StringArrayVar(&s.configs, "config", nil, "ENV=FILE: a config that replaces the packed one")
}

// rebuildOf reads --rebuild: none, last=N, since=PARTITION, all.
func rebuildOf(text string) (plan.Rebuild, error) {
	mode, value, _ := strings.Cut(text, "=")
	refuse := func(reason string) (plan.Rebuild, error) {
		return plan.Rebuild{}, fault.Newf(fault.Invalid, "read", "--rebuild "+text,
			"write none, last=7, since=2026-01-31 or all", reason)
	}
	switch mode := plan.RebuildMode(mode); {
	case value != "" && mode != plan.RebuildLast && mode != plan.RebuildSince:
		return refuse("only last and since take a value")
	case mode == "" || mode == plan.RebuildNone:
		return plan.Rebuild{Mode: plan.RebuildNone}, nil
	case mode == plan.RebuildAll:
		return plan.Rebuild{Mode: plan.RebuildAll}, nil
	case mode == plan.RebuildLast:
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return refuse("last needs how many partitions")
		}
		return plan.Rebuild{Mode: plan.RebuildLast, Last: n}, nil
	case mode == plan.RebuildSince:
		if value == "" {
			return refuse("since needs a partition")
		}
		since, err := partition.Typed(value)
		return plan.Rebuild{Mode: plan.RebuildSince, Since: since}, err
	}
	return refuse("there is no such scope")
}

// planFormat is how a plan is printed.
type planFormat string

const (
	formatText planFormat = "text"
	formatMD   planFormat = "md"
	formatJSON planFormat = "json"
)

func (a *app) planCommand() *cobra.Command {
	var s scope
	var format string
	cmd := &cobra.Command{
		Use:   "plan DIR|PIPELINE@VERSION|PLANDIGEST --to ENV",
		Short: "Show what a deployment would do, with a digest to approve and apply",
		Long: `Observes every environment up to the last and computes what a deployment would do there: impact, work, checks, steps,
approvals, rollback. It changes nothing, and claims no version. deploy DIGEST applies exactly this plan, or refuses when the world moved.
--format md prints the change document for a review. PLANDIGEST, or its first digits as screens print them, shows a plan again.`,
		Example: "  drawbridge plan ./shop --to prod\n  drawbridge plan shop@1.1.0 --to prod --rebuild last=7 --format md\n  drawbridge plan 9b1e52aa04c1",
		GroupID: groupChange,
		Args:    between(1, 1, "DIR, PIPELINE@VERSION or PLANDIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.plan(cmd.Context(), args[0], s, planFormat(format))
		},
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&format, "format", string(formatText), "text, md or json")
	return cmd
}

func (a *app) plan(ctx context.Context, arg string, sc scope, format planFormat) error {
	switch format {
	case formatText, formatMD, formatJSON:
	default:
		return fault.Newf(fault.Invalid, "read", "--format "+string(format), "write text, md or json", "there is no such format")
	}
	if a.json {
		format = formatJSON
	}
	rebuild, err := rebuildOf(sc.rebuild)
	if err != nil {
		return err
	}
	if sc.to == "" && !digestPattern.MatchString(arg) {
		return fault.Newf(fault.Invalid, "plan", arg, "say how far: --to prod", "--to is missing")
	}
	s, err := a.subject(ctx, arg)
	if err != nil {
		return err
	}
	if err := s.releaseNamed(); err != nil {
		return err
	}
	if s.plan != "" {
		return a.showPlan(ctx, s.plan, format)
	}
	crossed, err := s.upTo(sc.to)
	if err != nil {
		return err
	}
	configs, err := a.configs(ctx, sc.configs)
	if err != nil {
		return err
	}
	by, err := a.by()
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	res, err := dispatch.Ask[activities.ComputeResult](ctx, desk, "plan", dispatch.Order{
		Workflow: workflows.PlanName, Pipeline: s.pipeline, Environments: crossed, Release: s.version, By: by,
		Summary: fmt.Sprintf("plan %s to %s", s.title, sc.to),
		Input: workflows.PlanInput{
			Pipeline: s.pipeline, Source: s.source, Release: s.release, Environments: crossed, Rebuild: rebuild,
			Configs: configs, By: by,
		},
	})
	if err != nil {
		return err
	}
	return a.showPlan(ctx, res.Shown, format)
}

// showPlan prints a plan that the store holds. One that nobody could deploy is a refusal.
func (a *app) showPlan(ctx context.Context, digest string, format planFormat) error {
	p, err := a.readPlan(ctx, digest)
	if err != nil {
		return err
	}
	if p.Digest == "" {
		p.Digest = digest
	}
	text := plan.Text(p)
	if format == formatMD {
		text = plan.Markdown(p)
	}
	a.json = format == formatJSON // --json says the same
	if err := a.answer(p, func(s console.Screen) string { return s.Document(text) }); err != nil {
		return err
	}
	if len(p.Blocking()) > 0 {
		return exitRefused.err()
	}
	return nil
}
