package activities

import (
	"context"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
)

// StepInput names a step of the plan by which the target's owner has begun a migration.
type StepInput struct {
	Target Target `json:"target"`
	Step   string `json:"step"` // its ID
	Undo   bool   `json:"undo,omitempty"`
	Round  int    `json:"round,omitempty"` // a person's retry is a new one
}

// Step does a step, or undoes it, at most once under target + step + round. Which statements these are is the plan's, that the ledger
// names. Where locks are not to be had, or the environment is on hold, nothing is changed and the result says so. It heartbeats what it
// has waited.
func (a *Migrating) Step(ctx context.Context, in StepInput) (migrate.StepResult, error) {
	o, err := a.open(ctx, in.Target)
	if err != nil {
		return migrate.StepResult{}, err
	}
	at := slices.IndexFunc(o.plan.Steps, func(s migrate.Step) bool { return s.ID == in.Step })
	if at < 0 {
		return migrate.StepResult{}, o.refuse("its plan has no step "+fault.Bound(in.Step), "see where it is: drawbridge status "+in.Target.Owner.Workflow())
	}
	step := o.plan.Steps[at]
	if err := o.mayStep(ctx, step, in.Undo); err != nil {
		return migrate.StepResult{}, err
	}
	if o.plan.Drops && step.Phase == migrate.Switch && !in.Undo { // from here on whoever asks for the table gets an error
		if blocked, err := o.blocked(ctx); err != nil || len(blocked.Why) > 0 {
			return migrate.StepResult{Held: strings.Join(blocked.Why, "; ")}, err
		}
	}
	verb := "migrate-"
	if in.Undo {
		verb = "undo-"
	}
	before, beat := patience(ctx)
	if step.Class != migrate.Instant { // it waits for no lock while it works, and says nothing of that
		defer beating(ctx, func() { beat(0, 0) })()
	}
	return o.w.DoStep(ctx, migrate.StepSpec{
		Owner: in.Target.Owner, Key: in.Target.Effect(verb+step.ID, "", in.Round), Plan: o.plan, Step: step, Undo: in.Undo,
		LockBudget: a.Site.Policy.Publish.LockBudget, WaitedLocks: before.Locks, Application: application(ctx, step.ID),
	}, func(waited time.Duration) { beat(0, waited) })
}

// mayStep holds a step to the phase that has begun, and to what people have approved. What goes back needs no word, and nothing goes
// back once contract has begun.
func (o opened) mayStep(ctx context.Context, step migrate.Step, undo bool) error {
	look := "see where it is: drawbridge status " + o.target.Owner.Workflow()
	switch {
	case undo && (step.Phase == migrate.Contract || o.standing.Phase == migrate.Contract):
		return o.refuse("it is past its point of no return", look)
	case o.standing.Ended != "":
		return o.refuse("it has ended: "+o.standing.Ended, look)
	case undo:
		return nil
	case o.standing.Phase.Before(step.Phase):
		return o.refuse("phase "+string(step.Phase)+" has not begun", look)
	case step.Phase == migrate.Contract:
		return o.mustBeApproved(ctx, gate.ContractOf(o.Site.Environment))
	}
	return o.entitled(ctx)
}

// entitled holds what goes forward to the approval that this environment's policy wants.
func (o opened) entitled(ctx context.Context) error {
	if !o.Site.Policy.Approval.Required {
		return nil
	}
	return o.mustBeApproved(ctx, gate.ApprovalOf(o.Site.Environment))
}

func (o opened) mustBeApproved(ctx context.Context, name string) error {
	_, ok, err := o.approved(ctx, name, true)
	if err == nil && !ok {
		err = o.refuse("no approval of its plan is recorded at gate "+name, "start it again, and approve it")
	}
	return err
}

// fillFor is how long a call brings rows over until it hands over: what a pause waits for, and what a call costs in history.
const fillFor = 20 * time.Second

// FillTableInput asks for a piece of a backfill.
type FillTableInput struct {
	Target Target `json:"target"`
	// Again asks for no rows yet: the calls after it look at all of them once more.
	Again bool `json:"again,omitempty"`
	// Waited says that the call before was throttled.
	Waited bool `json:"waited,omitempty"`
	// Window is when a person lets it work; empty: whenever the environment does.
	Window string `json:"window,omitempty"`
	// Lanes is how many batches are written at the same time; 0 is one.
	Lanes int `json:"lanes,omitempty"`
}

// FilledTable is how far a backfill is.
type FilledTable struct {
	migrate.Filled
	// Throttled is why the warehouse has enough to do, Opens when the window opens for which alone it waits.
	Throttled []string  `json:"throttled,omitempty"`
	Opens     time.Time `json:"opens,omitzero"`
}

// Fill brings rows over, batch by batch, and hands over after a while: the next call goes on, wherever this one ended, for the cursor
// commits with the batch. It stops at a batch's edge where the warehouse has enough to do. It heartbeats.
func (a *Migrating) Fill(ctx context.Context, in FillTableInput) (FilledTable, error) {
	o, err := a.open(ctx, in.Target)
	if err != nil {
		return FilledTable{}, err
	}
	if o.standing.Phase != migrate.Backfill && o.standing.Phase != migrate.Verify || o.standing.Ended != "" {
		return FilledTable{}, o.refuse("it does not bring rows over now", "see where it is: drawbridge status "+in.Target.Owner.Workflow())
	}
	if err := o.entitled(ctx); err != nil {
		return FilledTable{}, err
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	if in.Again {
		again, err := o.w.FillAgain(ctx, in.Target.Owner, o.plan)
		return FilledTable{Filled: again}, err
	}
	load := throttled{site: a.Site, w: o.w, waited: in.Waited, own: in.Window, now: a.Now}
	var out FilledTable
	if out.Throttled, out.Opens, err = load.why(ctx); err != nil || len(out.Throttled) > 0 {
		return out, err
	}
	var lost error
	out.Filled, err = o.w.FillTable(ctx, in.Target.Owner, o.plan, migrate.Pace{For: fillFor, Lanes: in.Lanes, Stop: func() bool {
		out.Throttled, out.Opens, lost = load.why(ctx)
		return lost != nil || len(out.Throttled) > 0
	}})
	if err == nil {
		err = lost
	}
	if out.Done {
		out.Throttled, out.Opens = nil, time.Time{}
	}
	return out, err
}

// Prove counts the rows of which a proof does not hold. It changes nothing, and heartbeats.
func (a *Migrating) Prove(ctx context.Context, t Target) ([]migrate.Checked, error) {
	o, err := a.open(ctx, t)
	if err != nil {
		return nil, err
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	return o.w.Prove(ctx, t.Owner, o.plan, func() {})
}
