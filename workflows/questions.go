package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// questionRetry is for reading: a person waits for the answer, so it gives up early and says why.
func questionRetry() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 2, MaximumAttempts: 4}
}

// Plan observes the environments and computes a plan. It changes nothing but the store, where the plan is kept.
func Plan(ctx workflow.Context, in PlanInput) (activities.ComputeResult, error) {
	p := planner{pipeline: in.Pipeline, environments: in.Environments, configs: in.Configs}
	release, err := p.release(ctx, in.Source, in.Release)
	if err != nil {
		return activities.ComputeResult{}, failure("plan "+in.Pipeline, err)
	}
	res, err := p.plan(ctx, release, in.Rebuild)
	return res, failure("plan "+in.Pipeline, err)
}

// Validation validates a folder or a release on an environment's worker. It changes nothing.
func Validation(ctx workflow.Context, in ValidationInput) (activities.ValidateResult, error) {
	ctx = workflow.WithActivityOptions(ctx, buildOptions(in.Environment, "validate "+in.Pipeline))
	target := activities.Target{Environment: in.Environment, Release: in.Release, Config: in.Config, Key: key(ctx)}
	var acts *activities.Builds // nil: only names the methods
	var res activities.ValidateResult
	if in.Source != "" {
		err := workflow.ExecuteActivity(ctx, acts.ValidateSource, activities.ValidateSourceInput{Target: target, Source: in.Source}).Get(ctx, &res)
		return res, failure("validate "+in.Pipeline, err)
	}
	err := workflow.ExecuteActivity(ctx, acts.ValidateRelease, target).Get(ctx, &res)
	return res, failure("validate "+in.Pipeline, err)
}

// Inspection puts one question to an environment's worker. It changes nothing.
func Inspection(ctx workflow.Context, in activities.InspectInput) (activities.InspectResult, error) {
	opts := controlOptions(in.Target.Environment, string(in.Kind))
	opts.RetryPolicy = questionRetry()
	ctx = workflow.WithActivityOptions(ctx, opts)
	in.Target.Key = key(ctx)
	var acts *activities.Inspecting // nil: only names the method
	var res activities.InspectResult
	err := workflow.ExecuteActivity(ctx, acts.Inspect, in).Get(ctx, &res)
	return res, failure("inspect "+string(in.Kind), err)
}

// planner turns a folder or a release into a plan; plan and deployment share it.
type planner struct {
	pipeline     string
	environments []string
	configs      map[string]string
}

// release returns the release to plan: built from a source blob on the first environment's worker, or as it was given.
func (p planner) release(ctx workflow.Context, source string, given release.Release) (release.Release, error) {
	if source == "" {
		return given, nil
	}
	ctx = workflow.WithActivityOptions(ctx, controlOptions(p.environments[0], "build release"))
	var acts *activities.Releases // nil: only names the method
	var built release.Release
	err := workflow.ExecuteActivity(ctx, acts.BuildRelease, activities.BuildReleaseInput{Source: source}).Get(ctx, &built)
	return built, err
}

// target names a release in an environment on behalf of the running workflow.
func (p planner) target(ctx workflow.Context, environment string, r release.Release) activities.Target {
	return activities.Target{Environment: environment, Release: r, Config: p.configs[environment], Key: key(ctx)}
}

// plan observes every environment at the same time and computes the plan.
func (p planner) plan(ctx workflow.Context, r release.Release, rebuild plan.Rebuild) (activities.ComputeResult, error) {
	var acts *activities.Planning // nil: only names the methods
	looks := make([]workflow.Future, len(p.environments))
	for i, env := range p.environments {
		opts := observeOptions(env, "observe "+env)
		looks[i] = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, opts), acts.Observe, p.target(ctx, env, r))
	}
	in := activities.ComputeInput{Target: p.target(ctx, p.environments[0], r), Rebuild: rebuild}
	for _, look := range looks {
		var seen activities.ObserveResult
		if err := look.Get(ctx, &seen); err != nil {
			return activities.ComputeResult{}, err
		}
		in.Observed = append(in.Observed, seen.Observed)
	}
	ctx = workflow.WithActivityOptions(ctx, controlOptions(p.environments[0], "compute plan"))
	var res activities.ComputeResult
	err := workflow.ExecuteActivity(ctx, acts.Compute, in).Get(ctx, &res)
	return res, err
}
