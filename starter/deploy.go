package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/plan"
	"drawbridge/workflows"
)

// deployment is the flags of deploy.
type deployment struct {
	scope
	reason     string
	compensate string
	detach     bool
	watch      bool
}

func (a *app) deployCommand() *cobra.Command {
	var d deployment
	cmd := &cobra.Command{
		Use:   "deploy DIR|PIPELINE@VERSION|PLANDIGEST --to ENV",
		Short: "Take a pipeline through its environments: canary, approval, publish, watch",
		Long: `Takes a folder, a release or a plan through every environment up to --to. It follows until the deployment is done, turned
back, or waits for a person: then it prints how to decide and exits with 4. With --watch it goes on following meanwhile;
with --detach it returns when the deployment has started. Ctrl-C stops following, never the deployment.

A release has one deployment at a time, deploy/PIPELINE/VERSION. Those of other releases go on: one of them at a time
changes an environment, and a watch ends when a newer release is published there.

A folder whose version nobody has claimed is a try, 1.4.0+0123abcd by version and digest, deploy/PIPELINE/1.4.0-0123abcd: edit it
and deploy it to the first environment again, as often as you like. It claims the version when it enters the second
environment; one that another release has claimed is refused before that.`,
		Example: "  drawbridge deploy ./shop --to prod\n  drawbridge deploy shop@1.1.0 --to prod --rebuild last=7 --reason 'currency codes'\n  drawbridge deploy 9b1e52aa04c1 --watch",
		GroupID: groupChange,
		Args:    between(1, 1, "DIR, PIPELINE@VERSION or PLANDIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.detach && d.watch {
				return usage(cmd, "--detach and --watch exclude each other")
			}
			return a.deploy(cmd.Context(), args[0], d)
		},
	}
	d.flags(cmd)
	a.asFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&d.reason, "reason", "", "why, for approvers and history")
	f.StringVar(&d.compensate, "compensate", "failed", "what a failure turns back: failed (the environment) or all (the earlier ones too, as where the policy says so)")
	f.BoolVar(&d.detach, "detach", false, "return when it has started")
	f.BoolVar(&d.watch, "watch", false, "go on following while it waits for a person")
	return cmd
}

// asFlag lets a person say who they are.
func (a *app) asFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.as, "as", "", "who asks (default $DRAWBRIDGE_USER, then the user of the system)")
}

func (a *app) deploy(ctx context.Context, arg string, d deployment) error {
	in, s, err := a.deploymentInput(ctx, arg, d)
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	t, err := desk.Begin(ctx, dispatch.Order{
		ID: workflows.DeploymentID(in.Pipeline, s.version), Twin: s.tried(), Workflow: workflows.DeploymentName, Input: in,
		Pipeline: in.Pipeline, Release: s.version, Plan: in.Plan, By: in.By, Environments: in.Environments,
		Summary: fmt.Sprintf("deploy %s to %s", s.title, in.Environments[len(in.Environments)-1]), Details: deploymentDetails(s, in),
	})
	if err != nil {
		return err
	}
	if d.detach {
		return a.detached(ctx, t, in.Environments, in.Plan)
	}
	p := dispatch.UntilAsked
	if d.watch {
		p = dispatch.UntilDone
	}
	return a.follow(ctx, t, in.Environments, p, nil)
}

func (a *app) deploymentInput(ctx context.Context, arg string, d deployment) (workflows.DeploymentInput, subject, error) {
	var in workflows.DeploymentInput
	rebuild, err := rebuildOf(d.rebuild)
	if err != nil {
		return in, subject{}, err
	}
	if d.compensate != "failed" && d.compensate != "all" {
		return in, subject{}, fault.Newf(fault.Invalid, "read", "--compensate "+d.compensate, "write failed or all", "there is no such choice")
	}
	by, err := a.by()
	if err != nil {
		return in, subject{}, err
	}
	s, err := a.subject(ctx, arg)
	if err != nil {
		return in, s, err
	}
	if err := s.releaseNamed(); err != nil {
		return in, s, err
	}
	crossed := s.environments
	switch {
	case s.plan != "" && d.rebuild != "":
		return in, s, fault.Newf(fault.Invalid, "deploy", s.title, "leave --rebuild away, or plan again with it", "a plan has its scope already")
	case s.plan != "" && d.to != "" && d.to != crossed[len(crossed)-1]:
		return in, s, fault.Newf(fault.Invalid, "deploy", s.title, "plan with --to "+d.to, "the plan goes to "+crossed[len(crossed)-1])
	case s.plan == "" && d.to == "":
		return in, s, fault.Newf(fault.Invalid, "deploy", s.title, "say how far: --to prod", "--to is missing")
	case s.plan == "":
		if crossed, err = s.upTo(d.to); err != nil {
			return in, s, err
		}
	default:
		rebuild = plan.Rebuild{}
	}
	configs, err := a.configs(ctx, d.configs)
	return workflows.DeploymentInput{
		Pipeline: s.pipeline, Source: s.source, Release: s.release, Plan: s.plan, Environments: crossed, Rebuild: rebuild,
		Configs: configs, By: by, Reason: d.reason, CompensateAll: d.compensate == "all",
	}, s, err
}

// deploymentDetails is what the Web UI shows before the plan is there.
func deploymentDetails(s subject, in workflows.DeploymentInput) string {
	text := fmt.Sprintf("**%s** through %s, asked by %s.\n", s.title, strings.Join(in.Environments, " → "), in.By)
	if in.Reason != "" {
		text += "\n> " + strings.ReplaceAll(in.Reason, "\n", "\n> ") + "\n"
	}
	return text
}
