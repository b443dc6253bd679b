package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/window"
	"drawbridge/workflows/conduct"
)

// steeringHelp is what the commands of steering share.
const steeringHelp = `PIPELINE is its deployment that is open; where several are open, name one: PIPELINE@VERSION. When no worker answers within
ten seconds the command is recorded, and applied when one returns; should it not count then, status says why. The same
command twice is once.

Exit codes: 0 done, recorded, or it was so already; 1 usage, or there is no such workflow; 2 refused: it has ended, or does not
take it now.`

func (a *app) pauseCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.Pause}
	cmd := &cobra.Command{
		Use:   "pause PIPELINE[@VERSION]|ID --reason TEXT",
		Short: "Hold a deployment, a backfill, a migration or a rollback at its next edge",
		Long: `Holds a deployment, a backfill, a migration or a rollback: no further partition, step or piece of a table is begun, until resume. What
has begun goes on to its edge, and what is published stays; status shows who paused it and why, and how long it took until the pause held. A
deployment that watches has no work to hold, and a run is one partition: both are refused. A paused one can be cancelled.

` + steeringHelp,
		Example: "  drawbridge pause shop --reason 'the warehouse is busy'\n  drawbridge pause rollback/shop/prod --reason 'readers complain' --as ana",
		GroupID: groupChange,
		Args:    between(1, 1, workflowArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			if m.Reason == "" {
				return fault.Newf(fault.Invalid, "pause", args[0], "say why: --reason TEXT", "the reason is missing")
			}
			return a.steer(cmd.Context(), args[0], m)
		},
	}
	a.steerFlags(cmd, &m)
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.Resume}
	cmd := &cobra.Command{
		Use:     "resume PIPELINE[@VERSION]|ID",
		Short:   "Let what is paused go on",
		Long:    "Ends a pause: it goes on where it was held.\n\n" + steeringHelp,
		Example: "  drawbridge resume shop\n  drawbridge resume shop@1.1.0 --reason 'the month is closed'",
		GroupID: groupChange,
		Args:    between(1, 1, workflowArgument),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.steer(cmd.Context(), args[0], m) },
	}
	a.steerFlags(cmd, &m)
	return cmd
}

func (a *app) setLanesCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.SetLanes}
	cmd := &cobra.Command{
		Use:   "set-lanes PIPELINE[@VERSION]|ID N",
		Short: "Build more or fewer slices, or bring more or fewer rows over, at the same time",
		Long: fmt.Sprintf(`Sets how many slices a deployment or a backfill builds at the same time, or how many batches of rows a migration brings over, 1 to %d, in
place of the plan's number. A lane more begins at once, one of a migration within seconds; a lane less ends when its slice is built, or its
batch written. More lanes than the workers' --builds wait for a slot, and a migration leaves two of the worker's sessions free.

`, conduct.MaxLanes) + steeringHelp,
		Example: "  drawbridge set-lanes shop 4\n  drawbridge set-lanes shop@1.1.0 1 --reason 'the warehouse is busy'",
		GroupID: groupChange,
		Args:    between(2, 2, workflowArgument+" and a number of lanes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if m.Lanes, err = strconv.Atoi(args[1]); err != nil || m.Lanes < 1 || m.Lanes > conduct.MaxLanes {
				return fault.Newf(fault.Invalid, "set-lanes", strconv.Quote(args[1]), fmt.Sprintf("give 1 to %d", conduct.MaxLanes), "it is no number of lanes")
			}
			return a.steer(cmd.Context(), args[0], m)
		},
	}
	a.steerFlags(cmd, &m)
	return cmd
}

func (a *app) setWindowCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.SetWindow}
	cmd := &cobra.Command{
		Use:   "set-window ID WINDOW",
		Short: "Let a backfill, or that of a migration, work only at certain times",
		Long: `Sets when a backfill works, or a migration brings rows over: days on which the window begins, times, and the place whose clock counts; every day and UTC by default.
A window that ends before it begins ends on the day after. Outside of it, what has begun goes on to the edge of its partition, and
status says when it opens. The windows of the environment's policy (throttle: windows) hold too; always takes the window away.

` + steeringHelp,
		Example: "  drawbridge set-window backfill/shop/prod/2026-01-01..2026-01-31 '" + window.Example + "'\n  drawbridge set-window backfill/shop/prod/2026-01-01..2026-01-31 always",
		GroupID: groupChange,
		Args:    between(2, 2, "ID and a window"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m.Window = args[1]
			if m.Window == conduct.Always {
				return a.steer(cmd.Context(), args[0], m)
			}
			w, err := window.Parse(m.Window)
			if err != nil {
				return err
			}
			if _, err := w.Load(); err != nil {
				return err
			}
			m.Window = w.String()
			return a.steer(cmd.Context(), args[0], m)
		},
	}
	a.steerFlags(cmd, &m)
	return cmd
}

func (a *app) retryFailedCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.RetryFailed}
	cmd := &cobra.Command{
		Use:     "retry-failed ID",
		Short:   "Try the failed partitions of a backfill again",
		Long:    "Builds what has failed again, from the files as they are now.\n\n" + steeringHelp,
		Example: "  drawbridge retry-failed backfill/shop/prod/2026-01-01..2026-01-31",
		GroupID: groupChange,
		Args:    between(1, 1, "ID"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.steer(cmd.Context(), args[0], m) },
	}
	a.steerFlags(cmd, &m)
	return cmd
}

func (a *app) skipCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.Skip}
	cmd := &cobra.Command{
		Use:     "skip ID PARTITION… --reason TEXT",
		Short:   "Leave failed partitions of a backfill out",
		Long:    "Leaves what has failed as it was before the backfill.\n\n" + steeringHelp,
		Example: "  drawbridge skip backfill/shop/prod/2026-01-01..2026-01-31 2026-01-17 --reason 'the shop was closed'",
		GroupID: groupChange,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if m.Reason == "" {
				return fault.Newf(fault.Invalid, "skip", strings.Join(args[1:], ", "), "say why: --reason TEXT", "the reason is missing")
			}
			m.Items = args[1:]
			return a.steer(cmd.Context(), args[0], m)
		},
	}
	a.steerFlags(cmd, &m)
	return cmd
}

func (a *app) steerFlags(cmd *cobra.Command, m *conduct.Command) {
	a.asFlag(cmd)
	cmd.Flags().StringVar(&m.Reason, "reason", "", "why, for the record")
}

func (a *app) steer(ctx context.Context, arg string, m conduct.Command) error {
	var err error
	if m.By, err = a.by(); err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	id, err := desk.Find(ctx, arg)
	if err != nil {
		return err
	}
	how, now, err := desk.Steer(ctx, id, m)
	if err != nil {
		return err
	}
	answer := console.Steered{ID: id, Delivery: string(how), Command: m}
	if how == dispatch.Applied {
		answer.Now = &now
	}
	return a.answer(answer, func(s console.Screen) string {
		return s.Steered(answer, dispatch.StartLines(dispatch.Queues(nil))[0])
	})
}
