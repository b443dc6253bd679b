package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

const (
	shownSales = `table: sales
why: an old program knows the amount by another name
operations:
  - create_view: {name: sales_v1, columns: [id, "amount AS total"], where: "amount > 0"}
  - sql:
      name: by_lower_channel
      act: ["CREATE INDEX CONCURRENTLY sales_by_lower_channel ON @table (lower(chan))"]
      undo: ["DROP INDEX CONCURRENTLY @schema.sales_by_lower_channel"]
      probe: "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = @table_oid AND c.relname = 'sales_by_lower_channel')"
`
	droppedSales = `table: sales
why: nobody sells any more
operations:
  - drop_table: {}
consumers:
  - {name: bi, must_ack: true}
deprecate: {window: 1s}
`
)

// A table is hidden when its consumers are ready and nothing reads it, can be brought back until its end is approved, and is gone then.
func TestATableGoesOnlyWhenNobodyNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	_, err := w.db.Exec(t.Context(), `
		CREATE SCHEMA shop_dev;
		CREATE TABLE shop_dev.sales (id bigint PRIMARY KEY, amount int NOT NULL, chan text NOT NULL DEFAULT 'web');
		INSERT INTO shop_dev.sales SELECT i, i % 20 FROM generate_series(1, 1000) AS i`)
	require.NoError(t, err)
	folder := w.folder("1.0.0")
	w.write(folder+"/migrations/0001_shown.yaml", shownSales)
	w.write(folder+"/migrations/0002_dropped.yaml", droppedSales)
	w.cli(0, "build", folder)
	w.cli(0, "migrate", "start", "shop@1.0.0", "0001", "--env", "dev", "--reason", "an old program")
	require.Equal(t, 950, w.number(`SELECT count(total) FROM shop_dev.sales_v1`))
	require.Equal(t, 1, w.number(`SELECT count(*) FROM pg_indexes WHERE indexname = 'sales_by_lower_channel' AND schemaname = 'shop_dev'`))

	id := workflows.MigrationID("shop", "dev", "0002_dropped")
	begin := func() {
		w.cli(0, "migrate", "start", "shop@1.0.0", "0002", "--env", "dev", "--reason", "nobody sells any more", "--detach")
		w.cli(0, "migrate", "ack", id, "--consumer", "bi", "--as", "bob")
	}
	atContract := func() {
		w.await("the contract gate", func() bool {
			g, open := w.status(id).Open()
			return open && g.Name == "contract-dev"
		})
		require.Equal(t, 1, w.number(`SELECT count(*) FROM pg_class WHERE relnamespace = 'shop_dev'::regnamespace AND relname = 'sales__dropped_0002'`))
		require.Zero(t, w.number(`SELECT count(*) FROM pg_class WHERE relnamespace = 'shop_dev'::regnamespace AND relname = 'sales'`))
	}
	begin()
	w.await("that it waits for the view", func() bool {
		return strings.Contains(w.cli(0, "status", id).out, "the view shop_dev.sales_v1 reads sales")
	})
	require.Equal(t, 1000, w.number(`SELECT count(*) FROM shop_dev.sales`), "it is there for whoever needs it")
	_, err = w.db.Exec(t.Context(), `DROP VIEW shop_dev.sales_v1`)
	require.NoError(t, err)
	atContract()
	require.Contains(t, w.cli(3, "migrate", "rollback", id, "--reason", "somebody sells after all").out, "rolled back")
	require.Equal(t, 1000, w.number(`SELECT count(*) FROM shop_dev.sales`))

	begin()
	atContract()
	w.cli(0, "approve", id, "--reason", "nobody missed it")
	require.Equal(t, workflows.StageDone, w.tbOver(id).Stage)
	require.Zero(t, w.number(`SELECT count(*) FROM pg_class WHERE relnamespace = 'shop_dev'::regnamespace AND relname LIKE 'sales%'`))
}
