package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// CountCalls notes how often statements have been called that name what a migration takes away: of each, what the server counts now. What
// was there at the first look is not counted; what it counts less of than before has been called since it began anew. The caller holds
// the migration's row.
func (l Ledger) CountCalls(ctx context.Context, tx pgx.Tx, owner string, counted []migrate.Call) error {
	var first bool
	if err := tx.QueryRow(ctx, l.sql(`
		UPDATE ledger.migration m
		SET calls_since = coalesce(m.calls_since, clock_timestamp())
		FROM ledger.migration was
		WHERE m.owner = $1 AND was.owner = m.owner
		RETURNING was.calls_since IS NULL`), owner).Scan(&first); err != nil {
		return fmt.Errorf("count calls: %w", err)
	}
	for _, c := range counted {
		if _, err := tx.Exec(ctx, l.sql(`
			INSERT INTO ledger.migration_call AS was (owner, role, query, columns, guessed, counted, calls, last)
			VALUES ($1, $2, $3, $4, $5, $6::bigint, CASE WHEN $7 THEN 0 ELSE $6 END, CASE WHEN $7 THEN NULL ELSE clock_timestamp() END)
			ON CONFLICT (owner, role, query) DO UPDATE
			SET counted = excluded.counted,
			    calls = was.calls + CASE WHEN excluded.counted < was.counted THEN excluded.counted ELSE excluded.counted - was.counted END,
			    last = CASE WHEN excluded.counted = was.counted THEN was.last ELSE clock_timestamp() END`),
			owner, fault.Bound(c.Role), c.Query, c.Columns, c.Guessed, c.Calls, first); err != nil {
			return fmt.Errorf("count calls: %w", err)
		}
	}
	return nil
}

// Calls are those of a migration since its first look, the latest first.
func (l Ledger) Calls(ctx context.Context, q Querier, owner string) ([]migrate.Call, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT role, query, columns, guessed, calls, last
		FROM ledger.migration_call
		WHERE owner = $1 AND calls > 0
		ORDER BY last DESC, role, query`), owner)
	if err != nil {
		return nil, fmt.Errorf("read calls: %w", err)
	}
	calls, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c migrate.Call, err error) {
		err = row.Scan(&c.Role, &c.Query, &c.Columns, &c.Guessed, &c.Calls, &c.Last)
		c.Last = c.Last.UTC()
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read calls: %w", err)
	}
	return calls, nil
}
