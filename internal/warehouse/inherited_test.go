package warehouse_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// changed is a table of which some days were published twice, so that all of them may go back.
func changed(t *testing.T, days ...partition.Key) (b *bundle, swaps []generation.Swap) {
	t.Helper()
	b = setup(t)
	live := map[partition.Key]generation.Generation{}
	b.publish(t, b.again(t, shop(), 1, live, "2026-01-01", "2026-01-02", "2026-01-03")...)
	swaps = b.again(t, shop(), 2, live, days...)
	b.publish(t, swaps...)
	return b, swaps
}

// What a table hands down to its partitions is made of what goes back while nobody reads it: the server makes nothing of its own when it
// is attached, and reads none of its rows.
func TestWhatATableHandsDownIsMadeWhereNobodyReadsIt(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"an index":           "CREATE INDEX dba ON fct_orders (amount DESC, channel)",
		"of an expression":   "CREATE INDEX dba ON fct_orders ((amount * 2)) WHERE channel <> 'x'",
		"of another method":  "CREATE INDEX dba ON fct_orders USING hash (channel)",
		"a unique index":     "CREATE UNIQUE INDEX dba ON fct_orders (order_id DESC, order_date)",
		"UNIQUE":             "ALTER TABLE fct_orders ADD CONSTRAINT dba UNIQUE (order_id, order_date)",
		"two that are equal": "CREATE INDEX dba ON fct_orders (amount); CREATE INDEX dba2 ON fct_orders (amount)",
		"an index of a key":  "ALTER TABLE fct_orders ADD CONSTRAINT dba UNIQUE (order_id, order_date); CREATE UNIQUE INDEX dba2 ON fct_orders (order_id, order_date)",
		"a key of an index":  "CREATE UNIQUE INDEX dba ON fct_orders (order_id, order_date); ALTER TABLE fct_orders ADD CONSTRAINT dba2 PRIMARY KEY (order_id, order_date)",
		"PRIMARY KEY":        "ALTER TABLE fct_orders ADD CONSTRAINT dba PRIMARY KEY (order_id, order_date)",
	} {
		for cut, days := range map[string][]partition.Key{
			"a whole chunk": {"2026-01-01", "2026-01-02", "2026-01-03"},
			"one day":       {"2026-01-02"},
		} {
			t.Run(name+", "+cut, func(t *testing.T) {
				t.Parallel()
				b, swaps := changed(t, days...)
				b.db.Exec(t, sql)
				back := b.begins(t, rollback(turnback.Nothing))
				b.done(t, back.try(backward(swaps)...))
				for _, s := range swaps {
					child := "'" + b.child(s.From) + "'::regclass"
					require.Zero(t, b.number(t, `SELECT count(*) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
						WHERE i.indrelid = `+child+` AND c.relname !~ '^g[0-9]+_(key|i[0-9]+|p[0-9]+)$'`), "the server had to build an index")
					require.EqualValues(t, strings.Count(sql, " dba"), b.number(t, `SELECT count(*) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
						WHERE i.indrelid = `+child+` AND c.relname ~ '_p[0-9]+$'`))
				}
				require.Zero(t, b.number(t, `SELECT count(*) FROM pg_index WHERE indrelid = 'fct_orders'::regclass AND NOT indisvalid`))
			})
		}
	}
}

// An index of many rows is there before the publish asks for the lock that keeps readers out.
func TestAnIndexIsMadeBeforeReadersAreKeptOut(t *testing.T) {
	t.Parallel()
	b, swaps := changed(t, "2026-01-01", "2026-01-02", "2026-01-03")
	b.db.Exec(t, "CREATE INDEX dba ON fct_orders (amount)")
	reader := b.begin(t, pgx.TxOptions{})
	_, err := reader.Exec(t.Context(), "SELECT count(*) FROM fct_orders")
	require.NoError(t, err)
	back := b.begins(t, rollback(turnback.Nothing))
	ended := make(chan error, 1)
	go func() {
		_, err := b.attempt(context.WithoutCancel(t.Context()), back.try(backward(swaps)...), beat)
		ended <- err
	}()
	for _, s := range swaps {
		require.Eventually(t, func() bool {
			var n int
			err := b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass AND indexrelid::regclass::text ~ '_p[0-9]+$'`, b.child(s.From)).Scan(&n)
			return err == nil && n == 1
		}, time.Minute, 10*time.Millisecond)
	}
	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, <-ended)
	require.Equal(t, "45.00", b.sum(t))
}

// Rows that cannot have what their table hands down are named with what it is, and with what lets them go back.
func TestWhatCannotHaveWhatItsTableHandsDownIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, says string }{
		"a unique index": {
			"CREATE UNIQUE INDEX dba ON fct_orders (order_date, amount)",
			"its rows repeat values of index dba, which the table has gained since",
		},
		"UNIQUE": {
			"ALTER TABLE fct_orders ADD CONSTRAINT dba UNIQUE (order_date, amount)",
			"its rows repeat values of constraint dba, which the table has gained since",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := shop()
			p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, (amount + CASE WHEN amount > 2 THEN order_id ELSE 0 END)::numeric(12,2) AS amount FROM raw_orders"
			live := map[partition.Key]generation.Generation{}
			old := b.again(t, p, 1, live, "2026-01-01")[0]
			b.publish(t, old)
			b.publish(t, b.again(t, p, 2, live, "2026-01-01")...)
			b.db.Exec(t, c.sql)
			to := generation.Generation{ID: old.To, Output: old.Output, Partition: old.Partition}
			_, err := b.back(t, to)
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "1.50")
			_, remedy, found := strings.Cut(fault.HintOf(err), "before the same command again: ")
			require.True(t, found, fault.HintOf(err))
			b.db.Exec(t, remedy)
			b.goBack(t, to)
			require.Equal(t, "15.00", b.sum(t))
		})
	}
}

// Where a table's primary key was dropped and added again, another one stands aside, or in another order among equal indexes: it makes room
// for the table's, before any lock, and goes back.
func TestAPrimaryKeyThatStandsAsideMakesRoomForItsTables(t *testing.T) {
	t.Parallel()
	const drop = "ALTER TABLE fct_orders DROP CONSTRAINT dba; "
	add := func(columns string) string {
		return "ALTER TABLE fct_orders ADD CONSTRAINT dba PRIMARY KEY (" + columns + "); "
	}
	for name, c := range map[string]struct{ was, is string }{
		"an equal index came in between": {add("order_id, order_date"), drop + "CREATE UNIQUE INDEX dba2 ON fct_orders (order_id, order_date); " + add("order_id, order_date")},
		"an equal index came before":     {add("order_id, order_date") + "CREATE UNIQUE INDEX dba2 ON fct_orders (order_id, order_date)", drop + add("order_id, order_date")},
		"it is of other columns":         {add("order_id, order_date"), drop + add("order_date, order_id")},
		"an equal index has gone":        {"CREATE UNIQUE INDEX dba2 ON fct_orders (order_id, order_date); " + add("order_id, order_date"), "DROP INDEX dba2"},
	} {
		for cut, days := range map[string][]partition.Key{
			"a whole chunk": {"2026-01-01", "2026-01-02", "2026-01-03"},
			"one day":       {"2026-01-02"},
		} {
			t.Run(name+", "+cut, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				live := map[partition.Key]generation.Generation{}
				b.publish(t, b.again(t, shop(), 1, live, "2026-01-01", "2026-01-02", "2026-01-03")...)
				b.db.Exec(t, c.was)
				swaps := b.again(t, shop(), 2, live, days...)
				b.publish(t, swaps...)
				b.db.Exec(t, c.is)
				back := b.begins(t, rollback(turnback.Nothing))
				b.done(t, back.try(backward(swaps)...))
				require.Equal(t, "45.00", b.sum(t))
				require.Zero(t, b.number(t, `SELECT count(*) FROM pg_index WHERE indrelid = 'fct_orders'::regclass AND NOT indisvalid`))
			})
		}
	}
}
