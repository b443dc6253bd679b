package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
	"drawbridge/internal/console"
	"drawbridge/workflows"
)

// existing makes the tables of the shop in dev as others had them before: three days of orders, channels, and a view that another role reads.
func (w *world) existing() {
	w.t.Helper()
	w.does(`
		CREATE SCHEMA shop_dev;
		SET search_path = shop_dev;
		CREATE TABLE orders (order_id bigint PRIMARY KEY, ordered_on date NOT NULL, channel text, amount numeric(12,2));
		CREATE TABLE channels (channel text PRIMARY KEY, title text);
		INSERT INTO orders SELECT 100 * d + n, date '2025-12-31' + d, 'web', n FROM generate_series(1, 3) AS d, generate_series(1, 40) AS n;
		INSERT INTO channels VALUES ('web', 'Old title');
		CREATE VIEW titled AS SELECT o.order_id, o.amount, c.title FROM orders o JOIN channels c USING (channel);
		CREATE VIEW revenue AS SELECT title, sum(amount) AS amount FROM titled GROUP BY title;
		GRANT SELECT ON orders, revenue TO PUBLIC;
		RESET search_path`)
}

func (w *world) does(sql string) {
	w.t.Helper()
	_, err := w.db.Exec(w.t.Context(), sql)
	require.NoError(w.t, err)
}

func (w *world) one(sql string) string {
	w.t.Helper()
	texts := w.texts(sql)
	require.Len(w.t, texts, 1)
	return texts[0]
}

// Tables that were there before are brought under management with their view and grants, published on, and given back.
func TestTablesThatExistedBeforeAreAdoptedAndGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.existing()
	w.worker("worker", everything()...)
	folder := w.release("1.0.0")
	seen := func() string {
		return w.one(`SELECT concat_ws(' ', (SELECT count(*) FROM shop_dev.orders), (SELECT sum(amount) FROM shop_dev.revenue), (SELECT min(title) FROM shop_dev.revenue))`)
	}
	before := seen()
	require.Equal(t, "120 2460.00 Old title", before)

	refused := w.cli(2, "deploy", folder, "--to", "dev")
	require.Contains(t, refused.out+refused.err, "drawbridge adopt shop@1.0.0 orders --env dev", "whoever deploys over a table is told how it is adopted")
	plan := w.cli(0, "adopt", "shop@1.0.0", "orders", "--env", "dev")
	require.Contains(t, plan.out, "built from 2026-01-04 on")
	require.Contains(t, plan.out, "shop_dev.titled")
	require.Contains(t, plan.out, "primary key orders_pkey")
	require.Contains(t, plan.out, "--reason TEXT --yes")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM pg_class WHERE oid = 'shop_dev.orders'::regclass AND relkind = 'r'`), "a plan changes nothing")
	w.cli(1, "adopt", "shop@1.0.0", "orders", "--env", "dev", "--yes")

	for _, table := range []string{"orders", "channels"} {
		done := w.cli(0, "adopt", "shop@1.0.0", table, "--env", "dev", "--reason", "ours now", "--yes")
		require.Contains(t, done.out, "drawbridge deploy shop@1.0.0 --to dev")
		require.Equal(t, before, seen())
	}
	w.record(workflows.AdoptionID(shop, "dev", "orders"), "adopted")
	require.Contains(t, w.cli(0, "adopt", "shop@1.0.0", "orders", "--env", "dev", "--reason", "again", "--yes").out, "adopted already")

	w.cli(0, "deploy", folder, "--to", "dev")
	// The files of the first three days are there, and nobody builds them: they are in the legacy partition.
	require.Equal(t, fmt.Sprintf("%d 2460.00 Old title", 120+2*ordersPerDay), w.one(`
		SELECT concat_ws(' ', (SELECT count(*) FROM shop_dev.orders), (SELECT sum(amount) FROM shop_dev.orders WHERE order_id < 1000), (SELECT 'Old title'))`))
	require.Equal(t, "Web shop", w.one(`SELECT min(title) FROM shop_dev.revenue WHERE title LIKE 'Web%'`), "views read what is published")
	var gaps console.Gaps
	w.json(&gaps, "gaps", shop, "--env", "dev")
	require.Equal(t, backfill.Gaps{First: "2026-01-04", Last: newestDay, Live: 2}, gaps.Gaps)
	for _, command := range [][]string{
		{"run", shop, "--env", "dev", "--partition", middleDay},
		{"backfill", shop, "--env", "dev", "--from", "2026-01-02", "--to", newestDay, "--reason", "again"},
		{"rollback", shop, "--env", "dev", "--partition", middleDay, "--output", "orders", "--reason", "again"},
	} {
		a := w.cli(2, command...)
		require.Contains(t, a.out+a.err, "legacy partition", command)
	}
	w.cli(0, "run", shop, "--env", "dev", "--partition", newestDay)
	w.cli(0, "doctor", shop, "--env", "dev")

	require.Contains(t, w.cli(2, "release-table", "shop@1.0.0", "orders", "--env", "dev").out, "built since")
	w.cli(0, "rollback", shop, "--env", "dev", "--to", "nothing", "--data", "snapshot", "--reason", "back to the old job")
	require.Equal(t, before, seen(), "what was adopted is live again")
	for _, table := range []string{"orders", "channels"} {
		w.cli(0, "release-table", "shop@1.0.0", table, "--env", "dev", "--reason", "back to the old job", "--yes")
		require.Equal(t, before, seen())
	}
	w.record(workflows.AdoptionID(shop, "dev", "orders"), "given_back")
	w.does(`INSERT INTO shop_dev.orders VALUES (-1, '2026-02-01', 'web', 0)`)
	require.Equal(t, 2, w.number(`SELECT count(*) FROM pg_constraint WHERE connamespace = 'shop_dev'::regnamespace AND contype = 'p'`))
}

// A pipeline that runs already gets one more output, of a table that was there: it is compared with what was adopted, and goes back to it.
func TestATableIsAdoptedByAPipelineThatRunsAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", everything()...)
	w.cli(0, "deploy", w.release("1.0.0",
		"  - table: channels\n    partition: all\n    sql: sql/channels.sql\n    key: [channel]\n    checks:\n      - row_count: {min: 1}\n      - unique: [channel]\n", "",
		"  - load:\n      name: raw_channels\n      file: data/channels.csv\n      columns: {channel: text, title: text}\n", ""), "--to", "dev")
	w.does(`
		CREATE TABLE shop_dev.channels (channel text PRIMARY KEY, title text);
		INSERT INTO shop_dev.channels VALUES ('web', 'Web shop'), ('app', 'App'), ('store', 'Store')`)
	second := w.release("1.1.0")
	w.cli(0, "adopt", "shop@1.1.0", "channels", "--env", "dev", "--reason", "ours now", "--yes")
	require.Equal(t, "1.0.0", w.active("dev"), "an adoption activates nothing")
	adopted := w.number(`SELECT generation FROM shop_dev__ledger.live WHERE output = 'channels'`)
	w.cli(0, "deploy", second, "--to", "dev")
	require.Equal(t, "1.1.0", w.active("dev"))
	require.NotEqual(t, adopted, w.number(`SELECT generation FROM shop_dev__ledger.live WHERE output = 'channels'`))
	w.cli(0, "rollback", shop, "--env", "dev", "--reason", "back to before channels")
	require.Equal(t, "1.0.0", w.active("dev"))
	require.Equal(t, adopted, w.number(`SELECT generation FROM shop_dev__ledger.live WHERE output = 'channels'`), "what was adopted is live again")
	w.cli(0, "history", shop, "--env", "dev")
	w.cli(0, "checksum", shop, "--env", "dev", "--output", "channels")
}
