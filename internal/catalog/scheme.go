package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// SchemesIn are the schemes by which the generations of some outputs in a state are cut into partitions, but for those that cannot be
// attached again.
func (l Ledger) SchemesIn(ctx context.Context, q Querier, outputs []string, state generation.State) (map[string][]partition.Scheme, error) {
	// From one scheme to the next by the index: there are many generations, and few schemes.
	const next = `(
		  SELECT g.scheme
		  FROM ledger.generation g
		  WHERE g.output = %s AND g.state = $2 AND (g.state = 'live' OR g.not_reattachable = '') %s
		  ORDER BY g.scheme
		  LIMIT 1)`
	return l.schemes(ctx, q, `
		WITH RECURSIVE cut AS (
		  SELECT o.output, `+fmt.Sprintf(next, "o.output", "")+` AS scheme
		  FROM unnest($1::text[]) AS o (output)
		  UNION ALL
		  SELECT c.output, `+fmt.Sprintf(next, "c.output", "AND g.scheme > c.scheme")+`
		  FROM cut c
		  WHERE c.scheme IS NOT NULL
		)
		SELECT output, scheme
		FROM cut
		WHERE scheme IS NOT NULL`, outputs, string(state))
}

// SchemesUnder are the schemes of what was live of some outputs when another tenure followed, and of whatever its release has built.
func (l Ledger) SchemesUnder(ctx context.Context, q Querier, outputs []string, t release.Tenure) (map[string][]partition.Scheme, error) {
	return l.schemes(ctx, q, `
		SELECT output, scheme
		FROM ledger.generation
		WHERE output = ANY($1) AND digest = $2
		UNION
		SELECT g.output, g.scheme
		FROM (
		  SELECT DISTINCT ON (output, partition) to_generation
		  FROM ledger.swap
		  WHERE output = ANY($1) AND tenure <= $3
		  ORDER BY output, partition, id DESC
		) AS last
		JOIN ledger.generation g ON g.id = last.to_generation`, outputs, t.Release.Digest, t.Number)
}

func (l Ledger) schemes(ctx context.Context, q Querier, sql string, args ...any) (map[string][]partition.Scheme, error) {
	rows, err := q.Query(ctx, l.sql(sql), args...)
	if err != nil {
		return nil, fmt.Errorf("read how outputs are cut: %w", err)
	}
	found := map[string][]partition.Scheme{}
	var output string
	var scheme partition.Scheme
	if _, err := pgx.ForEachRow(rows, []any{&output, &scheme}, func() error {
		found[output] = append(found[output], scheme)
		scheme = partition.Scheme{}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read how outputs are cut: %w", err)
	}
	return found, nil
}
