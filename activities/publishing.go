package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/cutover"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
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
	// Swappable says what would keep a publish from happening, as far as that shows before its locks are taken.
	Swappable(ctx context.Context, spec generation.PublishSpec, ticket admission.Ticket) error
	// Published is the result of a publish that has happened under a key.
	Published(ctx context.Context, key effect.Key, turnBack bool) (generation.PublishResult, bool, error)
	// Candidates are what an owner has built under a tenure and nobody has published, the newest of each partition of an output.
	Candidates(ctx context.Context, owner effect.Owner, tenure int64) ([]generation.Candidate, error)
	// Gauge is what a change of outputs costs here: their tables, and what bounds a transaction on this server.
	Gauge(ctx context.Context, outputs []string) (map[string]cutover.Table, cutover.Bounds, error)
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

// PublishInput are swaps to make visible together: those given, or what a transaction of a plan's cut-over publishes, as the ledger
// has it.
type PublishInput struct {
	Target Target            `json:"target"`
	Step   string            `json:"step"`
	Round  int               `json:"round"`
	Swaps  []generation.Swap `json:"swaps"`
	Plan   string            `json:"plan,omitempty"` // digest
	Part   int               `json:"part,omitempty"` // of its cut-over
	// Activate makes the target's tenure the active one in the same transaction.
	Activate bool   `json:"activate,omitempty"`
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Look asks only whether it has happened, and does nothing.
	Look bool `json:"look,omitempty"`
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
	if in.Look {
		res, _, err := w.Published(ctx, a.Site.publishSpec(ctx, in).Key, false)
		return res, err
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
	publish := func(swaps []generation.Swap) (generation.PublishResult, error) {
		return w.Publish(ctx, spec, a.Site.ticket(in.Target, admission.Publish, nil, swaps), beat)
	}
	var res generation.PublishResult
	if in.Plan == "" {
		res, err = publish(in.Swaps)
	} else {
		res, err = a.cutOver(ctx, w, in, spec.Key, publish)
	}
	if err != nil || !res.Done {
		return res, err
	}
	a.Site.changed()
	if in.Activate {
		res.Schedule, err = a.Site.reschedule(ctx, w, in.Target.Release.Pipeline)
	}
	return res, err
}

// cutOver publishes a transaction of a plan's cut-over. Which generations these are is the ledger's: those that the owner has built
// of its items, and nothing unless all are there. What is not there, or not what it would replace any more, is named by its slice.
func (a *Publishing) cutOver(ctx context.Context, w Warehouse, in PublishInput, key effect.Key, publish func([]generation.Swap) (generation.PublishResult, error)) (generation.PublishResult, error) {
	if done, ok, err := w.Published(ctx, key, false); err != nil || ok {
		return done, err
	}
	env, _, err := a.Site.planned(ctx, in.Target, in.Plan)
	if err != nil {
		return generation.PublishResult{}, err
	}
	if in.Part < 0 || in.Part >= len(env.Cutover.Slices) {
		return generation.PublishResult{}, fault.Newf(fault.Invalid, "read cut-over of plan", in.Plan, "plan again", fmt.Sprintf("it has %d transactions, not %d", len(env.Cutover.Slices), in.Part+1))
	}
	built, err := w.Candidates(ctx, in.Target.Owner, in.Target.Tenure)
	if err != nil {
		return generation.PublishResult{}, err
	}
	slice := env.Items(in.Part)
	missing := maps.Clone(slice)
	var swaps []generation.Swap
	for _, c := range built {
		at := generation.Item{Output: c.Output, Partition: c.Partition}
		if _, wanted := slice[at]; wanted {
			swaps = append(swaps, c.Swap)
			delete(missing, at)
		}
	}
	if len(missing) > 0 {
		return stale(slices.Collect(maps.Values(missing))), nil
	}
	res, err := publish(swaps)
	if err != nil || res.WaitingFor != generation.ForOthers {
		return res, err
	}
	var moved []int
	for _, s := range res.Moved {
		moved = append(moved, slice[generation.Item{Output: s.Output, Partition: s.Partition}])
	}
	return stale(moved), nil
}

// stale says which slices have to be built again.
func stale(of []int) generation.PublishResult {
	slices.Sort(of)
	return generation.PublishResult{WaitingFor: generation.ForOthers, Stale: slices.Compact(of)}
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
