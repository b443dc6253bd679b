package warehouse_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
)

// A session is kept from one partition to the next only where nothing that runs in it could reach the next one's rows.
func TestNothingOfOnePartitionReachesTheNext(t *testing.T) {
	t.Parallel()
	const plain = "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
	for name, c := range map[string]struct {
		before string // what somebody has made in the schema
		sql    string
		kept   bool
	}{
		"the server's own functions": {"", "SELECT order_id, ordered_at::date AS order_date, lower(channel) AS channel, round(amount, 2)::numeric(12,2) AS amount FROM raw_orders", true},
		"a setting of its own":       {"", "SELECT order_id, ordered_at::date AS order_date, coalesce(current_setting('my.seen', true), 'web') || left(set_config('my.seen', 'x', false), 0) AS channel, amount FROM raw_orders", false},
		"a quoted name":              {"", `SELECT order_id, ordered_at::date AS order_date, coalesce(current_setting('my.seen', true), 'web') || left("set_config"('my.seen', 'x', false), 0) AS channel, amount FROM raw_orders`, false},
		"a name in disguise":         {"", `SELECT order_id, ordered_at::date AS order_date, coalesce(current_setting('my.seen', true), 'web') || left(U&"set\005fconfig"('my.seen', 'x', false), 0) AS channel, amount FROM raw_orders`, false},
		"the seed of random":         {"", "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders WHERE setseed(0.5) IS NOT NULL", false},
		"a function of somebody's": {
			"CREATE FUNCTION seen() RETURNS text LANGUAGE sql AS $$ SELECT coalesce(current_setting('my.seen', true), 'web') || left(set_config('my.seen', 'x', false), 0) $$",
			"SELECT order_id, ordered_at::date AS order_date, seen() AS channel, amount FROM raw_orders", false,
		},
		"a view": {
			"CREATE VIEW seen AS SELECT coalesce(current_setting('my.seen', true), 'web') || left(set_config('my.seen', 'x', false), 0) AS channel",
			"SELECT order_id, ordered_at::date AS order_date, seen.channel, amount FROM raw_orders CROSS JOIN seen", false,
		},
		"a plain SELECT": {"", plain, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if c.before != "" {
				b.db.Exec(t, c.before)
			}
			p := shop()
			p.Outputs[0].SQL = c.sql
			for _, day := range []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"} {
				b.orders(day, 1, 1)
				g := b.build(t, p, day).Generation
				require.Equal(t, "web", b.text(t, "SELECT channel FROM "+b.child(g.ID)), "on %s", day)
			}
			sessions := b.number(t, "SELECT count(DISTINCT (backend_pid, backend_start)) FROM "+b.db.Schema+"__ledger.generation")
			require.Equal(t, c.kept, sessions == 1, "%d sessions", sessions)
		})
	}
}
