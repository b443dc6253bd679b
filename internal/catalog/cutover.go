package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
)

// Candidates are the newest generations that an owner has built under a tenure and nobody has published, one for each partition of
// an output.
func (l Ledger) Candidates(ctx context.Context, q Querier, owner effect.Owner, tenure int64) ([]generation.Candidate, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT DISTINCT ON (output, partition) output, partition, coalesce(baseline, 0), id, coalesce(audit, '')
		FROM ledger.generation
		WHERE owner_key = $1 AND tenure = $2 AND NOT control AND state IN ('built', 'shadow')
		ORDER BY output, partition, id DESC`), string(owner), tenure)
	if err != nil {
		return nil, fmt.Errorf("find what %s has built: %w", owner, err)
	}
	var built []generation.Candidate
	var c generation.Candidate
	if _, err := pgx.ForEachRow(rows, []any{&c.Output, &c.Partition, &c.From, &c.To, &c.Audit}, func() error {
		built = append(built, c)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("find what %s has built: %w", owner, err)
	}
	return built, nil
}

// SwapRatio is the median of what the last publishes took over what was expected of them, of those that were expected to take
// long enough to tell; 0 where there is none.
func (l Ledger) SwapRatio(ctx context.Context, q Querier, telling time.Duration) (float64, error) {
	var ratio float64
	if err := q.QueryRow(ctx, l.sql(`
		SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio), 0)
		FROM (
		  SELECT (result ->> 'swap_ms')::float8 / (result ->> 'expected_ms')::float8 AS ratio
		  FROM ledger.effect
		  WHERE kind IN ('publish', 'turn_back') AND (result ->> 'expected_ms')::float8 >= $1
		  ORDER BY at DESC
		  LIMIT 20
		) AS last`), float64(telling.Microseconds())/1000).Scan(&ratio); err != nil {
		return 0, fmt.Errorf("read how long publishes took: %w", err)
	}
	return ratio, nil
}
