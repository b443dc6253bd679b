package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
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

// question is an open gate with the workflow that waits at it.
type question struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Gate     gate.Gate `json:"gate"`
	Commands []string  `json:"commands"`
}

func (a *app) inbox(ctx context.Context) error {
	c, err := a.temporal(ctx)
	if err != nil {
		return err
	}
	views, err := waiting(ctx, c)
	if err != nil {
		return err
	}
	open := []question{}
	var mute []view
	for _, v := range views {
		if _, ok := v.Open(); !ok {
			mute = append(mute, v)
		}
		for _, g := range v.Gates {
			if g.Decided == "" {
				open = append(open, question{ID: v.ID, Title: title(v.Status), Gate: g, Commands: decideLines(v.ID, g)})
			}
		}
	}
	if a.json {
		return a.print(open)
	}
	a.showInbox(open, mute)
	return nil
}

func (a *app) showInbox(open []question, mute []view) {
	if len(open) == 0 && len(mute) == 0 {
		fmt.Fprintln(a.Stdout, "No gate is open.")
		a.next("drawbridge status")
		return
	}
	st := a.style(a.Stdout)
	for i, q := range open {
		if i > 0 {
			fmt.Fprintln(a.Stdout)
		}
		fmt.Fprintf(a.Stdout, "%s   %s   asked by %s %s\n", st.bold(q.ID), q.Title, orElse(q.Gate.Requester, "nobody"), ago(a.Now(), q.Gate.OpenedAt))
		a.showGate(q.ID, q.Gate)
	}
	for _, v := range mute {
		fmt.Fprintf(a.Stdout, "%s   %s   %s: no worker answers, so its gate cannot be read\n", st.bold(v.ID), title(v.Status), st.stage(workflows.StageWaiting))
		a.next(startLines(queues(nil))...)
	}
}
