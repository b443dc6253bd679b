package warehouse_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// What is live again while housekeeping goes through its list is kept from then on for as long as everything else.
func TestHousekeepingDropsNothingThatWasLiveSinceItWasListed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	replaced := func(day partition.Key) (retired, live generation.Generation) {
		b.orders(day, 10, 1)
		retired = b.build(t, shop(), day).Generation
		b.publish(t, swap(retired, 0))
		live = b.build(t, shop(), day).Generation
		b.publish(t, swap(live, retired.ID))
		return retired, live
	}
	// Each waits for the reader in its turn, and is given up for today: on a slow machine there is time for the turn-back still.
	var held []generation.Generation
	for day := 1; day <= 5; day++ {
		g, _ := replaced(partition.Key(fmt.Sprintf("2026-01-%02d", day)))
		held = append(held, g)
	}
	retired, live := replaced("2026-01-06")
	reader := b.begin(t, pgx.TxOptions{})
	for _, g := range held {
		_, err := reader.Exec(t.Context(), "SELECT count(*) FROM "+b.child(g.ID))
		require.NoError(t, err)
	}

	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	kept := make(chan error, 1)
	go func() { kept <- b.Housekeep(context.WithoutCancel(t.Context()), 0) }()
	waiting := `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted) FROM pg_sleep(0.01)`
	require.Eventually(t, func() bool {
		var is bool
		return b.db.Pool.QueryRow(t.Context(), waiting, b.child(held[0].ID)).Scan(&is) == nil && is
	}, time.Minute, time.Millisecond)
	req := rollback("")
	req.Output, req.Partition, req.Generation = retired.Output, retired.Partition, retired.ID
	back := b.begins(t, req)
	b.done(t, back.try(swap(retired, live.ID)))
	b.done(t, back.try(swap(live, retired.ID)))
	require.NoError(t, reader.Rollback(t.Context()))
	if err := <-kept; err != nil {
		require.ErrorContains(t, err, "lock timeout", "what is in the way today goes the next time")
	}
	state, _ := back.finish(t)
	require.Equal(t, turnback.Done, state)
}

func TestHousekeepingAnalysesOnlyWhereMuchWasPublished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	publish := func(day, rows int) {
		key := partition.Key(fmt.Sprintf("2026-01-%02d", day))
		b.orders(key, rows, 1)
		b.publish(t, swap(b.build(t, shop(), key).Generation, 0))
	}
	last := func() (at *time.Time) {
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT last_analyze FROM pg_stat_all_tables WHERE relid = 'fct_orders'::regclass`).Scan(&at))
		return at
	}
	analysed := func() *time.Time {
		require.NoError(t, b.Housekeep(t.Context(), time.Hour))
		return last()
	}
	publish(1, 100)
	var first *time.Time
	analysed()
	// Before Postgres 15 the statistics say a moment later what was done.
	require.Eventually(t, func() bool { first = last(); return first != nil }, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, first, analysed(), "nothing was published")
	publish(2, 5)
	require.Equal(t, first, analysed(), "5 of 105 rows")
	publish(3, 50)
	analysed()
	require.Eventually(t, func() bool { return last().After(*first) }, 10*time.Second, 50*time.Millisecond, "55 of 155 rows")
}

func TestHousekeepingKeepsWhatOneCanGoBackTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, next := b.two(t)
	b.publish(t, swap(next, live.ID))
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Equal(t, 2, b.children(t))
	require.NoError(t, b.Housekeep(t.Context(), 0))
	require.Equal(t, 1, b.children(t))
	_, err := b.back(t, live)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Equal(t, "25.00", b.sum(t))
	var analysed bool
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stats WHERE tablename = 'fct_orders' AND schemaname = $1 AND inherited)`, b.db.Schema).Scan(&analysed))
	require.True(t, analysed, "autovacuum never analyses a partitioned table")
}

// Whatever a deployment that crosses or watches, or an open turn-back, could go back to is kept, however old: also by the
// housekeeping of another pipeline. What was retired before it began is not, and nothing is once it has ended.
func TestHousekeepingKeepsWhatAnOpenChangeCouldGoBackTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const outputs = 3
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.run(t, 1, "2026-01-01") // retires what the next one cannot go back to
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	owner := string(b.owner)
	keep := func() int {
		require.NoError(t, b.Housekeep(t.Context(), 0))
		return b.children(t)
	}
	require.Equal(t, 2*outputs, keep(), "it crosses")
	require.NoError(t, b.Watch(t.Context(), "shop", anew(b.owner), time.Hour))
	require.Equal(t, 2*outputs, keep(), "it watches")
	standing, err := b.Standing(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{b.owner.Workflow()}, standing.Pipelines[0].Watching)
	require.Empty(t, standing.Pipelines[0].Crossing)
	require.NoError(t, b.Leave(t.Context(), "shop", owner))
	require.Equal(t, outputs, keep(), "it has ended")
}

// Somebody who reads what one output of a partition was keeps what its others were: they go back together, or not at all.
func TestHousekeepingDropsWhatAPartitionWasTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.run(t, 2, "2026-01-01", "2026-01-02")
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	reader := b.begin(t, pgx.TxOptions{})
	read := b.text(t, `SELECT 'g' || min(id) FROM `+b.db.Schema+`__ledger.generation WHERE output = 'agg_orders' AND partition = '2026-01-01'`)
	_, err := reader.Exec(t.Context(), "SELECT count(*) FROM "+b.db.Schema+"__data."+read)
	require.NoError(t, err)
	retired := func() []string {
		rows, err := b.db.Pool.Query(t.Context(), `
			SELECT output || ' ' || partition FROM `+b.db.Schema+`__ledger.generation WHERE state = 'retired' ORDER BY output`)
		require.NoError(t, err)
		kept, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return kept
	}
	require.ErrorContains(t, b.Housekeep(t.Context(), 0), "lock")
	require.Equal(t, []string{"agg_orders 2026-01-01", "fct_orders 2026-01-01"}, retired())
	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, b.Housekeep(t.Context(), 0))
	require.Empty(t, retired())
}
