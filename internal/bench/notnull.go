package main

import (
	"context"

	"drawbridge/internal/migrate"
)

const notNullPairs = 7

// notNullFigure compares set_not_null, step by step with its ledger, probes and locks, with the four statements by hand.
func notNullFigure() figure {
	return figure{
		name: "not_null_vs_native",
		numbers: []number{
			{name: "not_null_vs_native", bound: bound{atMost, 1.3}},
			{name: "not_null_ms", better: lower},
			{name: "not_null_native_ms"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureNotNull(ctx, b, s) })
		},
	}
}

func measureNotNull(ctx context.Context, b *bench, s *site) error {
	const ours, native = "not_null", "not_null_native"
	for _, table := range []string{ours, native} {
		if err := s.migrated(ctx, table); err != nil {
			return err
		}
	}
	var took, byHand sample
	var ratios []float64
	for pair := range notNullPairs + 1 {
		hand, err := s.byPsql(ctx, "migrate_not_null", native)
		if err != nil {
			return err
		}
		if _, err := s.db.Exec(ctx, "ALTER TABLE "+s.name(native)+" ALTER COLUMN amount DROP NOT NULL"); err != nil {
			return err
		}
		d, err := s.migrate(ctx, ours, migrate.Operation{Kind: migrate.SetNotNull, Column: "amount"})
		if err != nil {
			return err
		}
		if err := d.through(ctx, migrate.Expand, migrate.DualWrite, migrate.Backfill, migrate.Verify); err != nil {
			return err
		}
		passed := clock()
		if err := d.through(ctx, migrate.Switch); err != nil {
			return err
		}
		done := passed()
		if err := d.back(ctx); err != nil {
			return err
		}
		if pair == 0 {
			continue // it warms up
		}
		took, byHand, ratios = append(took, done), append(byHand, hand), append(ratios, done.Seconds()/hand.Seconds())
	}
	b.put("not_null_vs_native", median(ratios))
	b.put("not_null_ms", milliseconds(took.median()))
	b.put("not_null_native_ms", milliseconds(byHand.median()))
	b.because("not_null_vs_native", "medians of %d pairs over %d rows: %.0f ms, by hand %.0f ms; the ratios %.2f", notNullPairs, migratedRows,
		milliseconds(took.median()), milliseconds(byHand.median()), ratios)
	return nil
}
