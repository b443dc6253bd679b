package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
)

// Tried is how the brownout of a migration stands.
func (m Migration) Tried() migrate.Tried {
	t := migrate.Tried{Held: m.BrownoutHeld}
	if m.BrownoutSince != nil {
		t.Since = m.BrownoutSince.UTC()
	}
	if m.BrownoutUntil != nil {
		t.Until = m.BrownoutUntil.UTC()
	}
	return t
}

// Right is a right on the table of a migration that its brownout has taken.
type Right struct {
	Grantee   string `db:"grantee"`     // a role; empty: everybody
	Privilege string `db:"privilege"`   // SELECT, INSERT, UPDATE
	Column    string `db:"column_name"` // empty: the whole table
	Grantable bool   `db:"grantable"`
}

// BeginBrownout says that the brownout of a migration is on, and which rights it has taken.
func (l Ledger) BeginBrownout(ctx context.Context, tx pgx.Tx, owner string, taken []Right) error {
	if _, err := tx.Exec(ctx, l.sql(`
		UPDATE ledger.migration
		SET brownout_since = clock_timestamp(), brownout_until = NULL, brownout_held = false
		WHERE owner = $1`), owner); err != nil {
		return fmt.Errorf("begin the brownout: %w", err)
	}
	for _, r := range taken {
		if _, err := tx.Exec(ctx, l.sql(`INSERT INTO ledger.migration_right VALUES ($1, $2, $3, $4, $5)`), owner, r.Grantee, r.Privilege, r.Column, r.Grantable); err != nil {
			return fmt.Errorf("record a right that is taken: %w", err)
		}
	}
	return nil
}

// Taken reads the rights that the brownout of a migration has taken, those on the whole table first.
func (l Ledger) Taken(ctx context.Context, tx pgx.Tx, owner string) ([]Right, error) {
	rows, err := tx.Query(ctx, l.sql(`
		SELECT grantee, privilege, column_name, grantable
		FROM ledger.migration_right
		WHERE owner = $1
		ORDER BY column_name, grantee, privilege`), owner)
	if err != nil {
		return nil, fmt.Errorf("read the rights that were taken: %w", err)
	}
	taken, err := pgx.CollectRows(rows, pgx.RowToStructByName[Right])
	if err != nil {
		return nil, fmt.Errorf("read the rights that were taken: %w", err)
	}
	return taken, nil
}

// EndBrownout says that the brownout of a migration has ended. It was held if it was on for so long.
func (l Ledger) EndBrownout(ctx context.Context, tx pgx.Tx, owner string, long time.Duration) error {
	if _, err := tx.Exec(ctx, l.sql(`
		UPDATE ledger.migration
		SET brownout_until = clock_timestamp(), brownout_held = clock_timestamp() - brownout_since >= $2
		WHERE owner = $1`), owner, long); err != nil {
		return fmt.Errorf("end the brownout: %w", err)
	}
	if _, err := tx.Exec(ctx, l.sql(`DELETE FROM ledger.migration_right WHERE owner = $1`), owner); err != nil {
		return fmt.Errorf("forget the rights that were taken: %w", err)
	}
	return nil
}

// BrownedOut reads the migrations whose brownout is on.
func (l Ledger) BrownedOut(ctx context.Context, q Querier) ([]Migration, error) {
	return l.migrations(ctx, q, `SELECT`+migrationColumns+`FROM ledger.migration WHERE ended_at IS NULL AND brownout_since IS NOT NULL AND brownout_until IS NULL ORDER BY owner`)
}
