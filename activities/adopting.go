package activities

import (
	"context"
	"time"

	"drawbridge/internal/adoption"
	"drawbridge/internal/effect"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// Adopter turns tables that were there before into outputs, without a copy of their rows, and gives them back.
type Adopter interface {
	// PlanAdoption and PlanRelease say what is done, and what keeps it from being done. They change nothing.
	PlanAdoption(ctx context.Context, p *pipeline.Pipeline, ask adoption.Ask) (adoption.Plan, error)
	PlanRelease(ctx context.Context, pipeline, output string) (adoption.Plan, error)
	// ProveAdoption proves, while others read and write, what the adoption relies on. What is proved stays so.
	ProveAdoption(ctx context.Context, p *pipeline.Pipeline, spec adoption.Spec, beat func(locks time.Duration)) (adoption.Result, error)
	// Adopt makes the table the output, at most once under the key; one that was adopted is done.
	Adopt(ctx context.Context, p *pipeline.Pipeline, spec adoption.Spec, beat func(locks time.Duration)) (adoption.Result, error)
	// SumAdopted counts the rows of an adopted generation, as of every built one. Twice is once.
	SumAdopted(ctx context.Context, output string) error
	// ReleaseTable gives the table back, at most once under the key.
	ReleaseTable(ctx context.Context, spec adoption.Spec, beat func(locks time.Duration)) (adoption.Result, error)
	// FirstBuilt is the first partition of which all outputs can be built; empty: any.
	FirstBuilt(ctx context.Context, p *pipeline.Pipeline) (partition.Key, error)
}

// Adopting turns tables into outputs, and gives them back.
type Adopting struct {
	Site *Site
}

// AdoptInput is a table that is to become an output of the target's release, or to be given back.
type AdoptInput struct {
	Target Target       `json:"target"`
	Ask    adoption.Ask `json:"ask"`
	Back   bool         `json:"back,omitempty"` // it is given back
	Look   bool         `json:"look,omitempty"` // and only the plan is wanted
	By     string       `json:"by"`
	Reason string       `json:"reason,omitempty"`
}

// Command is what a person types for it.
func (in AdoptInput) Command() string {
	if in.Back {
		return "release-table"
	}
	return "adopt"
}

// Adopted is what was done, or would be.
type Adopted struct {
	Plan   adoption.Plan   `json:"plan"`
	Result adoption.Result `json:"result"`
}

// Plan says what is done, and what keeps it from being done. It reads only, but for a ledger that is not there yet.
func (a *Adopting) Plan(ctx context.Context, in AdoptInput) (adoption.Plan, error) {
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	p, w, err := a.Site.open(ctx, in.Target)
	if err == nil {
		err = w.EnsureLedger(ctx)
	}
	switch {
	case err != nil:
		return adoption.Plan{}, a.Site.atOnce(err)
	case in.Back:
		plan, err := w.PlanRelease(ctx, p.Name, in.Ask.Output)
		return plan.Bounded(), err
	}
	plan, err := w.PlanAdoption(ctx, p, in.Ask)
	return plan.Bounded(), err
}

// Prove proves what an adoption relies on. It may be repeated, and goes on where another attempt was stopped.
func (a *Adopting) Prove(ctx context.Context, in AdoptInput) (adoption.Result, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return adoption.Result{}, err
	}
	spec, beat := a.spec(ctx, in, "prove")
	return w.ProveAdoption(ctx, p, spec, beat)
}

// Adopt makes the table the output, under its workflow's key, and sums up its rows. A second call finds it done.
func (a *Adopting) Adopt(ctx context.Context, in AdoptInput) (adoption.Result, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return adoption.Result{}, err
	}
	spec, beat := a.spec(ctx, in, "adopt")
	result, err := w.Adopt(ctx, p, spec, beat)
	if err != nil || !result.Done {
		return result, err
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	return result, w.SumAdopted(ctx, in.Ask.Output)
}

// Release gives the table back, under its workflow's key. A second call finds it done.
func (a *Adopting) Release(ctx context.Context, in AdoptInput) (adoption.Result, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return adoption.Result{}, err
	}
	spec, beat := a.spec(ctx, in, "release")
	return w.ReleaseTable(ctx, spec, beat)
}

// spec is an input as an effect of its workflow, within what the policy lets a publish wait for locks.
func (a *Adopting) spec(ctx context.Context, in AdoptInput, step string) (adoption.Spec, func(locks time.Duration)) {
	before, beat := patience(ctx)
	key := effect.Key{Owner: in.Target.Owner, Environment: in.Target.Environment, Step: step, Partition: partition.AllKey}
	return adoption.Spec{
		Ask: in.Ask, Key: key, Release: in.Target.Release, Config: in.Target.Config, By: in.By, Reason: in.Reason,
		Application: application(ctx, step), LockBudget: a.Site.Policy.Publish.LockBudget, WaitedLocks: before.Locks,
	}, func(locks time.Duration) { beat(0, locks) }
}
