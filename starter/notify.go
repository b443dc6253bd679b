package main

import (
	"context"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

func (a *app) notifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "notify",
		Short:   "Try whether people are told what happens",
		Long:    "Who is told of what is in the policy of each environment's worker, under notify; docs/notifications.md says what they are told.",
		Example: "  drawbridge notify test --env prod",
		GroupID: groupSetup,
		Args:    between(0, 0, ""),
	}
	var env string
	test := &cobra.Command{
		Use:   "test --env ENV",
		Short: "Tell every receiver of an environment that this is a test",
		Long: `Has the environment's worker send a test event to every receiver of its policy, whatever that wants to hear of, and says of each
whether it took it. Nothing is tried again, and nothing is noted in the ledger. It refuses (exit code 2) where one was not told.`,
		Example: "  drawbridge notify test --env prod",
		Args:    between(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.notifyTest(cmd.Context(), env) },
	}
	test.Flags().StringVar(&env, "env", "", "environment")
	cmd.AddCommand(test)
	return cmd
}

func (a *app) notifyTest(ctx context.Context, env string) error {
	if env == "" {
		return fault.Newf(fault.Invalid, "read", "--env", "name the environment: --env prod", "it is missing")
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	if err := heard(ctx, desk, env); err != nil {
		return err
	}
	res, err := dispatch.Ask[activities.InspectResult](ctx, desk, "notify", dispatch.Order{
		Workflow: workflows.InspectionName, Pipeline: env, Environments: []string{env}, Summary: "tell the receivers of " + env + " that this is a test",
		Input: activities.InspectInput{Kind: activities.InspectNotify, Target: activities.Target{Environment: env}},
	})
	if err != nil {
		return err
	}
	return a.diagnosis(res.Checked)
}
