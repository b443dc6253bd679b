package warehouse_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/adoption"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse"
)

// An adoption is cut off in every place: readers see the same, and the same command finishes it. So it is with a release.
func TestAnAdoptionThatIsCutOffAnywhereIsFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	b := keeping(t, 100)
	p := whole()
	b.exec(t, `ALTER TABLE fct_orders DROP CONSTRAINT fct_orders_pkey`)
	before, plain := b.seen(t), b.dump(t)
	proving := func(ctx context.Context, w *warehouse.Warehouse, spec adoption.Spec) (adoption.Result, error) {
		return w.ProveAdoption(ctx, p, spec, patiently)
	}
	adopting := func(ctx context.Context, w *warehouse.Warehouse, spec adoption.Spec) (adoption.Result, error) {
		return w.Adopt(ctx, p, spec, patiently)
	}
	releasing := func(ctx context.Context, w *warehouse.Warehouse, spec adoption.Spec) (adoption.Result, error) {
		return w.ReleaseTable(ctx, spec, patiently)
	}
	effect := testdb.Cuts()
	statement := []testdb.Cut{testdb.BeforeTheAct, testdb.DuringTheAct, testdb.AfterTheAct}
	for _, c := range []struct {
		does func(context.Context, *warehouse.Warehouse, adoption.Spec) (adoption.Result, error)
		acts []string
		cuts []testdb.Cut
	}{
		{proving, []string{"NOT VALID"}, statement},
		{proving, []string{"VALIDATE CONSTRAINT"}, statement},
		{proving, []string{"CREATE UNIQUE INDEX CONCURRENTLY"}, statement},
		{adopting, []string{"ALTER VIEW", "SET SCHEMA", "PARTITION BY LIST", "ATTACH PARTITION", "CREATE OR REPLACE VIEW"}, effect},
		{releasing, []string{"DETACH PARTITION", "RENAME TO", "CREATE OR REPLACE VIEW", "DROP TABLE"}, effect},
	} {
		spec := b.adopting("")
		for _, act := range c.acts {
			for _, at := range c.cuts {
				l, url := testdb.Over(t, b.db.URL, at, act)
				w, err := warehouse.Open(t.Context(), warehouse.Options{URL: url, Schema: b.db.Schema, Application: "drawbridge/test", MaxConns: 6})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				_, err = c.does(ctx, w, spec)
				cancel()
				w.Close()
				l.Close()
				require.Empty(t, fault.ClassOf(err), "%s %s: what may pass is tried again: %v", act, at, err)
				require.Equal(t, before, b.seen(t), "%s %s", act, at)
			}
		}
		result, err := c.does(t.Context(), b.Warehouse, spec)
		require.NoError(t, err)
		require.True(t, result.Done, "%+v", result)
		require.Equal(t, before, b.seen(t))
	}
	require.Equal(t, plain, b.dump(t))
}

func TestWhatAnAdoptionThatWasGivenUpHasLeftIsDropped(t *testing.T) {
	t.Parallel()
	b := keeping(t, 100)
	b.exec(t, `ALTER TABLE fct_orders DROP CONSTRAINT fct_orders_pkey`)
	before := b.dump(t)
	_, err := b.ProveAdoption(t.Context(), whole(), b.adopting(""), patiently)
	require.NoError(t, err)
	require.NotEqual(t, before, b.dump(t))
	b.giveBack(t)
	require.Equal(t, before, b.dump(t))
}

func TestAnAdoptionThatIsHeldUpNamesWhoHoldsTheTable(t *testing.T) {
	t.Parallel()
	b := keeping(t, 100)
	before := b.dump(t)
	tx, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	var pid int32
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT pg_backend_pid() FROM fct_orders LIMIT 1`).Scan(&pid))
	spec := b.adopting("")
	spec.LockBudget = 300 * time.Millisecond
	result, err := b.ProveAdoption(t.Context(), ranged(), spec, patiently)
	require.NoError(t, err)
	require.False(t, result.Done)
	require.Len(t, result.Blocked, 1)
	require.Equal(t, pid, result.Blocked[0].PID)
	require.Equal(t, before, b.dump(t))
	require.NoError(t, tx.Commit(t.Context()))
	b.adopt(t, ranged(), "")
}

// Another role reads the table, views and functions of each kind while the table is adopted, given back, adopted again and published on.
func TestReadersNeverFailUnderAnAdoption(t *testing.T) {
	t.Parallel()
	b := keeping(t, 200_000)
	role := b.reader(t)
	b.exec(t, fmt.Sprintf(`GRANT SELECT ON fct_orders, daily, total TO %s`, role))
	sees := map[string][]int64{ // what a query may give: before and after the publish
		`SELECT count(*) FROM fct_orders WHERE order_id < 100000`:      {99_999, 100_009},
		`SELECT sum(orders) FROM daily`:                                {200_000, 200_010},
		`SELECT orders FROM total`:                                     {200_000, 200_010},
		`SELECT count(*) FROM daily WHERE day = latest()`:              {1},
		`SELECT orders_of('2026-02-01') + orders_of('2026-01-05') * 0`: {0, 10},
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	longest, reads, failed := time.Duration(0), map[string]int{}, map[string]int{}
	for query, values := range sees {
		wg.Go(func() {
			conn, err := b.db.Pool.Acquire(ctx)
			if err != nil {
				return
			}
			defer conn.Release()
			if _, err := conn.Exec(ctx, "SET ROLE "+role); err != nil {
				return
			}
			defer func() { _, _ = conn.Exec(context.Background(), "RESET ROLE") }()
			for ctx.Err() == nil {
				began := time.Now()
				var n int64
				err := conn.QueryRow(ctx, query).Scan(&n)
				mu.Lock()
				longest = max(longest, time.Since(began))
				reads[query]++
				switch {
				case ctx.Err() != nil:
				case err != nil:
					failed[query+": "+err.Error()]++
				case !slices.Contains(values, n):
					failed[fmt.Sprintf("%s: %d", query, n)]++
				}
				mu.Unlock()
			}
		})
	}
	p := ranged()
	result := b.adopt(t, whole(), "")
	b.giveBack(t)
	b.adopt(t, p, "")
	b.cross(t, "1.0.0")
	b.orders("2026-02-01", 10, 1)
	b.publish(t, swap(b.build(t, p, "2026-02-01").Generation, 0))
	require.Equal(t, "200010", b.one(t, `SELECT orders::text FROM total`))
	stop()
	wg.Wait()
	require.Empty(t, failed)
	require.Len(t, reads, len(sees))
	t.Logf("held readers for %.1f ms; the slowest read took %s; reads: %v", result.HoldMS, longest, reads)
}

// Rows are of a size at which a scan would show: what keeps readers out does not grow with them. The strongest lock is held for the last
// transaction alone, and what proves the rows before lets readers and writers pass. DRAWBRIDGE_SOAK=1 has five million rows.
func TestAnAdoptionKeepsNobodyOutForItsRows(t *testing.T) {
	t.Parallel()
	rows := 300_000
	if os.Getenv("DRAWBRIDGE_SOAK") == "1" {
		rows = 5_000_000
	}
	b := keeping(t, rows)
	b.exec(t, `DROP INDEX fct_orders_date; ALTER TABLE fct_orders DROP CONSTRAINT fct_orders_pkey`)
	for name, p := range map[string]*pipeline.Pipeline{"whole": whole(), "ranged": ranged()} {
		spec := b.adopting("")
		proving := make(chan error, 1)
		go func() {
			_, err := b.ProveAdoption(context.WithoutCancel(t.Context()), p, spec, patiently)
			proving <- err
		}()
		wrote := 0
		for done := false; !done; {
			select {
			case err := <-proving:
				require.NoError(t, err)
				done = true
			default:
				require.Equal(t, "0", b.one(t, `
					SELECT count(*)::text
					FROM pg_locks l
					JOIN pg_stat_activity a ON a.pid = l.pid
					WHERE l.relation = to_regclass('fct_orders') AND l.granted AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
					  AND a.xact_start < clock_timestamp() - interval '500 ms'`), "while it is proved, no lock that keeps writers out is held for long")
				b.exec(t, `SET lock_timeout = '2s'; UPDATE fct_orders SET note = 'touched' WHERE order_id = 7; SELECT count(*) FROM fct_orders WHERE order_id = 7`)
				wrote++
			}
		}
		require.Positive(t, wrote, name)
		result, err := b.Adopt(t.Context(), p, spec, patiently)
		require.NoError(t, err)
		require.True(t, result.Done)
		require.Less(t, result.HoldMS, 500.0, "%s held readers for %.1f ms", name, result.HoldMS)
		t.Logf("%s: held readers for %.1f ms, %d writes while it was proved", name, result.HoldMS, wrote)
		b.giveBack(t)
	}
}
