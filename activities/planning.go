package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// Media types of the blobs that activities leave in the store.
const (
	observedMedia = "application/vnd.drawbridge.observed.v1+json"
	planMedia     = "application/vnd.drawbridge.plan.v1+json"
	undoMedia     = "application/vnd.drawbridge.undo.v1+json"
)

// Observer looks at a warehouse and changes nothing, but for the ledger that it makes where there is none.
type Observer interface {
	EnsureLedger(ctx context.Context) error
	Observe(ctx context.Context, p *pipeline.Pipeline) (plan.Observed, error)
	// Active is the tenure that runs of a pipeline use; number 0: there never was one.
	Active(ctx context.Context, pipeline string) (release.Tenure, error)
	// Discover loads the files and returns the partitions that the outputs' SELECTs have rows for, in order.
	Discover(ctx context.Context, p *pipeline.Pipeline) ([]partition.Key, error)
}

// Planning observes environments and computes plans.
type Planning struct {
	Site *Site
}

// ObserveResult is the digest of a blob: what was observed may name thousands of partitions.
type ObserveResult struct {
	Observed string `json:"observed"`
}

// Observe looks at one environment for a release. It reads only, and may be repeated.
func (a *Planning) Observe(ctx context.Context, t Target) (ObserveResult, error) {
	in, err := a.observe(ctx, t)
	if err != nil {
		return ObserveResult{}, a.Site.atOnce(err)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return ObserveResult{}, fmt.Errorf("encode observation: %w", err)
	}
	digest, err := a.Site.Store.PutBlob(ctx, observedMedia, body)
	return ObserveResult{Observed: digest}, err
}

func (a *Planning) observe(ctx context.Context, t Target) (plan.EnvironmentInput, error) {
	p, w, err := a.Site.open(ctx, t)
	if err != nil {
		return plan.EnvironmentInput{}, err
	}
	_, stop := pulse(ctx, partition.AllKey) // to find partitions in the data takes as long as to load it
	defer stop()
	if err := w.EnsureLedger(ctx); err != nil {
		return plan.EnvironmentInput{}, err
	}
	observed, err := w.Observe(ctx, p)
	if err != nil {
		return plan.EnvironmentInput{}, err
	}
	if observed.Active != nil {
		if err := a.Site.renamed(ctx, p.Name, &observed.Active.Version); err != nil {
			return plan.EnvironmentInput{}, err
		}
	}
	observed.Environment = t.Environment
	observed.ConfigDigest = p.Config.Digest()
	observed.PolicyDigest = a.Site.Policy.Digest()
	if observed.Schedule, err = a.Site.scheduleOf(ctx, w, p); err != nil {
		return plan.EnvironmentInput{}, err
	}
	taken, err := a.Site.taken(ctx, p, t.Release.Digest)
	if err != nil {
		return plan.EnvironmentInput{}, err
	}
	blind, err := a.Site.blind(ctx, w)
	if err != nil {
		return plan.EnvironmentInput{}, err
	}
	observed.Problems = append(observed.Problems, slices.Concat(taken, blind)...)
	sources, err := a.Site.buildable(ctx, p, w)
	if err != nil {
		return plan.EnvironmentInput{}, err
	}
	observed.Sources, observed.Problems = sources.Keys, append(observed.Problems, sources.Problems(p.Partition)...)
	return plan.EnvironmentInput{Config: p.Config, Policy: a.Site.Policy, Observed: observed}, nil
}

// ComputeInput names the observations, in the order of crossing.
type ComputeInput struct {
	Target   Target       `json:"target"` // any of the environments: the plan is a function of blobs
	Observed []string     `json:"observed"`
	Rebuild  plan.Rebuild `json:"rebuild"`
}

// ComputeResult is the plan as workflows carry it. The digest of Summary is that of a blob with all that was decided;
// Shown is the digest of one with the estimates too, for screens.
type ComputeResult struct {
	Summary  plan.Summary `json:"summary"`
	Shown    string       `json:"shown"`
	Markdown string       `json:"markdown"` // bounded, for the Web UI
}

// Compute runs the pure planner over what was observed and keeps the plan in the store, by its digest.
func (a *Planning) Compute(ctx context.Context, in ComputeInput) (ComputeResult, error) {
	p, err := a.Site.Pipeline(ctx, in.Target)
	if err != nil {
		return ComputeResult{}, err
	}
	input := plan.Input{Release: in.Target.Release, Pipeline: p, Rebuild: in.Rebuild}
	for _, digest := range in.Observed {
		body, err := a.Site.Store.Blob(ctx, digest)
		if err != nil {
			return ComputeResult{}, fmt.Errorf("fetch observation %s: %w", digest, err)
		}
		var env plan.EnvironmentInput
		if err := json.Unmarshal(body, &env); err != nil {
			return ComputeResult{}, fault.New(fault.Invalid, "read observation", digest, "plan again", err)
		}
		input.Environments = append(input.Environments, env)
	}
	computed, err := plan.Compute(input)
	if err != nil {
		return ComputeResult{}, err
	}
	digest, err := a.Site.Store.PutBlob(ctx, planMedia, plan.Canonical(computed))
	if err != nil {
		return ComputeResult{}, fmt.Errorf("keep plan: %w", err)
	}
	if digest != computed.Digest {
		return ComputeResult{}, fault.Newf(fault.Invalid, "keep plan", computed.Digest, "report this",
			"the store knows it by another digest: "+digest)
	}
	body, err := json.Marshal(computed)
	if err != nil {
		return ComputeResult{}, fmt.Errorf("encode plan: %w", err)
	}
	shown, err := a.Site.Store.PutBlob(ctx, planMedia, body)
	if err != nil {
		return ComputeResult{}, fmt.Errorf("keep plan: %w", err)
	}
	return ComputeResult{Summary: plan.Summarize(computed), Shown: shown, Markdown: plan.MarkdownBounded(computed)}, nil
}

// ReadPlanInput names a plan by digest, to apply it.
type ReadPlanInput struct {
	Target Target `json:"target"` // its release may be empty: the plan names it
	Plan   string `json:"plan"`
}

// ReadPlan reads a plan that was computed before.
func (a *Planning) ReadPlan(ctx context.Context, in ReadPlanInput) (ComputeResult, error) {
	pl, err := a.Site.plan(ctx, in.Plan)
	if err != nil {
		return ComputeResult{}, err
	}
	return ComputeResult{Summary: plan.Summarize(pl), Shown: in.Plan, Markdown: plan.MarkdownBounded(pl)}, nil
}

// RecheckInput names the plan and the environment that is about to be touched.
type RecheckInput struct {
	Target Target `json:"target"`
	Plan   string `json:"plan"`
}

// Recheck observes an environment again, right before it is touched: anything that the plan decided upon and that moved
// since is a fault.Conflict that names it, and nothing has been done. A release that policy does not admit is refused.
func (a *Planning) Recheck(ctx context.Context, in RecheckInput) error {
	env, pl, err := a.Site.planned(ctx, in.Target, in.Plan)
	if err != nil {
		return err
	}
	now, err := a.observe(ctx, in.Target)
	if err != nil {
		return err
	}
	if moved := plan.Drift(env, pl.Release, now.Observed); len(moved) > 0 {
		return fault.Newf(fault.Conflict, "apply plan", pl.Digest+" to "+in.Target.Environment,
			"plan again: "+planLine(in.Target), "the environment moved since it was planned: "+strings.Join(moved, "; "))
	}
	return a.Site.admit(ctx, in.Target.Release)
}
