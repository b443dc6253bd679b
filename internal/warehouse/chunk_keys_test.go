package warehouse_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// What somebody has made on a chunk alone is named before it goes with the chunk, and stops no publish and no turn-back.
func TestAnIndexOfAChunkAloneIsNamedAndStopsNothing(t *testing.T) {
	t.Parallel()
	for name, days := range map[string][]partition.Key{
		"a whole chunk": {"2026-01-01", "2026-01-02", "2026-01-03"},
		"one day":       {"2026-01-02"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, swaps := changed(t, days...)
			b.db.Exec(t, "CREATE INDEX ON fct_orders (channel)") // of all of them, and none of the chunk's alone
			var chunk string
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'fct_orders'::regclass`).Scan(&chunk))
			b.db.Exec(t, "CREATE INDEX dba ON "+chunk+" (amount)")
			observed, err := b.Observe(t.Context(), shop(), header())
			require.NoError(t, err)
			var said []string
			for _, p := range observed.Problems {
				if p.Rule == "chunk-index" {
					require.False(t, p.Blocking)
					require.Contains(t, p.Remedy, "declare it under key: or indexes: of the output")
					said = append(said, p.Text)
				}
			}
			require.Len(t, said, 1)
			require.Contains(t, said[0], "dba of "+chunk+" is on some partitions alone")
			back := b.begins(t, rollback(turnback.Nothing))
			b.done(t, back.try(backward(swaps)...))
			require.Equal(t, "45.00", b.sum(t))
		})
	}
}

// Rows that a unique index of a chunk alone does not bear are named with it, and with the statement that lets them go live.
func TestAUniqueIndexOfAChunkAloneIsNamedWhereRowsBreakIt(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]string{
		"an index":     "CREATE UNIQUE INDEX dba ON %s (order_date, amount)",
		"a constraint": "ALTER TABLE %s ADD CONSTRAINT dba UNIQUE (order_date, amount)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := shop()
			p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, (amount + CASE WHEN amount > 2 THEN order_id ELSE 0 END)::numeric(12,2) AS amount FROM raw_orders"
			live := map[partition.Key]generation.Generation{}
			b.publish(t, b.again(t, p, 2, live, "2026-01-01", "2026-01-02")...)
			next := b.again(t, p, 1, live, "2026-01-02")
			var chunk string
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'fct_orders'::regclass`).Scan(&chunk))
			b.db.Exec(t, strings.ReplaceAll(made, "%s", chunk))
			_, err := b.attempt(t.Context(), b.patient(next...), beat)
			require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, "which somebody has made on "+chunk+" alone")
			require.NotContains(t, err.Error(), "SQLSTATE")
			_, remedy, found := strings.Cut(fault.HintOf(err), "before the same command again: ")
			require.True(t, found, fault.HintOf(err))
			b.db.Exec(t, remedy)
			b.publish(t, next...)
		})
	}
}
