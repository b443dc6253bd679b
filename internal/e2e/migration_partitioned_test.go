package e2e_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// A required column comes to a partitioned table while rows are written, moved between partitions and read, and while partitions come.
func TestARequiredColumnComesToAPartitionedTableThatOthersWriteAndRead(t *testing.T) {
	t.Parallel()
	const rows = 12_000
	w := newWorld(t)
	_, err := w.db.Exec(t.Context(), `
		CREATE SCHEMA shop_dev;
		CREATE TABLE shop_dev.sales (id bigint, at date, region text, amount int NOT NULL, PRIMARY KEY (id, at, region)) PARTITION BY RANGE (at);
		CREATE TABLE shop_dev.sales_jan PARTITION OF shop_dev.sales FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
		CREATE TABLE shop_dev.sales_feb PARTITION OF shop_dev.sales FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (region);
		CREATE TABLE shop_dev.sales_feb_eu PARTITION OF shop_dev.sales_feb FOR VALUES IN ('eu');
		CREATE TABLE shop_dev.sales_feb_rest PARTITION OF shop_dev.sales_feb DEFAULT;
		CREATE TABLE shop_dev.sales_rest PARTITION OF shop_dev.sales DEFAULT;
		INSERT INTO shop_dev.sales SELECT i, '2026-01-01'::date + i % 90, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, i FROM generate_series(1, 12000) AS i;
		ANALYZE shop_dev.sales`)
	require.NoError(t, err)
	folder := w.folder("1.0.0")
	w.write(folder+"/migrations/0001_channel.yaml", `table: sales
why: reports need the channel
operations:
  - add_column: {column: channel, type: text, required: true, up: "CASE WHEN region = 'eu' THEN 'shop ' || amount ELSE 'web' END"}
  - create_index: {name: sales_channel, columns: [channel, at]}
consumers:
  - {name: bi, must_ack: true}
deprecate: {window: 1s}
`)
	w.cli(0, "build", folder)
	w.worker("first", "--env", "dev", "--workflows")
	id := migratedID()

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	defer stop()
	var written, read atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, 4)
	session := func(count *atomic.Int64, do func(i int64) error) {
		wg.Go(func() {
			for i := int64(0); ctx.Err() == nil; i++ {
				if err := do(i); err != nil {
					failed <- err
					return
				}
				count.Add(1)
			}
		})
	}
	for n := range int64(2) {
		session(&written, func(i int64) error {
			_, err := w.db.Exec(context.WithoutCancel(ctx), `UPDATE shop_dev.sales SET at = '2026-01-01'::date + ($1::int * 13) % 120, region = CASE WHEN $1 % 3 = 0 THEN 'eu' ELSE 'us' END, amount = $1 WHERE id = $2`,
				i, (2*i*7+n)%rows+1)
			return err
		})
		session(&read, func(i int64) error {
			var n int64
			return w.db.QueryRow(context.WithoutCancel(ctx), `SELECT count(amount) FROM shop_dev.sales WHERE id = $1`, i%rows+1).Scan(&n)
		})
	}
	tables := []string{"sales", "sales_feb", "sales_jan", "sales_feb_eu", "sales_feb_rest", "sales_rest"}
	shapes := func() (all []string) {
		for _, table := range tables {
			all = append(all, w.shape("shop_dev", table)...)
		}
		return append(all, w.texts(`SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = ANY($1::text[]::regclass[]) ORDER BY 1`,
			[]string{"shop_dev.sales", "shop_dev.sales_jan", "shop_dev.sales_feb_eu"})...)
	}
	untouched := shapes()
	atContract := func() {
		w.cli(0, "migrate", "start", "shop@1.0.0", "0001", "--env", "dev", "--reason", "reports", "--detach")
		w.await("the contract gate", func() bool {
			g, open := w.status(id).Open()
			return open && g.Name == "contract-dev"
		})
	}
	w.await("the worker to be found", func() bool { return w.try("migrate", "plan", "shop@1.0.0", "0001", "--env", "dev").code == 0 })
	atContract()
	require.Equal(t, rows, w.number(`SELECT count(channel) FROM shop_dev.sales`))
	require.Contains(t, w.cli(3, "migrate", "rollback", id, "--reason", "not yet").out, "rolled back")
	require.Equal(t, untouched, shapes(), "nothing is left in any partition")
	atContract()
	_, err = w.db.Exec(t.Context(), `CREATE TABLE shop_dev.sales_may PARTITION OF shop_dev.sales FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')`)
	require.NoError(t, err)
	_, err = w.db.Exec(t.Context(), `INSERT INTO shop_dev.sales (id, at, region, amount) VALUES (50000, '2026-05-05', 'eu', 5)`)
	require.NoError(t, err, "a writer that knows nothing of it, into a partition that came later")
	before := written.Load()
	w.await("more writes", func() bool { return written.Load() > before+50 })
	stop()
	wg.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
	require.Positive(t, read.Load())
	require.Equal(t, rows+1, w.number(`SELECT count(channel) FROM shop_dev.sales`))
	w.cli(0, "migrate", "ack", id, "--consumer", "bi", "--as", "bob")
	w.cli(0, "approve", id, "--reason", "bi is ready")
	require.Equal(t, workflows.StageDone, w.tbOver(id).Stage)
	for _, table := range append(tables, "sales_may") {
		shape := w.shape("shop_dev", table)
		require.Contains(t, shape, "column channel text t ", table)
		for _, line := range shape {
			require.NotContains(t, line, "trigger", table)
		}
	}
	require.Equal(t, []string{"true"}, w.texts(`SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'shop_dev.sales_channel'::regclass`))
}
