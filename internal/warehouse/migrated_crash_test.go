package warehouse_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse"
)

// like is what every table of the schema and every table of a generation is like, with its rows, but for a column.
func (b *bundle) like(t *testing.T, but string) string {
	t.Helper()
	var lines []string
	ask := func(sql string, args ...any) []string {
		rows, err := b.db.Pool.Query(t.Context(), sql, args...)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return found
	}
	lines = append(lines, ask(`
		SELECT concat_ws(' ', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(c.relpartbound, c.oid))
		FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ($1::text, $1::text || '__data')
		WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname <> $2
		ORDER BY 1`, b.db.Schema, but)...)
	for _, table := range ask(`
		SELECT format('%I.%I', n.nspname, c.relname)
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ($1::text, $1::text || '__data')
		WHERE c.relkind IN ('r', 'p')
		ORDER BY 1`, b.db.Schema) {
		lines = append(append(lines, "rows of "+table), ask(`SELECT (to_jsonb(c) - $1)::text FROM `+table+` c ORDER BY 1`, but)...)
	}
	return strings.Join(lines, "\n")
}

// crashing does the steps of a phase, or undoes them, where the worker's line is cut in each of the places where that can be. Before the commit all is
// as it was, but for the column that the step is about.
func (v *moving) crashing(t *testing.T, undo bool, phase migrate.Phase) {
	t.Helper()
	steps := v.plan.Of(phase)
	require.NotEmpty(t, steps)
	for _, s := range steps {
		spec := migrate.StepSpec{
			Owner: v.owner, Key: anew(v.owner), Plan: v.plan, Step: s, Undo: undo, LockBudget: 20 * time.Second, Application: "drawbridge/test",
		}
		act := s.Act[0]
		if undo {
			act = s.Undo[0]
		}
		before := v.like(t, "")
		for _, at := range testdb.Cuts() {
			l, url := testdb.Over(t, v.db.URL, at, act)
			w, err := warehouse.Open(t.Context(), warehouse.Options{URL: url, Schema: v.db.Schema, Application: "drawbridge/test", MaxConns: 6})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			r, err := w.DoStep(ctx, spec, func(time.Duration) {})
			cancel()
			w.Close()
			l.Close()
			require.Empty(t, fault.ClassOf(err), "%s %s: what may pass is tried again: %v", s.ID, at, err)
			require.True(t, l.WasCut(), "%s is not cut %s", s.ID, at)
			if at == testdb.AfterTheCommit {
				require.NoError(t, err, s.ID)
				require.True(t, r.Done, s.ID)
				continue
			}
			require.Equal(t, before, v.like(t, ""), "%s %s", s.ID, at)
		}
		r, err := v.DoStep(t.Context(), spec, func(time.Duration) {})
		require.NoError(t, err, s.ID)
		require.True(t, r.Done, s.ID)
	}
}

// Each operation that an output has comes to nothing but its column, through a crash in every place of every step, there and back. Generations that are
// kept go with it, whether they are live, have retired, or are given up.
func TestEveryOperationOfAnOutputIsProved(t *testing.T) {
	t.Parallel()
	drop := migrate.Operation{Kind: migrate.DropColumn, Column: "amount"}
	for name, c := range map[string]struct {
		operations  []migrate.Operation
		both, after string // releases from dual write on, and before contract; empty: none is needed
	}{
		"add_column nullable": {[]migrate.Operation{{Kind: migrate.AddColumn, Column: "amount_eur", Type: "numeric(12,2)"}}, "", ""},
		"add_column required, and drop_column of what it comes from": {
			[]migrate.Operation{{Kind: migrate.AddColumn, Column: "amount_eur", Type: "numeric(12,2)", Required: true, Up: "amount"}, drop}, "2.0.0", "3.0.0",
		},
		"rename_column": {renaming().Operations, "2.0.0", "3.0.0"},
		"drop_column":   {[]migrate.Operation{drop}, "1.0.0", "5.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := renaming()
			m.Operations = c.operations
			b, old := begun(t)
			adds := m.Operations[0].Kind != migrate.DropColumn
			if adds {
				before := b.like(t, "")
				v := b.migrating(t, m, false)
				v.crashing(t, false, migrate.Expand)
				require.Equal(t, before, b.like(t, "amount_eur"))
				require.Contains(t, b.having(t, "amount_eur"), "fct_orders")
				v.crashing(t, true, migrate.Expand)
				require.Equal(t, before, b.like(t, ""))
				require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.RolledBack))
			}
			if c.after == "" {
				return
			}
			v := b.migrating(t, m, true)
			if adds {
				v.does(t, false, migrate.Expand)
			}
			both := b.released(t, c.both, first, second)
			require.Empty(t, v.waits(t, migrate.Backfill))
			v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating)
			v.free(t, v.FreeOld)
			after := b.released(t, c.after, first)
			require.Empty(t, v.free(t, v.FreeOld))
			v.enters(t, migrate.Contract)
			require.Greater(t, len(b.having(t, "amount")), 4, "the output, and generations that are live, have retired, and are given up")
			before := b.like(t, "amount")
			v.crashing(t, false, migrate.Contract)
			require.Equal(t, before, b.like(t, ""), "nothing but the column is gone, and from everything that is kept")
			require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.Done))
			require.NoError(t, b.Verify(t.Context(), []int64{both[0].ID, both[1].ID, after[0].ID}, func() {}))
			if adds {
				_, err := b.back(t, old[0])
				require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			}
			b.goBack(t, both[0])
			b.filled(t, second)
		})
	}
}
