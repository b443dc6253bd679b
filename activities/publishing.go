package activities

import (
	"context"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
)

// Publisher makes generations visible.
type Publisher interface {
	// Expand creates absent parents and adds the nullable columns that the release's generations have; anything else is
	// fault.Refused. What is there already is left as it is.
	Expand(ctx context.Context, p *pipeline.Pipeline, spec generation.ExpandSpec, ticket admission.Ticket, beat func(locks time.Duration)) (generation.ExpandResult, error)
	AttachShadow(ctx context.Context, deployment string, generations []int64) error
	DropShadow(ctx context.Context, deployment string) error
	// Publish swaps, at most once under its key, when the ticket is admitted in the swap's own transaction. While it waits,
	// beat is told how long it has waited in all.
	Publish(ctx context.Context, spec generation.PublishSpec, ticket admission.Ticket, beat func(snapshots, locks time.Duration)) (generation.PublishResult, error)
}

// Publishing are the short activities that make things visible: they run on an environment's control queue.
type Publishing struct {
	Site *Site
}

// ExpandInput names the release whose columns need room.
type ExpandInput struct {
	Target Target `json:"target"`
}

// Expand makes room for a release's columns. What is there already is left as it is, so it may be repeated.
func (a *Publishing) Expand(ctx context.Context, in ExpandInput) (generation.ExpandResult, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return generation.ExpandResult{}, err
	}
	ticket := a.Site.ticket(in.Target, admission.Expand, p.Tables(), nil)
	before, beat := patience(ctx)
	return w.Expand(ctx, p, generation.ExpandSpec{
		LockBudget: a.Site.Policy.Publish.LockBudget, WaitedLocks: before.Locks, Application: application(ctx, "expand"),
	}, ticket, func(locks time.Duration) { beat(0, locks) })
}

// ShadowInput names generations that are attached to the deployment's shadow parents.
type ShadowInput struct {
	Target      Target  `json:"target"`
	Generations []int64 `json:"generations,omitempty"`
}

// AttachShadow makes a canary's generations readable beside the live table. Attached ones are left as they are.
func (a *Publishing) AttachShadow(ctx context.Context, in ShadowInput) error {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return err
	}
	return w.AttachShadow(ctx, string(in.Target.Owner), in.Generations)
}

// DropShadow removes a deployment's shadow parents and rejects what is still attached to them. Twice is once.
func (a *Publishing) DropShadow(ctx context.Context, in ShadowInput) error {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return err
	}
	defer a.Site.changed() // what was in it can go
	return w.DropShadow(ctx, string(in.Target.Owner))
}

// PublishInput are swaps to make visible together.
type PublishInput struct {
	Target Target            `json:"target"`
	Step   string            `json:"step"`
	Round  int               `json:"round"`
	Swaps  []generation.Swap `json:"swaps"`
	// Activate makes the target's tenure the active one in the same transaction.
	Activate bool   `json:"activate,omitempty"`
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// About names the publish in what people decide about it while it is held up.
func (in PublishInput) About() string {
	return admission.AboutEffect(in.Target.Effect(in.Step, "", in.Round))
}

// Publish swaps in one transaction, at most once under target + step + round; a second call returns the recorded result. It
// trusts no caller: what it says of tenure and release is held against ledger and policy, in the transaction. What people have
// accepted, and whom they want ended, is what the ledger has of their answers, under this environment's own rule. When locks, older snapshots, a hold
// or others who were faster are in the way, nothing is changed, and the result says so. Where it makes its release the active one, the
// schedule is that release's afterwards, whenever an attempt of it ends.
func (a *Publishing) Publish(ctx context.Context, in PublishInput) (generation.PublishResult, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return generation.PublishResult{}, err
	}
	active, err := w.Active(ctx, in.Target.Release.Pipeline)
	if err != nil {
		return generation.PublishResult{}, err
	}
	if active.Number != in.Target.Tenure {
		if err := a.Site.admit(ctx, in.Target.Release); err != nil {
			return generation.PublishResult{}, err
		}
	}
	spec := a.Site.publishSpec(ctx, in)
	before, beat := patience(ctx)
	spec.Activate, spec.WaitedSnapshots, spec.WaitedLocks = in.Activate, before.Snapshots, before.Locks
	res, err := w.Publish(ctx, spec, a.Site.ticket(in.Target, admission.Publish, nil, in.Swaps), beat)
	if err != nil || !res.Done {
		return res, err
	}
	a.Site.changed()
	if in.Activate {
		res.Schedule, err = a.Site.reschedule(ctx, w, in.Target.Release.Pipeline)
	}
	return res, err
}

// publishSpec is how a publish waits, by the environment's policy.
func (s *Site) publishSpec(ctx context.Context, in PublishInput) generation.PublishSpec {
	rules := s.Policy.Publish
	return generation.PublishSpec{
		Key: in.Target.Effect(in.Step, "", in.Round), By: in.By, Reason: in.Reason, Application: application(ctx, in.Step),
		LockBudget: rules.LockBudget, SnapshotWait: rules.SnapshotWait,
		IgnoreSnapshots: rules.OnSnapshotTimeout == pipeline.TimeoutProceed,
	}
}
