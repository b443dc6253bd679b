package main

import (
	"context"
	"fmt"

	"drawbridge/internal/check"
)

const (
	checkRows  = 1_000_000
	checkPairs = 5
)

// checksFigure compares the fused statements of an audit with the same checks as a statement each. Both also sum up rows
// and checksum.
func checksFigure() figure {
	return figure{
		name: "checks_speedup",
		numbers: []number{
			{name: "checks_speedup", bound: bound{atLeast, 2}},
			{name: "checks_fused_ms", better: lower},
			{name: "checks_apart_ms"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureChecks(ctx, b, s) })
		},
	}
}

func measureChecks(ctx context.Context, b *bench, s *site) error {
	checked := s.name("checked")
	columns := []check.Column{
		{Name: "order_id", Type: "bigint", NotNull: true},
		{Name: "ordered_at", Type: "timestamp with time zone"},
		{Name: "channel", Type: "text"},
		{Name: "customer_id", Type: "bigint"},
		{Name: "amount", Type: "numeric(12,2)"},
		{Name: "currency", Type: "text"},
	}
	_, err := s.db.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE %s AS
		SELECT i AS order_id, timestamptz '2026-01-01 00:00+00' + i * interval '86 milliseconds' AS ordered_at,
		       (ARRAY['web', 'app', 'store', 'partner'])[1 + i %% 4] AS channel, i %% 200000 AS customer_id,
		       (100 + i * 7919 %% 50000)::numeric(12,2) / 100 AS amount, 'EUR' AS currency
		FROM generate_series(1::bigint, %d) AS i`, checked, checkRows))
	if err != nil {
		return fmt.Errorf("make a table to check: %w", err)
	}
	if _, err := s.db.Exec(ctx, "VACUUM (ANALYZE) "+checked); err != nil {
		return fmt.Errorf("vacuum the table to check: %w", err)
	}
	list := twentyChecks()
	compiled, err := check.Compile(checked, columns, list, check.Options{EstimatedRows: checkRows})
	if err != nil {
		return err
	}
	var fused, apart sample
	for pair := range checkPairs + 1 {
		for _, way := range []struct {
			statements []check.Statement
			took       *sample
		}{{compiled.Statements, &fused}, {compiled.Apart(), &apart}} {
			passed := clock()
			if err := s.evaluate(ctx, way.statements); err != nil {
				return err
			}
			if pair > 0 { // the first fills the caches
				*way.took = append(*way.took, passed())
			}
		}
	}
	b.put("checks_speedup", apart.median().Seconds()/fused.median().Seconds())
	b.put("checks_fused_ms", milliseconds(fused.median()))
	b.put("checks_apart_ms", milliseconds(apart.median()))
	b.because("checks_speedup", "%d checks of %d rows: %d statements take %.0f ms, fused into %d they take %.0f ms", len(list), checkRows,
		len(compiled.Apart()), milliseconds(apart.median()), len(compiled.Statements), milliseconds(fused.median()))
	return nil
}

// twentyChecks are what the audit of a wide table consists of. One of them needs a DISTINCT, which is not fused.
func twentyChecks() []check.Check {
	list := []check.Check{
		{Kind: check.Unique, Columns: []string{"order_id"}},
		{Kind: check.AcceptedValues, Columns: []string{"channel"}, Values: []string{"web", "app", "store", "partner"}},
		{Kind: check.AcceptedValues, Columns: []string{"currency"}, Values: []string{"EUR", "USD", "GBP"}},
	}
	for _, column := range []string{"order_id", "ordered_at", "channel", "customer_id", "amount", "currency"} {
		list = append(list, check.Check{Kind: check.NotNull, Columns: []string{column}})
	}
	for _, sql := range []string{
		"amount >= 0", "amount < 1000", "customer_id >= 0", "length(currency) = 3", "ordered_at >= '2026-01-01 00:00+00'",
		"ordered_at < '2026-01-03 00:00+00'", "channel = lower(channel)",
	} {
		list = append(list, check.Check{Kind: check.Expression, SQL: sql})
	}
	for _, sql := range []string{"sum(amount)", "avg(amount)", "max(amount)", "count(*) FILTER (WHERE channel = 'web')"} {
		list = append(list, check.Check{Kind: check.MetricKind, SQL: sql})
	}
	for i := range list {
		list[i].Severity, list[i].Name = check.Fail, check.DefaultName(list[i])
	}
	return list
}

// evaluate runs statements and reads their rows.
func (s *site) evaluate(ctx context.Context, statements []check.Statement) error {
	for _, statement := range statements {
		rows, err := s.db.Query(ctx, statement.SQL)
		if err != nil {
			return err
		}
		n := 0
		for rows.Next() {
			n++
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("a check statement returned %d rows", n)
		}
	}
	return nil
}
