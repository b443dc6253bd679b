package workflows

import (
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows/conduct"
)

// Plan observes the environments and computes a plan. It changes nothing but the store, where the plan is kept.
func Plan(ctx workflow.Context, in PlanInput) (activities.ComputeResult, error) {
	p := planner{pipeline: in.Pipeline, environments: in.Environments, configs: in.Configs}
	release, err := p.release(ctx, in.Source, in.Release)
	if err != nil {
		return activities.ComputeResult{}, conduct.Failure("plan "+in.Pipeline, err)
	}
	res, err := p.plan(ctx, release, in.Rebuild)
	return res, conduct.Failure("plan "+in.Pipeline, err)
}

// Validation validates a folder or a release on an environment's worker. It changes nothing.
func Validation(ctx workflow.Context, in ValidationInput) (activities.ValidateResult, error) {
	target := activities.Target{Environment: in.Environment, Release: in.Release, Config: in.Config, Owner: owner(ctx)}
	var res activities.ValidateResult
	var err error
	if in.Source != "" {
		res, err = ValidateSource.Try(ctx, in.Environment, "validate "+in.Pipeline, activities.ValidateSourceInput{Target: target, Source: in.Source})
	} else {
		res, err = ValidateRelease.Try(ctx, in.Environment, "validate "+in.Pipeline, target)
	}
	return res, conduct.Failure("validate "+in.Pipeline, err)
}

// Inspection puts one question to an environment's worker. Nothing that readers see changes by it.
func Inspection(ctx workflow.Context, in activities.InspectInput) (activities.InspectResult, error) {
	in.Target.Owner = owner(ctx)
	res, err := Inspect.Soon(ctx, in.Target.Environment, string(in.Kind), in)
	return res, conduct.Failure("inspect "+string(in.Kind), err)
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
	return BuildRelease.Try(ctx, p.environments[0], "build release", activities.BuildReleaseInput{Source: source})
}

// target names a release in an environment on behalf of the running workflow.
func (p planner) target(ctx workflow.Context, environment string, r release.Release) activities.Target {
	return activities.Target{Environment: environment, Release: r, Config: p.configs[environment], Owner: owner(ctx)}
}

// plan observes every environment at the same time and computes the plan.
func (p planner) plan(ctx workflow.Context, r release.Release, rebuild plan.Rebuild) (activities.ComputeResult, error) {
	looks := make([]conduct.Pending[activities.ObserveResult], len(p.environments))
	for i, env := range p.environments {
		looks[i] = Observe.Start(ctx, env, "observe "+env, p.target(ctx, env, r))
	}
	in := activities.ComputeInput{Target: p.target(ctx, p.environments[0], r), Rebuild: rebuild}
	for _, look := range looks {
		seen, err := look.Get(ctx)
		if err != nil {
			return activities.ComputeResult{}, err
		}
		in.Observed = append(in.Observed, seen.Observed)
	}
	return Compute.Try(ctx, p.environments[0], "compute plan", in)
}
