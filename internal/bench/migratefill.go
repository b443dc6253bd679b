package main

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/migrate"
)

const (
	bringPairs = 3
	// bringUp is the value of the new column, on all sides.
	bringUp = "(amount * 100)::bigint"
)

// migrateFillFigure compares the backfill of a new column with a loop over the key that is written by hand.
func migrateFillFigure() figure {
	return figure{
		name: "migrate_backfill",
		numbers: []number{
			{name: "migrate_backfill_vs_update", bound: bound{atLeast, 0.70}},
			{name: "migrate_backfill_rows_s", better: higher},
			{name: "migrate_update_rows_s"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureMigrateFill(ctx, b, s) })
		},
	}
}

func measureMigrateFill(ctx context.Context, b *bench, s *site) error {
	const ours, native = "filled", "updated"
	var took, byHand sample
	var ratios []float64
	for pair := range bringPairs + 1 {
		if err := s.migrated(ctx, native); err != nil {
			return err
		}
		if _, err := s.db.Exec(ctx, "ALTER TABLE "+s.name(native)+" ADD COLUMN cents bigint"); err != nil {
			return err
		}
		hand, err := s.byPsql(ctx, "migrate_backfill", native)
		if err != nil {
			return err
		}
		if err := s.migrated(ctx, ours); err != nil {
			return err
		}
		_, done, err := s.bringOver(ctx, ours, 1) // the loop has one connection
		if err != nil {
			return err
		}
		if err := s.brought(ctx, native); err != nil {
			return err
		}
		if pair == 0 {
			continue // it warms up: the server makes the files of its log then
		}
		took, byHand, ratios = append(took, done), append(byHand, hand), append(ratios, hand.Seconds()/done.Seconds())
	}
	b.put("migrate_backfill_vs_update", median(ratios))
	b.put("migrate_backfill_rows_s", migratedRows/took.median().Seconds())
	b.put("migrate_update_rows_s", migratedRows/byHand.median().Seconds())
	b.because("migrate_backfill_vs_update", "medians of %d pairs over %d rows: %.1f s, by hand %.1f s; the ratios %.2f", bringPairs, migratedRows,
		took.median().Seconds(), byHand.median().Seconds(), ratios)
	return nil
}

// bringOver adds a column that is filled, in so many lanes. It says how long that took from the first step on, and the filling alone.
func (s *site) bringOver(ctx context.Context, table string, lanes int) (all, filling time.Duration, err error) {
	d, err := s.migrate(ctx, table, migrate.Operation{Kind: migrate.AddColumn, Column: "cents", Type: "bigint", Required: true, Up: bringUp})
	if err != nil {
		return 0, 0, err
	}
	whole := clock()
	if err := d.through(ctx, migrate.Expand, migrate.DualWrite, migrate.Backfill); err != nil {
		return 0, 0, err
	}
	passed := clock()
	if err := d.fill(ctx, lanes); err != nil {
		return 0, 0, err
	}
	all, filling = whole(), passed()
	if err := s.brought(ctx, table); err != nil {
		return 0, 0, err
	}
	return all, filling, d.back(ctx)
}

// brought says that every row has its value.
func (s *site) brought(ctx context.Context, table string) error {
	var wrong int
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM "+s.name(table)+" WHERE cents IS DISTINCT FROM "+bringUp).Scan(&wrong); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d rows of %s have not been brought over", wrong, table)
	}
	return nil
}
