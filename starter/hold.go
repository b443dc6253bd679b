package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

func (a *app) holdCommand() *cobra.Command {
	var in activities.HoldInput
	cmd := &cobra.Command{
		Use:   "hold --env ENV --reason TEXT",
		Short: "Let nothing be published in an environment, but what turns back",
		Long: `Writes a hold into the ledger of every schema of the environment, where each publish looks for it: a publish waits, and goes
on by itself after release-hold. Schemas that come later take it over. What turns back is never held. Those that could not be
reached are named, and do not have it. Where a hold stands already that one stays, and is shown: this one is not set.`,
		Example: "  drawbridge hold --env prod --reason 'quarter end'",
		GroupID: groupDecide,
		Args:    between(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.hold(cmd.Context(), in) },
	}
	a.asFlag(cmd)
	cmd.Flags().StringVar(&in.Environment, "env", "", "environment")
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for those who wait")
	return cmd
}

func (a *app) releaseHoldCommand() *cobra.Command {
	in := activities.HoldInput{Release: true}
	cmd := &cobra.Command{
		Use:     "release-hold --env ENV",
		Short:   "End the hold of an environment",
		Long:    "Ends the hold in the ledger of every schema of the environment: what waited goes on within a minute. It says whose hold that was, and why. Where none stands it changes nothing, and says so.",
		Example: "  drawbridge release-hold --env prod",
		GroupID: groupDecide,
		Args:    between(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.hold(cmd.Context(), in) },
	}
	a.asFlag(cmd)
	cmd.Flags().StringVar(&in.Environment, "env", "", "environment")
	return cmd
}

// hold returns when every ledger has it; where one has not, that is a refusal.
func (a *app) hold(ctx context.Context, in activities.HoldInput) error {
	if in.Environment == "" {
		return fault.Newf(fault.Invalid, "read", "--env", "name the environment: --env prod", "it is missing")
	}
	if in.Reason == "" && !in.Release {
		return fault.Newf(fault.Invalid, "read", "--reason", "say why: --reason TEXT", "it is missing")
	}
	var err error
	if in.By, err = a.by(); err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	if err := heard(ctx, desk, in.Environment); err != nil {
		return err
	}
	kind := workflows.HoldQuestion
	if in.Release {
		kind = "release-" + kind
	}
	held, err := dispatch.Ask[[]activities.Held](ctx, desk, workflows.HoldQuestion, dispatch.Order{
		Turn: workflows.HoldID(in.Environment), Workflow: workflows.HoldName, Pipeline: in.Environment, By: in.By, Environments: []string{in.Environment}, Input: in,
		Summary: strings.TrimSuffix(kind+" "+in.Environment+": "+in.Reason, ": "),
	})
	if err != nil {
		return err
	}
	h := console.Held{Environment: in.Environment, Released: in.Release, By: in.By, Houses: append([]activities.Held{}, held...)}
	if err := a.answer(h, func(s console.Screen) string { return s.Held(h) }); err != nil {
		return err
	}
	if h.Complete() {
		return nil
	}
	return exitRefused.err()
}

// heard refuses an environment of which there is no trace.
func heard(ctx context.Context, desk *dispatch.Desk, env string) error {
	if !desk.Unheard(ctx, env) {
		return nil
	}
	return fault.Newf(fault.Invalid, "find environment", strconv.Quote(env),
		"check the name; if it is right, start a worker for it: "+dispatch.StartLines(dispatch.Queues([]string{env})[1:])[0],
		"no worker is there, and there is no trace of it")
}
