package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

const keyedSales = `table: sales
why: sales are of shops, and each has a number
operations:
  - add_foreign_key: {name: sales_shop, columns: [shop], references: shops, key: [id], on_delete: restrict}
  - add_unique: {name: sales_number, columns: [number]}
  - create_index: {name: sales_of_shop, columns: [shop]}
  - add_enum_value: {type: channel, value: phone, before: store}
`

// Rows that no key would take stop a migration with counts; mended, it goes on, and whoever holds only the other table is named. A value of
// an enum comes at contract, which asks.
func TestKeysAreHeldToWhatIsThereAndAValueComesAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\n", "1s")
	w.worker("first", "--env", "dev", "--workflows")
	release := w.sales(keyedSales)
	for _, sql := range []string{
		`CREATE TYPE shop_dev.channel AS ENUM ('web', 'store')`,
		`CREATE TABLE shop_dev.shops (id int PRIMARY KEY, channel shop_dev.channel)`,
		`INSERT INTO shop_dev.shops SELECT generate_series(0, 9)`,
		`ALTER TABLE shop_dev.sales ADD shop int, ADD number int, ADD channel shop_dev.channel`,
		`UPDATE shop_dev.sales SET shop = id % 10, number = id`,
		`INSERT INTO shop_dev.sales (id, amount, shop, number) VALUES (90001, 1, 77, 90001), (90002, 1, 7, 90002), (90003, 1, 7, 90002)`,
	} {
		_, err := w.db.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	id := migratedID()
	said := w.cli(0, "migrate", "plan", release, "--env", "dev").out
	for _, words := range []string{"switch-foreign-key-sales_shop", "SHARE ROW EXCLUSIVE: writers wait for a moment, of shops too", "The type channel is not this table's alone: channel of shops.", "every row with shop leads to a row of shops"} {
		require.Contains(t, said, words)
	}
	w.cli(0, "migrate", "start", release, "0001", "--env", "dev", "--reason", "they belong together", "--detach")
	asks := func(name string) (g gate.Gate) {
		w.await("the gate "+name, func() (open bool) {
			g, open = w.status(id).Open()
			return open && g.Name == name
		})
		return g
	}
	for _, e := range asks("verify-dev").Verdict.Evidence {
		require.Equal(t, gate.Fail, e.Outcome, "%v", e)
	}
	_, err := w.db.Exec(t.Context(), `DELETE FROM shop_dev.sales WHERE id > 90000`)
	require.NoError(t, err)
	holder := w.session(`BEGIN; UPDATE shop_dev.shops SET channel = 'web' WHERE id = 1`)
	w.cli(0, "decide", id, "--choice", "retry", "--reason", "they are gone")
	blocked := asks("switch-foreign-key-sales_shop-dev").Verdict.Evidence
	require.NotEmpty(t, blocked)
	require.Contains(t, blocked[0].Limit, "shops", "who holds the other table is named: %v", blocked)
	require.NoError(t, holder.Close(t.Context()))
	w.cli(0, "decide", id, "--choice", "retry", "--reason", "they have gone")
	asks("contract-dev")
	require.Equal(t, "2", w.texts(`SELECT count(*)::text FROM pg_constraint WHERE conrelid = 'shop_dev.sales'::regclass AND contype IN ('f', 'u') AND convalidated`)[0])
	require.Equal(t, []string{"web", "store"}, w.texts(`SELECT enumlabel::text FROM pg_enum WHERE enumtypid = 'shop_dev.channel'::regtype ORDER BY enumsortorder`))
	w.cli(0, "approve", id, "--reason", "readers are ready")
	require.Equal(t, workflows.StageDone, w.tbOver(id).Stage)
	require.Equal(t, []string{"web", "phone", "store"}, w.texts(`SELECT enumlabel::text FROM pg_enum WHERE enumtypid = 'shop_dev.channel'::regtype ORDER BY enumsortorder`))
}
