package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// workflowArgument says what names a workflow.
const workflowArgument = "PIPELINE[@VERSION] or ID"

// decision is the flags of approve, reject and decide.
type decision struct {
	gate   string
	plan   string
	reason string
	choice string
	watch  bool
	// compensate is of the commands that turn back; empty leaves it to the policy.
	compensate string
}

func (d *decision) compensateFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.compensate, "compensate", "", "what goes back: failed (this environment) or all (the earlier ones too); by default what the policy says")
}

func (d *decision) flags(a *app, cmd *cobra.Command) {
	a.asFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&d.gate, "gate", "", "gate (default: the one that is open)")
	f.StringVar(&d.plan, "plan", "", "plan digest that the decision is about (default: that of the one open gate)")
	f.StringVar(&d.reason, "reason", "", "why, for the record")
	f.BoolVar(&d.watch, "watch", false, "follow what happens then")
}

func (a *app) decideCommand() *cobra.Command {
	var d decision
	cmd := &cobra.Command{
		Use:   "decide PIPELINE[@VERSION]|ID --choice CHOICE --reason TEXT",
		Short: "Answer a gate with any of its choices: retry, proceed, rollback, keep, ...",
		Long:  "Answers a gate with one of the choices that drawbridge inbox lists for it.\n\n" + decisionHelp,
		Example: "  drawbridge decide shop --gate watch-prod --choice rollback --reason 'late orders are missing'\n" +
			"  drawbridge decide run/shop/prod/2026-01-31 --choice retry --reason 'blocker is gone'",
		GroupID: groupDecide,
		Args:    between(1, 1, workflowArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.choice == "" {
				return fault.Newf(fault.Invalid, "decide", args[0], "see the choices: drawbridge inbox; then --choice CHOICE", "the choice is missing")
			}
			return a.decide(cmd.Context(), args[0], d)
		},
	}
	d.flags(a, cmd)
	d.compensateFlag(cmd)
	cmd.Flags().StringVar(&d.choice, "choice", "", "approve, reject, retry, proceed, rollback or keep")
	return cmd
}

func (a *app) decide(ctx context.Context, arg string, d decision) error {
	if d.reason == "" {
		return fault.Newf(fault.Invalid, "decide", arg, "say why: --reason TEXT", "the reason is missing")
	}
	if d.compensate != "" && d.compensate != "failed" && d.compensate != "all" {
		return fault.Newf(fault.Invalid, "read", "--compensate "+d.compensate, "write failed or all", "there is no such choice")
	}
	by, err := a.by()
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	id, err := desk.FindAsking(ctx, arg)
	if err != nil {
		return err
	}
	t := desk.Talk(id)
	how, full, g, err := desk.Decide(ctx, t, gate.Decision{Gate: d.gate, Plan: d.plan, Choice: gate.Choice(d.choice), By: by, Reason: d.reason, CompensateAll: d.compensate == "all"})
	if err != nil {
		return err
	}
	answer := console.Decided{ID: t.ID, Delivery: string(how), Decision: full}
	if how == dispatch.Applied {
		answer.Gate = &g
	}
	if a.json && d.watch { // then the answer is how it ends
		return a.followOn(ctx, t, before(full, g))
	}
	err = a.answer(answer, func(s console.Screen) string {
		text := s.Decided(answer, dispatch.StartLines(dispatch.Queues(nil))[0])
		if !d.watch {
			text += s.LookAgain(t.ID)
		}
		return text
	})
	if err != nil || !d.watch {
		return err
	}
	return a.followOn(ctx, t, before(full, g))
}

// followOn follows what a decision sets going.
func (a *app) followOn(ctx context.Context, t dispatch.Talk, told *workflows.Event) error {
	var needed []string
	if s, err := t.Status(ctx); err == nil {
		needed = environmentsOf(s)
	}
	return a.follow(ctx, t, needed, dispatch.UntilAsked, told)
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
