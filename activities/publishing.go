package activities

import (
	"context"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// PublishSpec asks a warehouse for swaps in one transaction, at most once under its key.
type PublishSpec struct {
	Key         string
	Swaps       []generation.Swap
	Release     release.Release
	Application string
	// TurnBack says that the swaps go back to generations that were published before; else each must have passed its audit.
	TurnBack bool
	// Accepted says that a person accepted generations whose audit was inconclusive.
	Accepted     bool
	LockBudget   time.Duration
	SnapshotWait time.Duration
	// IgnoreSnapshots goes on although older snapshots would see the new children as empty.
	IgnoreSnapshots bool
	// Terminate ends the sessions that block, if they still hold what they held.
	Terminate []generation.Session
	// WaitedSnapshots and WaitedLocks are what earlier attempts have spent of the budgets.
	WaitedSnapshots time.Duration
	WaitedLocks     time.Duration
}

// PublishResult says whether the swaps are visible, or who holds them up.
type PublishResult struct {
	Done    bool                 `json:"done"`
	Swapped int                  `json:"swapped"`
	Blocked []generation.Session `json:"blocked,omitempty"`
	// WaitingFor is snapshots or locks.
	WaitingFor string  `json:"waiting_for,omitempty"`
	HoldMS     float64 `json:"hold_ms,omitempty"`
}

// Publisher makes generations visible, and turns them back.
type Publisher interface {
	// Expand creates absent parents and adds the nullable columns that the release's generations have; anything else is
	// fault.Refused. What is there already is left as it is.
	Expand(ctx context.Context, spec ExpandSpec, beat func(locks time.Duration)) (ExpandResult, error)
	AttachShadow(ctx context.Context, deployment string, generations []int64) error
	DropShadow(ctx context.Context, deployment string) error
	// While it waits, beat is told how long it has waited in all.
	Publish(ctx context.Context, spec PublishSpec, beat func(snapshots, locks time.Duration)) (PublishResult, error)
	// WasActive says whether a release is or was the active one of its pipeline.
	WasActive(ctx context.Context, pipeline, digest string) (bool, error)
	// SetActive flips the active release, once under its key. A nil release leaves none active.
	SetActive(ctx context.Context, key, pipeline string, r *release.Release) error
	RecordApproval(ctx context.Context, planDigest, environment string, g gate.Gate) error
	// Approved says whether an approval gate of the plan closed with approve in this environment.
	Approved(ctx context.Context, planDigest, environment string) (bool, error)
	Housekeep(ctx context.Context, keep time.Duration) error
}

// Publishing are the short activities that make things visible: they run on an environment's control queue.
type Publishing struct {
	Site *Site
}

// ExpandInput names the step of an expansion.
type ExpandInput struct {
	Target Target `json:"target"`
	Plan   string `json:"plan,omitempty"` // digest; empty for a run
}

// ExpandSpec asks a warehouse for the columns of what a release built.
type ExpandSpec struct {
	Pipeline    *pipeline.Pipeline
	Release     release.Release
	LockBudget  time.Duration
	WaitedLocks time.Duration // what earlier attempts have spent of the budget
	Application string
}

// ExpandResult lists what was created or added. While Done is false something is left to do, and Blocked holds it up.
type ExpandResult struct {
	Done    bool                 `json:"done"`
	Changes []string             `json:"changes,omitempty"`
	Blocked []generation.Session `json:"blocked,omitempty"`
}

// Expand makes room for a release's columns. What is there already is left as it is, so it may be repeated.
func (a *Publishing) Expand(ctx context.Context, in ExpandInput) (ExpandResult, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return ExpandResult{}, err
	}
	if err := w.EnsureLedger(ctx); err != nil {
		return ExpandResult{}, err
	}
	if err := a.authorize(ctx, w, in.Target, in.Plan); err != nil {
		return ExpandResult{}, err
	}
	before, beat := patience(ctx)
	return w.Expand(ctx, ExpandSpec{
		Pipeline: p, Release: in.Target.Release, Application: application(ctx, "expand"),
		LockBudget: a.Site.Policy.Publish.LockBudget, WaitedLocks: before.Locks,
	}, func(locks time.Duration) { beat(0, locks) })
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
	return w.AttachShadow(ctx, in.Target.Key, in.Generations)
}

// DropShadow removes a deployment's shadow parents and rejects what is still attached to them. Twice is once.
func (a *Publishing) DropShadow(ctx context.Context, in ShadowInput) error {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return err
	}
	return w.DropShadow(ctx, in.Target.Key)
}

// PublishInput are swaps to make visible together.
type PublishInput struct {
	Target Target            `json:"target"`
	Plan   string            `json:"plan,omitempty"` // digest; empty for a run with the active release
	Step   string            `json:"step"`
	Round  int               `json:"round"`
	Swaps  []generation.Swap `json:"swaps"`
	// TurnBack are swaps back to what was live before: rollback and compensation.
	TurnBack        bool `json:"turn_back,omitempty"`
	Accepted        bool `json:"accepted,omitempty"`
	IgnoreSnapshots bool `json:"ignore_snapshots,omitempty"`
	// Terminate are sessions as a result named them.
	Terminate []generation.Session `json:"terminate,omitempty"`
}

// Publish swaps in one transaction, at most once under target key + step + round; a second call returns the recorded
// result. It trusts no caller: a release that is not active needs its plan's statements and approvals recorded here. When
// locks or older snapshots hold it up beyond the policy's budget nothing is changed, and the result names the sessions.
func (a *Publishing) Publish(ctx context.Context, in PublishInput) (PublishResult, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return PublishResult{}, err
	}
	if !in.TurnBack {
		if err := a.authorize(ctx, w, in.Target, in.Plan); err != nil {
			return PublishResult{}, err
		}
	}
	rules := a.Site.Policy.Publish
	before, beat := patience(ctx)
	return w.Publish(ctx, PublishSpec{
		Key: in.Target.Effect(in.Step, in.Round), Swaps: in.Swaps, Release: in.Target.Release,
		Application: application(ctx, in.Step), TurnBack: in.TurnBack, Accepted: in.Accepted,
		LockBudget: rules.LockBudget, SnapshotWait: rules.SnapshotWait,
		IgnoreSnapshots: in.IgnoreSnapshots || rules.OnSnapshotTimeout == pipeline.TimeoutProceed,
		Terminate:       in.Terminate, WaitedSnapshots: before.Snapshots, WaitedLocks: before.Locks,
	}, beat)
}

// authorize holds what becomes visible to the environment's policy: the active release may be published again; another
// one needs the statements and the approval that policy asks for, recorded here.
func (a *Publishing) authorize(ctx context.Context, w Warehouse, t Target, planDigest string) error {
	active, err := w.Active(ctx, t.Release.Pipeline)
	if err != nil {
		return err
	}
	if active != nil && active.Digest == t.Release.Digest {
		return nil
	}
	if err := a.Site.admit(ctx, t.Release); err != nil {
		return err
	}
	if !a.Site.Policy.Approval.Required {
		return nil
	}
	if planDigest != "" {
		ok, err := w.Approved(ctx, planDigest, t.Environment)
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
	}
	return fault.Newf(fault.Refused, "publish", t.Release.Pipeline+"@"+t.Release.Version,
		"deploy it: drawbridge deploy "+t.Release.Pipeline+"@"+t.Release.Version+" --to "+t.Environment,
		t.Environment+" wants an approval, and none is recorded for this plan")
}

// ActivateInput flips the active release.
type ActivateInput struct {
	Target Target `json:"target"`
	Step   string `json:"step"`
	Round  int    `json:"round"`
	// Plan is the digest under which the release was approved; empty for a run and for turning back.
	Plan string `json:"plan,omitempty"`
	// TurnBack goes back to a release that was active before, which needs no approval.
	TurnBack bool `json:"turn_back,omitempty"`
	// None leaves no release active: the first one was turned back.
	None bool `json:"none,omitempty"`
}

// Activate makes the target's release the one that runs use. Once under its key. Like Publish it trusts no caller: what is
// active may be published without being asked about again.
func (a *Publishing) Activate(ctx context.Context, in ActivateInput) error {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return err
	}
	release := &in.Target.Release
	switch {
	case in.None:
		release = nil
	case in.TurnBack:
		was, err := w.WasActive(ctx, release.Pipeline, release.Digest)
		if err != nil {
			return err
		}
		if !was {
			return fault.Newf(fault.Refused, "turn back to", release.Pipeline+"@"+release.Version, "deploy it: drawbridge deploy",
				"it was never active in "+in.Target.Environment)
		}
	default:
		if err := a.authorize(ctx, w, in.Target, in.Plan); err != nil {
			return err
		}
	}
	return w.SetActive(ctx, in.Target.Effect(in.Step, in.Round), in.Target.Release.Pipeline, release)
}

// ActiveInput asks for an environment's active release. The config comes from the release, or from the source, that asks.
type ActiveInput struct {
	Target Target `json:"target"`
}

// ActiveResult is the active release, nil when none is, and the rule by which this environment's gates are decided.
type ActiveResult struct {
	Release *release.Release `json:"release,omitempty"`
	Rule    gate.Approval    `json:"rule"`
}

// Active reads the active release and the environment's rule.
func (a *Publishing) Active(ctx context.Context, in ActiveInput) (ActiveResult, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return ActiveResult{}, a.Site.atOnce(err)
	}
	active, err := w.Active(ctx, in.Target.Release.Pipeline)
	return ActiveResult{Release: active, Rule: a.Site.Policy.Approval}, a.Site.atOnce(err)
}

// RecordInput is an approval gate that closed.
type RecordInput struct {
	Target Target    `json:"target"`
	Gate   gate.Gate `json:"gate"`
}

// RecordApproval writes an approval where publish reads it. Twice is once.
func (a *Publishing) RecordApproval(ctx context.Context, in RecordInput) error {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return err
	}
	return w.RecordApproval(ctx, in.Gate.Plan, in.Target.Environment, in.Gate)
}

// Housekeep drops what nobody can go back to any more, within the policy's horizon. It may be repeated.
func (a *Publishing) Housekeep(ctx context.Context, t Target) error {
	_, w, err := a.Site.open(ctx, t)
	if err != nil {
		return err
	}
	return w.Housekeep(ctx, a.Site.Policy.KeepRetired)
}
