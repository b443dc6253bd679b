package alter

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// driven refuses what an owner wants of a migration that is not open, or not its own any more.
func driven(f catalog.MigrationFacts, owner effect.Owner) error {
	conflict := func(reason string) error {
		return fault.Newf(fault.Conflict, "migrate", owner.Workflow(), "see what became of it: drawbridge status "+owner.Workflow(), reason)
	}
	switch m := f.Migration; {
	case f.Fenced != "":
		return conflict("it was stopped: " + f.Fenced)
	case m.Owner == "":
		return conflict("it has not begun here")
	case m.Ended:
		return conflict("it has ended: " + m.Outcome)
	}
	return nil
}

// turned refuses to go on with what is on its way back.
func turned(m catalog.Migration) error {
	return fault.Newf(fault.Conflict, "migrate", m.Name+" of "+m.Table, "let it be rolled back to its end, and start it again",
		"its steps are being undone")
}

// lit refuses what would leave a brownout on.
func lit(m catalog.Migration) error {
	if !m.Tried().On() {
		return nil
	}
	return fault.Newf(fault.Conflict, "migrate", m.Name+" of "+m.Table, "let it be ended first: drawbridge status "+effect.Owner(m.Owner).Workflow(), "its brownout is on")
}

// planned refuses what is not of the plan that was entered, or of another environment.
func planned(f catalog.MigrationFacts, p migrate.Plan) error {
	switch {
	case f.Environment != p.Environment:
		return fault.Newf(fault.Refused, "migrate", object(p), "give config."+p.Environment+".yaml a warehouse_schema of its own",
			fmt.Sprintf("the schema belongs to the environment %s, and this is %s", f.Environment, p.Environment))
	case f.Migration.Plan != migrate.Digest(p):
		return fault.Newf(fault.Conflict, "migrate", object(p), "plan it again", "it is not the plan with which the migration began")
	}
	return nil
}

// held is the error of who has to wait for a hold.
func held(f catalog.MigrationFacts) error {
	if f.Hold == "" {
		return nil
	}
	return admission.HeldError{Reason: "the environment is on hold: " + f.Hold}
}

// filling says whether the rows of a table may be brought over now.
func filling(f catalog.MigrationFacts, owner effect.Owner, p migrate.Plan) error {
	if err := driven(f, owner); err != nil {
		return err
	}
	if err := planned(f, p); err != nil {
		return err
	}
	if f.Migration.Back {
		return turned(f.Migration)
	}
	if phase := migrate.Phase(f.Migration.Phase); phase != migrate.Backfill && phase != migrate.Verify {
		return fault.Newf(fault.Conflict, "fill", object(p), "see where it is: drawbridge status "+owner.Workflow(), fmt.Sprintf("it is in the phase %s", phase))
	}
	return held(f)
}

// stay reads what decides, and keeps it true until the transaction ends.
func (t *Tables) stay(ctx context.Context, tx pgx.Tx, owner effect.Owner) (catalog.MigrationFacts, error) {
	f, shared, err := t.ledger.MigrationFactsToStay(ctx, tx, string(owner))
	if err == nil && !shared {
		err = postgres.ErrContended // somebody stops it right now: the next attempt sees what became of it
	}
	return f, err
}

// share is stay for one of several that go on at once.
func (t *Tables) share(ctx context.Context, tx pgx.Tx, owner effect.Owner) (catalog.MigrationFacts, error) {
	f, shared, err := t.ledger.MigrationFactsToShare(ctx, tx, string(owner))
	if err == nil && !shared {
		err = postgres.ErrContended
	}
	return f, err
}
