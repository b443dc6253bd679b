package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
)

func (a *app) inboxCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "inbox",
		Short:   "List the gates that wait for a person, with the commands that decide them",
		Long:    "Lists every open gate with its evidence, who has to decide until when, and a command per choice.",
		Example: "  drawbridge inbox\n  drawbridge inbox --json",
		GroupID: groupDecide,
		Args:    between(0, 0, "no argument"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.inbox(cmd.Context()) },
	}
}

func (a *app) inbox(ctx context.Context) error {
	d, err := a.desk(ctx)
	if err != nil {
		return err
	}
	views, err := d.Waiting(ctx)
	if err != nil {
		return err
	}
	open, mute := console.Questions(views)
	return a.answer(open, func(s console.Screen) string { return s.Inbox(open, mute, dispatch.StartLines(dispatch.Queues(nil))) })
}
