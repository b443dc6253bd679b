package activities

import (
	"context"

	"drawbridge/internal/migrate"
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
