package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/internal/backfill"
	"drawbridge/internal/console"
	"drawbridge/internal/cutover"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// span is the flags of backfill.
type span struct {
	env, from, to, order, cutover, release, reason, format string
	config                                                 []string
	lanes                                                  int
	force, dryRun, detach                                  bool
	command                                                string // the same without --dry-run
}

func (a *app) backfillCommand() *cobra.Command {
	var s span
	cmd := &cobra.Command{
		Use:   "backfill PIPELINE --env ENV --from KEY --to KEY",
		Short: "Build a span of partitions again, with the release that is active",
		Long: `Builds every partition from one key to another, both included, with the release that is active in the environment: each is built
aside, audited and published on its own, in lanes; with --cutover one all of them are published in one transaction, when all are built,
or in as few as readers bear, if people approve that. What is of that release already and no older than its files is left as it is,
unless --force. Outputs that are one partition are built once, at the end.

One that fails stops no other: at the end, or when too many have failed, it asks. drawbridge retry-failed tries them again, skip
leaves them out. pause, resume, set-lanes and cancel steer it; what is published stays. Above the limits of the environment's policy
(backfill:) people approve its plan first. The same command again goes on with what is left; --dry-run shows the plan.`,
		Example: "  drawbridge backfill shop --env prod --from 2026-01-01 --to 2026-01-31 --dry-run\n  drawbridge backfill shop --env prod --from 2026-01-01 --to 2026-01-31 --reason 'the files were corrected'\n  drawbridge backfill rollback backfill/shop/prod/2026-01-01..2026-01-31 --reason 'the correction was wrong'",
		GroupID: groupChange,
		Args:    between(1, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.command = retyped(cmd, args, "dry-run", "format", "json")
			return a.backfill(cmd.Context(), args[0], s)
		},
	}
	a.asFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&s.env, "env", "", "environment")
	f.StringVar(&s.from, "from", "", "the first partition, such as 2026-01-01")
	f.StringVar(&s.to, "to", "", "the last partition, such as 2026-01-31")
	f.StringVar(&s.release, "release", "", "a version that was active there before, in place of the active one; people approve that")
	f.StringVar(&s.order, "order", string(backfill.Oldest), "which are built first: oldest or newest")
	f.StringVar(&s.cutover, "cutover", string(cutover.Each), "how they become visible: each (as it is built) or one (all of them in one transaction)")
	f.IntVar(&s.lanes, "lanes", 0, "how many slices are built at the same time (default: publish.lanes of the policy)")
	f.BoolVar(&s.force, "force", false, "build what is current as well")
	f.StringVar(&s.reason, "reason", "", "why, for the history")
	f.StringArrayVar(&s.config, "config", nil, "ENV=FILE: a config that says where the pipeline is, in place of the packed one")
	f.StringVar(&s.format, "format", string(formatText), "of --dry-run: text, md (the change document) or json")
	f.BoolVar(&s.dryRun, "dry-run", false, "show the plan, and change nothing")
	f.BoolVar(&s.detach, "detach", false, "return when it has started")
	cmd.AddCommand(a.backfillRollbackCommand(), a.backfillStatusCommand())
	return cmd
}

// ask reads the flags into what is asked for. The keys are read by the environment's worker, which knows the pipeline; here they are
// only held to what may be part of an ID.
func (s span) ask() (backfill.Ask, error) {
	refuse := func(flag, hint, reason string) (backfill.Ask, error) {
		return backfill.Ask{}, fault.Newf(fault.Invalid, "read", flag, hint, reason)
	}
	ask := backfill.Ask{Order: backfill.Order(s.order), Force: s.force, Lanes: s.lanes, Release: s.release, Cutover: cutover.Mode(s.cutover)}
	switch {
	case s.env == "":
		return refuse("--env", "name the environment: --env prod", "it is missing")
	case s.from == "" || s.to == "":
		return refuse("--from and --to", "give both: --from 2026-01-01 --to 2026-01-31", "one of them is missing")
	case ask.Order != backfill.Oldest && ask.Order != backfill.Newest:
		return refuse("--order", "write oldest or newest", "there is no such order")
	case ask.Cutover != cutover.Each && ask.Cutover != cutover.One:
		return refuse("--cutover", "write each or one", "there is no such cut-over")
	case s.format != string(formatText) && !s.dryRun:
		return refuse("--format", "add --dry-run", "only a plan is printed in a format")
	case s.format != string(formatText) && s.format != string(formatMD) && s.format != string(formatJSON):
		return refuse("--format "+s.format, "write text, md or json", "there is no such format")
	case s.lanes < 0 || s.lanes > conduct.MaxLanes:
		return refuse("--lanes", fmt.Sprintf("give 1 to %d", conduct.MaxLanes), "it is no number of lanes")
	}
	var err error
	if ask.From, err = partition.Typed(s.from); err != nil {
		return ask, err
	}
	ask.To, err = partition.Typed(s.to)
	return ask, err
}

func (a *app) backfill(ctx context.Context, arg string, s span) error {
	ask, err := s.ask()
	if err != nil {
		return err
	}
	by, err := a.by()
	if err != nil {
		return err
	}
	name, err := named(arg)
	if err != nil {
		return err
	}
	configs, err := a.configs(ctx, s.config)
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	if len(s.config) == 0 {
		if err := a.misnamed(ctx, desk, name, s.env); err != nil {
			return err
		}
	}
	order := dispatch.Order{
		ID: workflows.BackfillID(name, s.env, ask.From, ask.To), Workflow: workflows.BackfillName,
		Pipeline: name, By: by, Environments: []string{s.env},
		Summary: fmt.Sprintf("build %s in %s again, %s to %s", name, s.env, ask.From, ask.To), Details: quoted(s.reason),
		Input: workflows.BackfillInput{
			Pipeline: name, Environment: s.env, Config: configs[s.env], Ask: ask, DryRun: s.dryRun, By: by, Reason: s.reason,
		},
	}
	if s.dryRun {
		if s.format == string(formatMD) {
			return a.backfillDocument(ctx, desk, order, name, s.env)
		}
		a.json = a.json || s.format == string(formatJSON) // --json says the same
		return a.preview(ctx, desk, workflows.BackfillPreview, order, s.command)
	}
	t, err := desk.Begin(ctx, order)
	if err != nil {
		return err
	}
	return a.followUnless(ctx, s.detach, t, s.env)
}

// backfillDocument prints the change document of a plan.
func (a *app) backfillDocument(ctx context.Context, desk *dispatch.Desk, order dispatch.Order, name, env string) error {
	s, err := dispatch.Ask[workflows.Status](ctx, desk, workflows.BackfillPreview, order)
	if err != nil {
		return err
	}
	if s.Backfill == nil || s.Backfill.Plan == nil || s.Backfill.Plan.Digest == "" {
		return exitOf(s).err()
	}
	text := backfill.Markdown(*s.Backfill.Plan, name, env, order.ID)
	if err := a.answer(s.Backfill.Plan, func(s console.Screen) string { return s.Document(text) }); err != nil {
		return err
	}
	return exitOf(s).err()
}

// quoted is a reason as a workflow's details show it.
func quoted(reason string) string {
	if reason == "" {
		return ""
	}
	return "> " + reason
}

func (a *app) backfillStatusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [PIPELINE|ID]",
		Short: "Show how far a backfill is",
		Long: `Shows how far a backfill is: all that are open, or those of a pipeline, else the last one; or the one that is named. A strip shows its
partitions in the order in which they are built: done, begun, failed (✘), left out (–) or waiting (·).

Exit codes: those of drawbridge status.`,
		Example: "  drawbridge backfill status --watch\n  drawbridge backfill status shop --json\n  drawbridge backfill status backfill/shop/prod/2026-01-01..2026-01-31 --watch",
		Args:    between(0, 1, "PIPELINE or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			arg := ""
			if len(args) > 0 {
				arg = args[0]
			}
			if _, _, ok := workflows.Backfilled(arg); ok {
				return a.status(cmd.Context(), arg, watch)
			}
			return a.statusOfLatest(cmd.Context(), "backfill/", arg, watch)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "follow until it ends")
	return cmd
}

// latestOf are the IDs of the workflows whose ID begins so, of a pipeline or of all, that are open, else that of the last.
func (a *app) latestOf(ctx context.Context, prefix, pipeline string) ([]string, error) {
	d, err := a.desk(ctx)
	if err != nil {
		return nil, err
	}
	views, err := d.Overview(ctx)
	if err != nil {
		return nil, err
	}
	var open []string
	last := ""
	for _, v := range views {
		if !strings.HasPrefix(v.ID, prefix) || pipeline != "" && v.Pipeline != pipeline {
			continue
		}
		if v.Ended == nil {
			open = append(open, v.ID)
		}
		last = cmp.Or(last, v.ID)
	}
	switch {
	case last == "":
		return nil, fault.Newf(fault.Invalid, "find", prefix+pipeline, "see what there is: drawbridge status", "there was none lately")
	case open == nil:
		return []string{last}, nil
	}
	return open, nil
}

// apart is the line between two answers of one command. JSON needs none.
func (a *app) apart() {
	if !a.json {
		a.write(a.Stdout, func(console.Screen) string { return "\n" })
	}
}

// statusOfLatest shows what latestOf finds, each as drawbridge status does; one only can be followed.
func (a *app) statusOfLatest(ctx context.Context, prefix, pipeline string, watch bool) error {
	ids, err := a.latestOf(ctx, prefix, pipeline)
	if err != nil {
		return err
	}
	if watch && len(ids) > 1 {
		return fault.Newf(fault.Invalid, "follow", prefix+pipeline, "name one of them: drawbridge status "+ids[0]+" --watch", fmt.Sprintf("%d are open: %s", len(ids), strings.Join(ids, ", ")))
	}
	var worst error
	for i, id := range ids {
		if i > 0 {
			a.apart()
		}
		worst = cmp.Or(worst, a.status(ctx, id, watch))
	}
	return worst
}

func (a *app) backfillRollbackCommand() *cobra.Command {
	var reason, verify string
	var force, dryRun, detach bool
	cmd := &cobra.Command{
		Use:   "rollback ID --reason TEXT",
		Short: "Turn a backfill back",
		Long: `Every partition that the backfill has published returns to what was live there before. One that somebody published since stays, and
is listed; with --force it goes back too, and what was published since is discarded, also when it was left by an earlier rollback.
Whatever stops it, the same command goes on with exactly what is left. Where the backfill was started more than once, each start is
turned back by itself, the latest first: run it again for the one before.`,
		Example: "  drawbridge backfill rollback backfill/shop/prod/2026-01-01..2026-01-31 --reason 'the correction was wrong'\n  drawbridge backfill rollback backfill/shop/prod/2026-01-01..2026-01-31 --reason 'the runs since are wrong too' --force --dry-run",
		Args:    between(1, 1, "ID of a backfill"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, env, ok := workflows.Backfilled(args[0])
			if !ok {
				return fault.Newf(fault.Invalid, "roll back", args[0], "name one, such as backfill/shop/prod/2026-01-01..2026-01-31; drawbridge status lists them", "it is no backfill")
			}
			b := turnBack{env: env, reason: reason, verify: verify, data: dataRebuild, dryRun: dryRun, detach: detach, workflow: args[0]}
			b.command = retyped(cmd, args, "dry-run", "json")
			if force {
				b.data = dataSnapshot
			}
			return a.turnBack(cmd.Context(), name, b)
		},
	}
	a.asFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&reason, "reason", "", "why, for the history")
	f.StringVar(&verify, "verify", "quick", "before anything is locked: quick, or full (recount rows and checksums)")
	f.BoolVar(&force, "force", false, "what others have published since goes back too, and is discarded")
	f.BoolVar(&dryRun, "dry-run", false, "say what would happen, and change nothing")
	f.BoolVar(&detach, "detach", false, "return when it has started")
	return cmd
}
