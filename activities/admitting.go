package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// Admitter keeps, in the ledger, who may change what.
type Admitter interface {
	// Admit takes the first look at a ticket.
	Admit(ctx context.Context, ticket admission.Ticket) error
	// Enter reserves a tenure and takes the crossing of a pipeline. A run gets the active tenure, where there is one.
	// It happens once under its key.
	Enter(ctx context.Context, t release.Tenure, key effect.Key, outputs []string, exclusive bool) (release.Tenure, error)
	// TenureOf is the tenure that a deployment or run has reserved; number 0: none.
	TenureOf(ctx context.Context, pipeline string, owner effect.Owner) (release.Tenure, error)
	// Epoch tells the ledger from a copy of it that was bound anew.
	Epoch(ctx context.Context) (string, error)
	// Remembers holds the ledger to what it has told a workflow: what it lacks is an admission.LostError.
	Remembers(ctx context.Context, told admission.Told) error
	// Watch takes a workflow out of the crossing, and keeps what it could go back to until it leaves, at most for so long. It
	// happens once under its key.
	Watch(ctx context.Context, pipeline string, key effect.Key, long time.Duration) error
	// Leave ends a workflow's crossing and its watch. Twice is once.
	Leave(ctx context.Context, pipeline, owner string) error
	RecordAnswers(ctx context.Context, owner effect.Owner, r release.Release, g gate.Gate) error
	// Said is all that people have answered to a workflow, by gate.
	Said(ctx context.Context, owner effect.Owner) ([]gate.Gate, error)
}

// Admitting says who may change what in an environment. It trusts no caller: what a caller says of a plan, an approval or a
// release is held against this worker's own policy, the store and the ledger.
type Admitting struct {
	Site *Site
}

// EnterInput is a deployment or a run that begins in an environment.
type EnterInput struct {
	Target Target             `json:"target"`
	Kind   release.TenureKind `json:"kind"`
	Plan   string             `json:"plan,omitempty"` // digest; of a deployment
	By     string             `json:"by"`
	Reason string             `json:"reason,omitempty"`
	// Exclusive lets the runs of the pipeline wait until the deployment has published.
	Exclusive bool `json:"exclusive,omitempty"`
}

// Entered is what a workflow may go on with: its tenure, the ledger's epoch, and the environment's own rule for every gate there.
type Entered struct {
	Tenure release.Tenure `json:"tenure"`
	Epoch  string         `json:"epoch"`
	Rule   gate.Approval  `json:"rule"`
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
}

// Enter reserves a tenure. A deployment's plan is held to this environment's policy, and its release to the statements that
// policy wants; while it is in there, no other deployment changes the pipeline here. In any environment but the pipeline's
// first it claims the release's version. Twice is once.
func (a *Admitting) Enter(ctx context.Context, in EnterInput) (Entered, error) {
	entered, err := a.enter(ctx, in)
	_, away := errors.AsType[fault.Unreachable](err) // then nothing can be noted there either
	if in.Kind == release.ByRun && fault.ClassOf(err) != "" && !away {
		a.fails(ctx, in, err)
	}
	return entered, err
}

// fails has people told of a run that is not let in: its workflow does not know yet whether anybody is told. Where they cannot be told
// the refusal stays what it is.
func (a *Admitting) fails(ctx context.Context, in EnterInput, why error) {
	told := AnnounceInput{Target: in.Target, Events: []notice.Event{RunFailed(in.Target.Owner.Workflow(), in.By, fault.Bound(why.Error()), time.Now())}}
	if err := (&Telling{Site: a.Site, Now: time.Now}).Announce(ctx, told); err != nil && activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Warn("people are not told of a run that was refused", "error", err)
	}
}

// RunFailed is the event of a run that has published nothing.
func RunFailed(workflow, by, why string, at time.Time) notice.Event {
	return notice.Event{Kind: notice.RunFailed, At: at, What: workflow + " has failed", Why: why, By: by, Commands: []string{"drawbridge status " + workflow}}
}

func (a *Admitting) enter(ctx context.Context, in EnterInput) (Entered, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		if in.Kind == release.ByRun { // a person waits, and nothing has been done yet
			err = a.Site.atOnce(err)
		}
		return Entered{}, err
	}
	if err := w.EnsureLedger(ctx); err != nil {
		return Entered{}, err
	}
	var builds plan.Environment
	if in.Kind == release.ByDeployment {
		if builds, _, err = a.Site.planned(ctx, in.Target, in.Plan); err != nil {
			return Entered{}, err
		}
	}
	if err := a.Site.admit(ctx, in.Target.Release); err != nil && in.Kind == release.ByDeployment {
		return Entered{}, err
	}
	if in.Kind == release.ByRun {
		if err := unobstructed(ctx, "run", p, w); err != nil {
			return Entered{}, err
		}
	}
	if err := a.settle(ctx, in.Target, p, w); err != nil {
		return Entered{}, err
	}
	called, err := a.Site.called(ctx, p, in.Target.Release.Digest)
	if err != nil {
		return Entered{}, err
	}
	step := "enter"
	if in.Exclusive {
		step = "enter-exclusive"
	}
	tenure, err := w.Enter(ctx, release.Tenure{
		Release: called, Config: in.Target.Config, Kind: in.Kind, Owner: string(in.Target.Owner), Plan: in.Plan, By: in.By, Reason: in.Reason,
	}, in.Target.Effect(step, "", 0), p.Tables(), in.Exclusive)
	if err != nil {
		return Entered{}, err
	}
	// Looked at once it crosses: a backfill that begins later finds the crossing.
	if err := a.besideBackfills(ctx, w, p, builds); err != nil {
		return Entered{}, err
	}
	if a.Site.beyond(p) && tenure.Release.Digest == called.Digest { // a run is not let in beside another release
		if err := a.Site.Store.Claim(ctx, called); err != nil {
			return Entered{}, err
		}
	}
	epoch, err := w.Epoch(ctx)
	return Entered{Tenure: tenure, Epoch: epoch, Rule: a.Site.Policy.Approval, Tells: a.Site.Policy.Notify.Tells()}, err
}

// settle lets a ledger in which nothing stands yet join the environment.
func (a *Admitting) settle(ctx context.Context, t Target, p *pipeline.Pipeline, w Warehouse) error {
	standing, err := w.Standing(ctx)
	if err != nil || len(standing.Pipelines) > 0 {
		return err
	}
	return a.Site.join(ctx, t, p.Config, w)
}

// besideBackfills keeps a deployment from building what an open backfill builds.
func (a *Admitting) besideBackfills(ctx context.Context, w Warehouse, p *pipeline.Pipeline, builds plan.Environment) error {
	if len(builds.Slices) == 0 {
		return nil
	}
	open, err := w.OpenBackfills(ctx, p.Name)
	if err != nil {
		return err
	}
	for _, b := range open {
		if key := b.Meets(p.Partition, builds); key != "" {
			workflow := b.Owner.Workflow()
			return fault.Newf(fault.Conflict, "enter", p.Name,
				fmt.Sprintf("wait for it: drawbridge status %s; or end it: drawbridge cancel %s; where it was terminated: drawbridge recover %s", workflow, workflow, workflow),
				fmt.Sprintf("%s builds %s to %s here, and this deployment builds %s", workflow, b.First, b.Last, key))
		}
	}
	return nil
}

// unobstructed holds what builds without a plan, a run or a rebuild, to the rules that refuse one.
func unobstructed(ctx context.Context, op string, p *pipeline.Pipeline, w Warehouse) error {
	observed, err := w.Observe(ctx, p)
	if err != nil {
		return err
	}
	return refused(op, p.Name, plan.Obstacles(p, observed))
}

// refused is the first of some problems, as a refusal; nil: there is none.
func refused(op, name string, found []plan.Problem) error {
	if len(found) == 0 {
		return nil
	}
	class, first := fault.Refused, found[0]
	if first.Rule == "select" { // what can never work is no matter of rules
		class = fault.Invalid
	}
	return fault.Newf(class, op, strings.TrimSuffix(name+": "+first.Object, ": "), first.Remedy, first.Text)
}

// watchGrace is how long after its window a watch keeps what it could go back to, where nobody says that it has ended: a gate
// may be open, or its workflow was terminated and is recovered.
const watchGrace = 14 * 24 * time.Hour

// BeginWatch ends a workflow's crossing: others may change the pipeline while it watches, for as long as its release says. What
// it could go back to is kept. Twice is once.
func (a *Admitting) BeginWatch(ctx context.Context, t Target) error {
	p, w, err := a.Site.open(ctx, t)
	if err != nil {
		return err
	}
	return w.Watch(ctx, p.Name, t.Effect("watch", "", 0), plan.WatchOf(p, p.Config).For+watchGrace)
}

// Leave ends a workflow's crossing, and its watch. Twice is once.
func (a *Admitting) Leave(ctx context.Context, t Target) error {
	_, w, err := a.Site.open(ctx, t)
	if err != nil {
		return err
	}
	return w.Leave(ctx, t.Release.Pipeline, string(t.Owner))
}

// RecordInput is a gate that closed.
type RecordInput struct {
	Target Target    `json:"target"`
	Gate   gate.Gate `json:"gate"`
}

// RecordAnswers stores the answers of a gate, one by one, where admission reads them. Twice is once.
func (a *Admitting) RecordAnswers(ctx context.Context, in RecordInput) error {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return err
	}
	return w.RecordAnswers(ctx, in.Target.Owner, in.Target.Release, in.Gate)
}

// ticket is a question of a target with this environment's own rule.
func (s *Site) ticket(t Target, what admission.What, outputs []string, swaps []generation.Swap) admission.Ticket {
	return admission.Ticket{Rule: s.Policy.Approval, Question: admission.Question{
		What: what, Environment: t.Environment, Release: t.Release, Config: t.Config, Owner: t.Owner, Tenure: t.Tenure, Outputs: outputs, Swaps: swaps,
	}}
}

// planned reads a plan and the part of it that is about a target's environment, and holds it to the target's release and to
// this environment's own files: whoever wrote the blob may have written anything.
func (s *Site) planned(ctx context.Context, t Target, digest string) (plan.Environment, plan.Plan, error) {
	pl, err := s.plan(ctx, digest)
	if err != nil {
		return plan.Environment{}, plan.Plan{}, err
	}
	if pl.Release.Digest != t.Release.Digest {
		return plan.Environment{}, plan.Plan{}, fault.Newf(fault.Refused, "apply plan", digest, "plan this release: "+planLine(t), "the plan is about another release")
	}
	for _, env := range pl.Environments {
		if env.Name != t.Environment {
			continue
		}
		p, err := s.Pipeline(ctx, t)
		if err != nil {
			return plan.Environment{}, plan.Plan{}, err
		}
		if bent := plan.Bends(env, p, s.Policy); len(bent) > 0 {
			return plan.Environment{}, plan.Plan{}, fault.Newf(fault.Conflict, "apply plan", gate.Short(digest)+" to "+t.Environment,
				"plan again: "+planLine(t), "it is not what this environment's own policy and config say: "+strings.Join(bent, "; "))
		}
		return env, pl, nil
	}
	return plan.Environment{}, plan.Plan{}, fault.Newf(fault.Refused, "apply plan", digest, "plan with --to "+t.Environment, "the plan does not touch "+t.Environment)
}
