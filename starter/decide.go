package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// decision is the flags of approve, reject and decide.
type decision struct {
	gate   string
	plan   string
	reason string
	choice string
	watch  bool
}

func (d *decision) flags(a *app, cmd *cobra.Command) {
	a.asFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&d.gate, "gate", "", "gate (default: the open one)")
	f.StringVar(&d.plan, "plan", "", "plan digest that the decision is about (default: the open gate's)")
	f.StringVar(&d.reason, "reason", "", "why, for the record")
	f.BoolVar(&d.watch, "watch", false, "follow what happens then")
}

func (a *app) decideCommand() *cobra.Command {
	var d decision
	cmd := &cobra.Command{
		Use:   "decide ID --choice CHOICE --reason TEXT",
		Short: "Answer a gate with any of its choices: retry, proceed, rollback, keep, ...",
		Long:  "Answers a gate with one of the choices that drawbridge inbox lists for it.\n\n" + decisionHelp,
		Example: "  drawbridge decide shop --gate watch-prod --choice rollback --reason 'late orders are missing'\n" +
			"  drawbridge decide run/shop/prod/2026-01-31 --choice retry --reason 'blocker is gone'",
		GroupID: groupDecide,
		Args:    between(1, 1, "ID or PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.choice == "" {
				return fault.Newf(fault.Invalid, "decide", args[0], "see the choices: drawbridge inbox; then --choice CHOICE", "the choice is missing")
			}
			return a.decide(cmd.Context(), args[0], d)
		},
	}
	d.flags(a, cmd)
	cmd.Flags().StringVar(&d.choice, "choice", "", "approve, reject, retry, proceed, rollback or keep")
	return cmd
}

// decided is the answer of approve, reject and decide.
type decided struct {
	ID       string        `json:"id"`
	Delivery delivery      `json:"delivery"`
	Decision gate.Decision `json:"decision"`
	Gate     *gate.Gate    `json:"gate,omitempty"`
}

func (a *app) decide(ctx context.Context, arg string, d decision) error {
	if d.reason == "" {
		return fault.Newf(fault.Invalid, "decide", arg, "say why: --reason TEXT", "the reason is missing")
	}
	by, err := a.by()
	if err != nil {
		return err
	}
	c, err := a.temporal(ctx)
	if err != nil {
		return err
	}
	t := talk{client: c, id: workflowID(arg)}
	full, err := address(ctx, t, gate.Decision{Gate: d.gate, Plan: d.plan, Choice: gate.Choice(d.choice), By: by, Reason: d.reason}, t.plan)
	if err != nil {
		return err
	}
	how, g, err := deliver(ctx, t, full, decideTimeout)
	if err != nil {
		return err
	}
	answer := decided{ID: t.id, Delivery: how, Decision: full}
	if how == applied {
		answer.Gate = &g
	}
	switch {
	case a.json && !d.watch:
		return a.print(answer)
	case !a.json:
		a.showDecided(answer, d.watch)
	}
	if d.watch {
		var needed []string
		if s, err := t.Status(ctx); err == nil {
			needed = environmentsOf(s)
		}
		return a.follow(ctx, t, needed, untilAsked, before(full, g))
	}
	return nil
}

func (a *app) showDecided(d decided, watch bool) {
	about := ""
	if d.Decision.Plan != "" {
		about = " of plan " + gate.Short(d.Decision.Plan)
	}
	fmt.Fprintf(a.Stdout, "%s by %s at gate %s%s\n", d.Decision.Choice, d.Decision.By, d.Decision.Gate, about)
	switch {
	case d.Delivery == recorded:
		fmt.Fprintf(a.Stdout, "No worker answered: recorded, will be applied when a worker returns (%s).\n", startLines(queues(nil))[0])
	case d.Gate.Decided == "":
		fmt.Fprintf(a.Stdout, "Counted; the gate waits for more: %d of %d have answered so.\n", len(d.Gate.Answers), max(1, d.Gate.Rule.Quorum))
	default:
		fmt.Fprintf(a.Stdout, "The gate is closed: %s\n", d.Gate.Why)
	}
	if !watch {
		a.next("drawbridge status " + d.ID + " --watch")
	}
}

// before is where the story goes on after a decision: just before it was counted. Where no worker has counted it yet, the
// whole story is told.
func before(d gate.Decision, g gate.Gate) *workflows.Event {
	for _, x := range g.Answers {
		if x.By == d.By && x.Choice == d.Choice {
			return &workflows.Event{At: x.At.Add(-time.Nanosecond)}
		}
	}
	return &workflows.Event{At: g.OpenedAt}
}
