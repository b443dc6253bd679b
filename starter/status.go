package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/schedule"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [PIPELINE[@VERSION]|ID]",
		Short: "Show what is going on, or one workflow",
		Long: `Without an argument: everything that runs and the last that ended, and what runs by itself. With one: where it is and why, its gates with verdicts,
and what to type next; the exit code is 0 while it goes well, 2 refused, 3 rolled back, 4 waiting for a
person (at a gate, or paused), 5 stuck.
A deployment that somebody terminated is abandoned: recover turns back what it left.`,
		Example: "  drawbridge status\n  drawbridge status shop --watch\n  drawbridge status rollback/shop/prod --json",
		GroupID: groupLook,
		Args:    between(0, 1, workflowArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.statusOfAll(cmd.Context(), watch)
			}
			return a.status(cmd.Context(), args[0], watch)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "follow until it ends")
	return cmd
}

// statusOfAll lists; watching, it follows what changed last.
func (a *app) statusOfAll(ctx context.Context, watch bool) error {
	d, err := a.desk(ctx)
	if err != nil {
		return err
	}
	views, err := d.Overview(ctx)
	if err != nil {
		return err
	}
	schedules, err := d.Schedules(ctx)
	if err != nil && fault.ClassOf(err) == "" { // who may not read them sees the rest
		return err
	}
	if watch {
		for _, v := range views {
			if v.Ended == nil {
				return a.status(ctx, v.ID, true)
			}
		}
	}
	for _, s := range schedules {
		views = append(views, view.OfSchedule(s))
	}
	if views == nil {
		views = []view.View{}
	}
	return a.answer(views, func(s console.Screen) string { return s.List(views) })
}

func (a *app) status(ctx context.Context, arg string, watch bool) error {
	d, err := a.desk(ctx)
	if err != nil {
		return err
	}
	if pipeline, env, ok := schedule.OfID(arg); ok {
		s, err := d.Schedule(ctx, pipeline, env)
		if err != nil {
			return err
		}
		return a.answer(view.OfSchedule(s), func(screen console.Screen) string { return screen.Schedules([]schedule.Standing{s}) })
	}
	id, err := d.Find(ctx, arg)
	if err != nil {
		return err
	}
	v, err := d.View(ctx, id)
	if err != nil {
		return err
	}
	if watch && v.Ended == nil {
		return a.follow(ctx, d.Talk(id), environmentsOf(v.Status), dispatch.UntilDone, console.BeforeLast(v.Status))
	}
	if v.Ended == nil && v.Stage != workflows.StageWaiting {
		if missing := d.Missing(ctx, environmentsOf(v.Status)); len(missing) > 0 {
			a.sayMissing(missing)
		}
	}
	if err := a.answer(v, func(s console.Screen) string { return s.Status(v) }); err != nil {
		return err
	}
	return exitOf(v.Status).err()
}

// environmentsOf are those that a workflow still needs workers of.
func environmentsOf(s workflows.Status) []string {
	var envs []string
	for _, c := range s.Crossings {
		if c.State != "live" {
			envs = append(envs, c.Environment)
		}
	}
	if len(envs) == 0 && s.Environment != "" {
		envs = []string{s.Environment}
	}
	return envs
}
