package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/workflows"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [ID|PIPELINE]",
		Short: "Show what is going on, or one workflow",
		Long: `Without an argument: everything that runs and the last that ended. With one: where it is and why, its gates with verdicts,
and what to type next; the exit code is 0 while it goes well, 2 refused, 3 rolled back, 4 waiting for a person.
A deployment that somebody terminated is abandoned: recover turns back what it left.`,
		Example: "  drawbridge status\n  drawbridge status shop --watch\n  drawbridge status rollback/shop/prod --json",
		GroupID: groupLook,
		Args:    between(0, 1, "ID or PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.statusOfAll(cmd.Context(), watch)
			}
			return a.status(cmd.Context(), workflowID(args[0]), watch)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "follow until it ends")
	return cmd
}

// statusOfAll lists; watching, it follows what changed last.
func (a *app) statusOfAll(ctx context.Context, watch bool) error {
	c, err := a.temporal(ctx)
	if err != nil {
		return err
	}
	views, err := overview(ctx, c)
	if err != nil {
		return err
	}
	if watch {
		for _, v := range views {
			if v.Ended == nil {
				return a.status(ctx, v.ID, true)
			}
		}
	}
	if a.json {
		if views == nil {
			views = []view{}
		}
		return a.print(views)
	}
	a.showList(views)
	return nil
}

func (a *app) status(ctx context.Context, id string, watch bool) error {
	c, err := a.temporal(ctx)
	if err != nil {
		return err
	}
	t := talk{client: c, id: id}
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return t.explain(err)
	}
	info := d.GetWorkflowExecutionInfo()
	v := lookAt(ctx, t, info)
	if watch && v.Ended == nil {
		return a.follow(ctx, t, environmentsOf(v.Status), untilDone, beforeLast(v.Status))
	}
	if v.Ended == nil && v.Stage != workflows.StageWaiting {
		if missing := unpolled(ctx, c, a.Now(), queues(environmentsOf(v.Status))); len(missing) > 0 {
			a.sayMissing(missing)
		}
	}
	if a.json {
		if err := a.print(v); err != nil {
			return err
		}
	} else {
		a.showStatus(id, v.Status, lastEvents(v.Status))
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

// beforeLast is where the story begins for somebody who joins: the last events are told.
func beforeLast(s workflows.Status) *workflows.Event {
	if n := len(s.Events); n > screenEvents {
		return &s.Events[n-screenEvents-1]
	}
	return nil
}
