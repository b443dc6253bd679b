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

// Right is a right on the table of a migration that its brownout takes.
type Right struct {
	Grantee   uint32 // a role; 0: everybody
	Role      string // its name
	Privilege string // SELECT, INSERT, UPDATE
	Number    int16  // of a column; 0: on the whole table
	Column    string // its name
	Grantable bool
	// Given are the columns that are left to the role in place of the whole table.
	Given []int16
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
		if _, err := tx.Exec(ctx, l.sql(`INSERT INTO ledger.migration_right VALUES ($1, $2, $3, $4, $5, coalesce($6::smallint[], '{}'))`),
			owner, r.Grantee, r.Privilege, r.Number, r.Grantable, r.Given); err != nil {
			return fmt.Errorf("record a right that is taken: %w", err)
		}
	}
	return nil
}

// Taken is a right that a brownout has taken, as it is to be given back.
type Taken struct {
	Right
	// Left are the names of the columns of Given on which the role has the right still, as it was given it.
	Left []string
}

// TakenRights reads the rights that the brownout of a migration has taken on a table, those on the whole of it first. Those of roles and columns
// that are no more are left out.
func (l Ledger) TakenRights(ctx context.Context, tx pgx.Tx, owner string, table uint32) ([]Taken, error) {
	rows, err := tx.Query(ctx, l.sql(`
		SELECT r.grantee, coalesce(g.rolname::text, ''), r.privilege, r.attnum, coalesce(a.attname::text, ''), r.grantable, r.given, ARRAY(
		         SELECT c.attname::text
		         FROM pg_attribute c
		         CROSS JOIN aclexplode(c.attacl) x
		         WHERE c.attrelid = t.oid AND c.attnum = ANY(r.given) AND NOT c.attisdropped
		           AND x.grantee = r.grantee AND x.privilege_type = r.privilege AND x.grantor = t.relowner AND NOT x.is_grantable
		         ORDER BY c.attnum)
		FROM ledger.migration_right r
		JOIN pg_class t ON t.oid = $2
		LEFT JOIN pg_roles g ON g.oid = r.grantee
		LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = r.attnum AND NOT a.attisdropped
		WHERE r.owner = $1 AND (r.grantee = 0 OR g.oid IS NOT NULL) AND (r.attnum = 0 OR a.attnum IS NOT NULL)
		ORDER BY r.attnum, r.grantee, r.privilege`), owner, table)
	if err != nil {
		return nil, fmt.Errorf("read the rights that were taken: %w", err)
	}
	taken, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Taken, err error) {
		err = row.Scan(&r.Grantee, &r.Role, &r.Privilege, &r.Number, &r.Column, &r.Grantable, &r.Given, &r.Left)
		return r, err
	})
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
