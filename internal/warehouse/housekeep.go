package warehouse

import (
	"context"
	"time"

	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

const (
	// sampleAge is how long keys of failing rows are kept.
	sampleAge = 30 * 24 * time.Hour
	// abandonedAge is after how long a generation that was never published is given up: longer than a gate stays open.
	abandonedAge = 14 * 24 * time.Hour
)

// Housekeep drops the children that nobody can go back to any more: rejected ones, abandoned ones, and retired ones
// beyond keep. It never drops what is attached to any table. It forgets old samples, and analyses the tables that
// readers see, which autovacuum never does. It may be repeated; what is in the way today goes the next time.
func (w *Warehouse) Housekeep(ctx context.Context, keep time.Duration) error {
	gone, err := w.ledger.Disposable(ctx, w.pool, keep, abandonedAge)
	if err != nil {
		return postgres.Classify("housekeep", w.names.schema, err)
	}
	var failed error
	for _, g := range gone {
		if g.State == generation.Building || g.State == generation.Built {
			if err := w.ledger.Reject(ctx, w.pool, g.ID, "abandoned: never published"); err != nil {
				return postgres.Classify("housekeep", w.names.schema, err)
			}
			g.State = generation.Rejected
		}
		if err := w.dropChild(ctx, g); err != nil && failed == nil {
			failed = postgres.Classify("drop", childName(g.ID), err) // the others still go
		}
	}
	if _, err := w.ledger.ForgetSamples(ctx, w.pool, sampleAge); err != nil {
		return postgres.Classify("housekeep", w.names.schema, err)
	}
	if err := w.analyze(ctx); err != nil {
		return postgres.Classify("analyze", w.names.schema, err)
	}
	return failed
}

// analyze refreshes the statistics of the parents that hold generations.
func (w *Warehouse) analyze(ctx context.Context) error {
	var parents []string
	if err := w.pool.QueryRow(ctx, `
		SELECT coalesce(array_agg(c.relname::text ORDER BY c.relname), '{}')
		FROM pg_class c
		WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'p' AND pg_has_role(c.relowner, 'USAGE')`,
		postgres.Ident(w.names.schema)).Scan(&parents); err != nil {
		return err
	}
	for _, name := range parents {
		if _, err := w.pool.Exec(ctx, "ANALYZE "+w.names.parent(name)); err != nil {
			return err
		}
	}
	return nil
}
