package activities

import (
	"context"
	"fmt"

	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
)

// UngivenInput names the phase from which a migration wants to go on.
type UngivenInput struct {
	Target Target        `json:"target"`
	Phase  migrate.Phase `json:"phase"`
}

// Ungiven is what a migration of a table that releases make waits for.
type Ungiven struct {
	// Why is what has to come first, in words, each with the command that brings it; none: nothing has.
	Why []string `json:"why,omitempty"`
}

// Ungiven says what a migration of a table that releases make waits for: for an active release that gives both shapes, and for every live
// generation to be built by one. From when such a release is active no other one is let in. It may be repeated.
func (a *Migrating) Ungiven(ctx context.Context, in UngivenInput) (Ungiven, error) {
	o, err := a.open(ctx, in.Target)
	if err != nil {
		return Ungiven{}, err
	}
	if o.plan.Given == nil || o.standing.Ended != "" || o.standing.Back {
		return Ungiven{}, o.refuse("it waits for no release", "see where it is: drawbridge status "+in.Target.Owner.Workflow())
	}
	if err := o.entitled(ctx); err != nil {
		return Ungiven{}, err
	}
	why, err := o.w.Ungiven(ctx, in.Target.Owner, in.Phase)
	return Ungiven{Why: why}, err
}

// unproved says which proof does not hold of a table that releases make, where it is to be switched now: what was published since they were
// looked at last is looked at too. Empty: all hold.
func (o opened) unproved(ctx context.Context, phase migrate.Phase) (string, error) {
	if o.plan.Given == nil || len(o.plan.Proofs) == 0 || phase.Before(migrate.Switch) || !o.standing.Phase.Before(migrate.Switch) {
		return "", nil
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	checked, err := o.w.Prove(ctx, o.target.Owner, o.plan, func() {})
	for _, c := range checked {
		if c.Broken > 0 {
			return fmt.Sprintf("that %s does not hold of %d rows", c.Proof, c.Broken), err
		}
	}
	return "", err
}
