package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
	"drawbridge/workflows"
)

// turnBack is the flags of rollback.
type turnBack struct {
	env       string
	to        string
	output    string
	partition string
	data      string
	verify    string
	reason    string
	config    []string
	dryRun    bool
	detach    bool
	detachNew bool
	resume    bool
	workflow  string // a backfill, instead of a release
	command   string // the same without --dry-run
}

// lastGood names the newest retired generation that can go live again.
const lastGood = "last-good"

// What becomes of partitions that were rebuilt since.
const (
	dataRebuild  = "rebuild"
	dataSnapshot = "snapshot"
)

func (a *app) rollbackCommand() *cobra.Command {
	var b turnBack
	cmd := &cobra.Command{
		Use:   "rollback PIPELINE --env ENV --reason TEXT",
		Short: "Turn back what is finished: a release, or one partition",
		Long: `Makes an earlier release active again, and its data with it: partitions swap back in a time that does not depend on their
size; those that were rebuilt since are built again by the earlier release. With --partition only
that partition goes back, all outputs of it together, and with --output that one alone; with --partition and --to nothing all
outputs of it are taken away, and --to NUMBER of the tenure before brings them back. Whatever stops it, the same command goes on with exactly what is left. --dry-run says what would happen
to each partition, and changes nothing.`,
		Example: "  drawbridge rollback shop --env prod --dry-run --reason 'amounts doubled'\n  drawbridge rollback shop --env prod --to 1.1.0 --reason 'amounts doubled'\n  drawbridge rollback shop --env prod --output fct_orders --partition 2026-01-31 --to last-good --reason 'late file'\n  drawbridge rollback shop --env prod --partition 2026-01-31 --to nothing --reason 'wrong file'",
		GroupID: groupChange,
		Args:    between(1, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b.command = retyped(cmd, args, "dry-run", "json")
			return a.rollback(cmd.Context(), args[0], b)
		},
	}
	a.asFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&b.env, "env", "", "environment")
	f.StringVar(&b.to, "to", "", "version (of a try: 1.4.0+0123abcd), or number of a tenure, to go back to (default: the one before), or nothing: what was published is taken away, all of it, or of --partition; of a partition: last-good (default) or a generation")
	f.StringVar(&b.output, "output", "", "only this output of --partition")
	f.StringVar(&b.partition, "partition", "", "only this partition, with all outputs that it has")
	f.StringVar(&b.data, "data", dataRebuild, "of partitions that were rebuilt since: rebuild, or snapshot (the retained data; what is lost is listed)")
	f.StringVar(&b.verify, "verify", "quick", "before anything is locked: quick, or full (recount rows and checksums)")
	f.BoolVar(&b.detachNew, "detach-new-outputs", false, "detach outputs that the release to go back to does not have; else they stay, and are listed")
	f.BoolVar(&b.resume, "resume", false, "go on with the turn-back that is open")
	f.StringVar(&b.reason, "reason", "", "why, for the history")
	f.StringArrayVar(&b.config, "config", nil, "ENV=FILE: a config that replaces the packed one")
	f.BoolVar(&b.dryRun, "dry-run", false, "say what would happen, and change nothing")
	f.BoolVar(&b.detach, "detach", false, "return when it has started")
	return cmd
}

// request reads the flags into what is asked of the ledger.
func (b turnBack) request() (turnback.Request, activities.Verify, error) {
	refuse := func(flag, hint, reason string) (turnback.Request, activities.Verify, error) {
		return turnback.Request{}, "", fault.Newf(fault.Invalid, "read", flag, hint, reason)
	}
	req := turnback.Request{Output: b.output, Partition: partition.Key(b.partition), Detach: b.detachNew, Resume: b.resume, Workflow: b.workflow}
	if b.partition != "" {
		if _, err := partition.Typed(b.partition); err != nil {
			return turnback.Request{}, "", err
		}
	}
	switch {
	case b.env == "":
		return refuse("--env", "name the environment: --env prod", "it is missing")
	case b.resume && (b.to != "" || b.output != "" || b.partition != ""):
		return refuse("--resume", "leave out --to, --output and --partition: what is open says where to", "it goes on with what is open")
	case b.reason == "" && !b.resume:
		return refuse("--reason", "say why: --reason TEXT", "it is missing")
	case b.to == turnback.Nothing && b.output != "":
		return refuse("--output", "leave it out: --partition P --to "+turnback.Nothing, "the outputs of a partition are taken away together")
	case b.to == turnback.Nothing && b.partition != "":
		req.To = b.to
	case b.output != "" && b.partition == "":
		return refuse("--output", "say which of it: --partition P", "--partition is missing")
	case b.partition == "":
		if b.to == lastGood {
			return refuse("--to "+b.to, "name one: --partition P", "a generation belongs to a partition")
		}
		req.To = b.to
	case b.to != "" && b.to != lastGood:
		id, err := strconv.ParseInt(b.to, 10, 64)
		if err != nil || id < 1 {
			return refuse("--to "+b.to, "write last-good, or a number that history shows: drawbridge history PIPELINE --env ENV --output TABLE --partition P", "it is no generation")
		}
		req.Generation = id
	}
	switch b.data {
	case dataRebuild:
	case dataSnapshot:
		req.Snapshot = true
	default:
		return refuse("--data "+b.data, "write rebuild or snapshot", "there is no such choice")
	}
	switch b.verify {
	case "quick":
		return req, activities.VerifyQuick, nil
	case "full":
		return req, activities.VerifyFull, nil
	}
	return refuse("--verify "+b.verify, "write quick or full", "there is no such depth")
}

func (a *app) rollback(ctx context.Context, arg string, b turnBack) error {
	name, err := named(arg)
	if err != nil {
		return err
	}
	return a.turnBack(ctx, name, b)
}

func (a *app) turnBack(ctx context.Context, name string, b turnBack) error {
	req, verify, err := b.request()
	if err != nil {
		return err
	}
	by, err := a.by()
	if err != nil {
		return err
	}
	configs, err := a.configs(ctx, b.config)
	if err != nil {
		return err
	}
	what := cmp.Or(b.workflow, b.to, "the release before")
	switch {
	case b.output != "":
		what = fmt.Sprintf("%s[%s] to %s", b.output, b.partition, cmp.Or(b.to, lastGood))
	case b.partition != "":
		what = fmt.Sprintf("all outputs of %s to %s", b.partition, cmp.Or(b.to, lastGood))
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	if len(b.config) == 0 {
		if err := a.misnamed(ctx, desk, name, b.env); err != nil {
			return err
		}
	}
	order := dispatch.Order{
		ID: workflows.RollbackID(name, b.env), Workflow: workflows.RollbackName,
		Pipeline: name, Release: b.to, By: by, Environments: []string{b.env},
		Summary: fmt.Sprintf("roll %s in %s back: %s", name, b.env, what), Details: "> " + b.reason,
		Input: workflows.RollbackInput{
			Pipeline: name, Environment: b.env, Config: configs[b.env], Request: req, Verify: verify,
			DryRun: b.dryRun, By: by, Reason: b.reason,
		},
	}
	if b.dryRun {
		return a.preview(ctx, desk, workflows.RollbackPreview, order, b.command)
	}
	t, err := desk.Begin(ctx, order)
	if err != nil {
		return err
	}
	return a.followUnless(ctx, b.detach, t, b.env)
}
