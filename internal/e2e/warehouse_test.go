package e2e_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// rows are all orders of an environment as a reader sees them, in the order of their keys.
func (w *world) rows(env string) []string {
	w.t.Helper()
	return w.texts(fmt.Sprintf(`SELECT o::text FROM %s.orders o ORDER BY order_id`, schemaOf(env)))
}

// texts runs a query of one text column.
func (w *world) texts(sql string, args ...any) []string {
	w.t.Helper()
	rows, err := w.db.Query(w.t.Context(), sql, args...)
	require.NoError(w.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	return list
}

// number runs a query of one number.
func (w *world) number(sql string, args ...any) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.db.QueryRow(w.t.Context(), sql, args...).Scan(&n))
	return n
}

// active is the version that an environment's ledger calls active; empty: none.
func (w *world) active(env string) string {
	w.t.Helper()
	found := w.texts(`SELECT version FROM ` + schemaOf(env) + `__ledger.active a JOIN ` + schemaOf(env) + `__ledger.tenure ON number = a.tenure WHERE a.pipeline = 'shop' AND digest <> ''`)
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// tidy asserts what must hold whenever nothing is under way: no generation is still being built or hangs in a shadow, no
// shadow table is left, what readers see is what the ledger calls live, no table is there that the ledger does not know, and no
// file is kept for further builds.
func (w *world) tidy(env string) {
	w.t.Helper()
	schema := schemaOf(env)
	require.Empty(w.t, w.texts(`SELECT state || ' ' || output || ' ' || partition FROM `+schema+`__ledger.generation WHERE state IN ('building', 'shadow')`),
		"generations under way in %s", env)
	require.Empty(w.t, w.texts(`SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')`, schema+"__shadow"),
		"shadow tables in %s", env)
	require.Empty(w.t, w.texts(`
		SELECT c.relname::text
		FROM pg_class c
		WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r'
		  AND c.relname NOT IN (
		        SELECT 'g' || id FROM `+schema+`__ledger.generation WHERE state <> 'dropped'
		        UNION ALL
		        SELECT 'l' || id FROM `+schema+`__ledger.landing WHERE state <> 'dropped')`, schema+"__data"),
		"tables in %s that the ledger does not know", env)
	require.Empty(w.t, w.texts(`SELECT owner || ' ' || name FROM `+schema+`__ledger.landing WHERE state IN ('loading', 'loaded')`),
		"files in %s that are kept for builds of workflows that have ended", env)
	require.Equal(w.t,
		w.texts(`SELECT 'g' || generation FROM `+schema+`__ledger.live WHERE generation IS NOT NULL ORDER BY generation`),
		w.texts(`
			SELECT c.relname::text
			FROM pg_class c
			JOIN pg_class p ON p.oid = pg_partition_root(c.oid)
			WHERE p.relnamespace = to_regnamespace($1) AND c.relispartition AND c.relkind = 'r'
			ORDER BY substr(c.relname, 2)::bigint`, schema),
		"what readers see in %s, against the ledger", env)
}

// readers read all orders of an environment over and over, until the returned function is called: that asserts that they
// always saw every row once, and never half of a change.
func (w *world) readers(env string, n int) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	sql := `SELECT count(*) || ' orders of ' || count(DISTINCT ordered_on) || ' days' FROM ` + schemaOf(env) + `.orders`
	var group sync.WaitGroup
	wrong := make(chan string, n)
	reads := make([]int, n)
	for i := range n {
		group.Go(func() {
			for ctx.Err() == nil {
				var seen string
				err := w.db.QueryRow(ctx, sql).Scan(&seen)
				switch {
				case ctx.Err() != nil:
				case err != nil:
					wrong <- err.Error()
					return
				case seen != fmt.Sprintf("%d orders of %d days", ordersPerDay*len(w.days), len(w.days)):
					wrong <- seen
					return
				default:
					reads[i]++
				}
			}
		})
	}
	w.t.Cleanup(cancel)
	return func() {
		w.t.Helper()
		cancel()
		group.Wait()
		close(wrong)
		for what := range wrong {
			require.Fail(w.t, "a reader saw "+what)
		}
		for _, r := range reads {
			require.NotZero(w.t, r)
		}
	}
}
