package warehouse_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

const (
	publishes = 50
	readers   = 8
	dayRows   = 200
	days      = 3
)

// TestReadersNeverSeeHalfAPublish publishes a chunk as a whole, and a partition inside another one, fifty times, under readers of every kind. Every
// generation of a day has the same amount on all its rows, so a read that mixes two, or misses one, is seen at once.
func TestReadersNeverSeeHalfAPublish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keys := []partition.Key{"2026-01-01", "2026-01-02", "2026-02-01"}
	live := map[partition.Key]int64{}
	round := func(amount int) []generation.Swap {
		var swaps []generation.Swap
		for _, key := range keys {
			b.orders(key, dayRows, amount)
			g := b.build(t, shop(), key).Generation
			swaps = append(swaps, swap(g, live[key]))
			live[key] = g.ID
		}
		return swaps
	}
	b.publish(t, round(0)...)
	_, err := b.db.Pool.Exec(t.Context(), `
		CREATE FUNCTION seen() RETURNS TABLE (n bigint, lowest numeric, highest numeric) LANGUAGE sql STABLE
		AS 'SELECT count(*), min(amount), max(amount) FROM fct_orders'`)
	require.NoError(t, err)

	ctx, stop := context.WithCancel(t.Context())
	var reads, mixed, empty atomic.Int64
	errs := make(chan error, readers)
	judge := func(n int64, least, most string) {
		reads.Add(1)
		if n != days*dayRows {
			empty.Add(1)
		}
		if least != most {
			mixed.Add(1)
		}
	}
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := read(ctx, b, i, judge); err != nil && ctx.Err() == nil {
					errs <- fmt.Errorf("reader %d: %w", i, err)
					return
				}
			}
		})
	}
	var longest float64
	for amount := range publishes {
		result := b.publish(t, round(amount+1)...)
		longest = max(longest, result.HoldMS)
	}
	stop()
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	t.Logf("%d reads, longest hold %.1f ms", reads.Load(), longest)
	require.Greater(t, reads.Load(), int64(publishes))
	require.Zero(t, mixed.Load(), "reads that mixed two publishes")
	require.Zero(t, empty.Load(), "reads that missed rows")
}

// read is one read: in READ COMMITTED, through a STABLE function, or in REPEATABLE READ with a snapshot that is older
// than the read by a few milliseconds, so that builds commit in between.
func read(ctx context.Context, b *bundle, kind int, judge func(n int64, least, most string)) error {
	var n int64
	var least, most string
	switch kind % 3 {
	case 0:
		if err := b.db.Pool.QueryRow(ctx, `SELECT count(*), min(amount)::text, max(amount)::text FROM fct_orders`).Scan(&n, &least, &most); err != nil {
			return err
		}
	case 1:
		if err := b.db.Pool.QueryRow(ctx, `SELECT n, lowest::text, highest::text FROM seen()`).Scan(&n, &least, &most); err != nil {
			return err
		}
	default:
		err := pgx.BeginTxFunc(ctx, b.db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.03)`); err != nil {
				return err
			}
			return tx.QueryRow(ctx, `SELECT count(*), min(amount)::text, max(amount)::text FROM fct_orders`).Scan(&n, &least, &most)
		})
		if err != nil {
			return err
		}
	}
	judge(n, least, most)
	return nil
}
