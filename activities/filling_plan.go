package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"drawbridge/internal/backfill"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// PlanFillInput asks for a plan. The target names the pipeline, and no release: what is active is built.
type PlanFillInput struct {
	Target Target       `json:"target"`
	Ask    backfill.Ask `json:"ask"`
}

// FillPlan is a plan, as workflows carry it, and where the pipeline is.
type FillPlan struct {
	Target  Target           `json:"target"`
	Summary backfill.Summary `json:"summary"`
	Rule    gate.Approval    `json:"rule"` // of every gate there
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
}

// Plan computes a plan. It changes nothing, and may be repeated.
func (a *Filling) Plan(ctx context.Context, in PlanFillInput) (FillPlan, error) {
	c, err := a.compute(ctx, in.Target, in.Ask)
	if err != nil {
		return FillPlan{}, err
	}
	return FillPlan{Target: c.target, Summary: backfill.Summarize(c.plan, c.p.Partition), Rule: a.Site.Policy.Approval, Tells: a.Site.Policy.Notify.Tells()}, nil
}

// computed is a plan, and what it was computed from.
type computed struct {
	target Target
	p      *pipeline.Pipeline
	w      Warehouse
	plan   backfill.Plan
}

// compute plans by what is active, live and there now.
func (a *Filling) compute(ctx context.Context, t Target, ask backfill.Ask) (c computed, err error) {
	if c.target, _, c.w, err = a.Site.locate(ctx, t); err != nil {
		return c, a.Site.atOnce(err)
	}
	_, stop := pulse(ctx, partition.AllKey) // to find partitions in the data takes as long as to load it
	defer stop()
	active, err := c.w.Active(ctx, c.target.Release.Pipeline)
	if err != nil {
		return c, err
	}
	if !active.None() {
		c.target.Release, c.target.Config = active.Release, active.Config
	}
	chosen, err := a.chosen(ctx, c, active, ask.Release)
	if err != nil {
		return c, err
	}
	if chosen.Number != 0 {
		c.target.Release, c.target.Config = chosen.Release, chosen.Config
	}
	if c.p, c.w, err = a.Site.open(ctx, c.target); err != nil {
		return c, err
	}
	if err := unobstructed(ctx, "backfill", c.p, c.w); err != nil {
		return c, err
	}
	if blind, err := a.Site.blind(ctx, c.w); err != nil || len(blind) > 0 {
		return c, cmp.Or(err, refused("backfill", c.p.Name, blind))
	}
	observed, err := c.w.Observe(ctx, c.p)
	if err != nil {
		return c, err
	}
	sources, err := a.Site.buildable(ctx, c.p, c.w)
	if err != nil {
		return c, err
	}
	observed.Sources = sources.Keys
	changed, err := a.Site.Sources.Changed(c.p.Config, c.p, observed.Sources)
	if err != nil {
		return c, err
	}
	readers, err := a.downstream(ctx, c.target, c.p, c.w)
	if err != nil {
		return c, err
	}
	bytes, measured, err := c.w.SizeOf(ctx, cutOutputs(c.p))
	if err != nil {
		return c, err
	}
	c.plan, err = backfill.Compute(backfill.Input{
		Ask: ask, Environment: a.Site.Environment, Pipeline: c.p, Active: active, Chosen: chosen, Policy: a.Site.Policy, Observed: observed, Changed: changed, Readers: readers,
		Bytes: bytes / max(1, measured),
	})
	return c, err
}

// BeginFillInput is a backfill that begins. The target names the pipeline, and no release.
type BeginFillInput struct {
	Target Target       `json:"target"`
	Ask    backfill.Ask `json:"ask"`
	Round  int          `json:"round"`
	By     string       `json:"by"`
	Reason string       `json:"reason"`
}

// BegunFill is a backfill that has begun, and by which plan.
type BegunFill struct {
	FillPlan
	Tenure release.Tenure `json:"tenure"`
	Epoch  string         `json:"epoch"`
}

// Begin computes the plan by which a backfill is done, and enters it: from here on no other one builds partitions of its span, and no
// deployment that would. The plan is the environment's own: nothing is built by one that somebody else has written. It happens once
// in a round; another round goes on by another plan.
func (a *Filling) Begin(ctx context.Context, in BeginFillInput) (BegunFill, error) {
	c, err := a.compute(ctx, in.Target, in.Ask)
	if err != nil {
		return BegunFill{}, err
	}
	digest, err := a.Site.Store.PutBlob(ctx, backfillMedia, backfill.Canonical(c.plan))
	if err != nil {
		return BegunFill{}, fmt.Errorf("keep plan: %w", err)
	}
	if digest != backfill.Digest(c.plan) {
		return BegunFill{}, fault.Newf(fault.Invalid, "keep plan", backfill.Digest(c.plan), "report this", "the store knows it by another digest: "+digest)
	}
	beside, err := a.beside(ctx, c)
	if err != nil {
		return BegunFill{}, err
	}
	tenure, err := c.w.BeginBackfill(ctx, backfill.Entry{
		Plan: c.plan, Scheme: c.p.Partition, Outputs: c.p.Tables(), Beside: beside, By: in.By, Reason: in.Reason,
	}, in.Target.Effect("begin-backfill", "", in.Round))
	if err != nil {
		return BegunFill{}, err
	}
	// An attempt that came back too late has computed another one than that by which it has begun.
	entered, err := c.w.Backfill(ctx, in.Target.Owner)
	if err != nil {
		return BegunFill{}, err
	}
	if c.plan, err = a.read(ctx, entered.Plan); err != nil {
		return BegunFill{}, err
	}
	c.target.Release, c.target.Config = c.plan.Release, c.plan.Config
	epoch, err := c.w.Epoch(ctx)
	return BegunFill{
		FillPlan: FillPlan{Target: c.target, Summary: backfill.Summarize(c.plan, c.p.Partition), Rule: a.Site.Policy.Approval, Tells: a.Site.Policy.Notify.Tells()},
		Tenure:   tenure, Epoch: epoch,
	}, err
}

// beside is the owner of the crossing, if what that builds is none of the span.
func (a *Filling) beside(ctx context.Context, c computed) (string, error) {
	owner, digest, err := c.w.Crosses(ctx, c.p.Name)
	if err != nil || owner == "" {
		return "", err
	}
	builds, err := a.Site.plan(ctx, digest)
	if err != nil {
		return "", err
	}
	span := backfill.Open{First: c.plan.Ask.From, Last: c.plan.Ask.To}
	for _, env := range builds.Environments {
		if env.Name != a.Site.Environment {
			continue
		}
		if key := span.Meets(c.p.Partition, env); key != "" {
			workflow := effect.Owner(owner).Workflow()
			return "", fault.Newf(fault.Conflict, "backfill", c.p.Name, "wait for it: drawbridge status "+workflow,
				fmt.Sprintf("%s crosses here and builds %s too", workflow, key))
		}
	}
	return owner, nil
}

// chosen is the tenure of another release that somebody wants built: one that was active here, and that this environment lets in still.
// Anything else has to cross first. No number: what is active is built.
func (a *Filling) chosen(ctx context.Context, c computed, active release.Tenure, version string) (release.Tenure, error) {
	name := c.target.Release.Pipeline
	if version == "" || active.None() || version == active.Release.Version {
		return release.Tenure{}, nil
	}
	was, err := c.w.WasActive(ctx, name, version)
	if err != nil {
		return was, err
	}
	if was.Number == 0 {
		return was, fault.Newf(fault.Refused, "backfill", name+"@"+version, fmt.Sprintf("deploy it first: drawbridge deploy %s@%s --to %s", name, version, a.Site.Environment),
			"it was never active in "+a.Site.Environment)
	}
	return was, a.Site.admit(ctx, was.Release)
}

// plan reads a plan, and holds it to a target.
func (a *Filling) plan(ctx context.Context, t Target, digest string) (backfill.Plan, error) {
	pl, err := a.read(ctx, digest)
	if err != nil {
		return pl, err
	}
	if pl.Environment != t.Environment || pl.Release.Digest != t.Release.Digest || pl.Config != t.Config {
		return pl, fault.Newf(fault.Refused, "apply plan", digest, "start the backfill again: it is planned anew", "the plan is about another release or environment")
	}
	return pl, nil
}

// read reads a plan by its digest, which the store verifies.
func (a *Filling) read(ctx context.Context, digest string) (backfill.Plan, error) {
	var pl backfill.Plan
	body, err := a.Site.Store.Blob(ctx, digest)
	if err != nil {
		return pl, fmt.Errorf("fetch plan %s: %w", digest, err)
	}
	if err := json.Unmarshal(body, &pl); err != nil {
		return pl, fault.New(fault.Invalid, "read plan", digest, "start the backfill again", err)
	}
	return pl, nil
}
