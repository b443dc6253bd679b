package warehouse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse"
)

// crm is a database beside the warehouse, with orders of every day of January.
type crm struct {
	connect source.Connect
	pool    *pgxpool.Pool
}

func newCRM(t *testing.T) *crm {
	t.Helper()
	at, pool := testdb.Database(t)
	opened, err := postgres.Open(t.Context(), postgres.Options{URL: at, Object: "source crm", Application: "drawbridge/test"})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	c := &crm{pool: pool, connect: func(ctx context.Context, _, application string, f func(*postgres.Session) error) error {
		return opened.In("source crm", "public").Apart(ctx, application, f)
	}}
	c.exec(t, `CREATE TABLE orders (order_id bigint, ordered_at timestamptz, channel text, amount numeric(12,2))`)
	c.exec(t, `INSERT INTO orders
		SELECT d * 100 + i, '2026-01-01 10:00Z'::timestamptz + d * interval '1 day', 'web', 1.50
		FROM generate_series(0, 30) d, generate_series(1, 10) i`)
	return c
}

func (c *crm) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := c.pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// extracted is the shop whose orders are read from another database.
func extracted(sql string) *pipeline.Pipeline {
	p := shop()
	p.Loads = []pipeline.Load{{Name: "raw_orders", File: "sql/raw_orders.sql at crm", Extract: &pipeline.Extract{From: "crm", SQLFile: "sql/raw_orders.sql", SQL: sql, Timeout: time.Minute}}}
	return p
}

const (
	ordersOfADay = "SELECT * FROM orders WHERE ordered_at >= @partition_start AND ordered_at < @partition_end"
	allOrders    = "SELECT * FROM orders"
)

func (b *bundle) extractSpec(c *crm, p *pipeline.Pipeline, key partition.Key) warehouse.BuildSpec {
	spec := b.spec(p, key)
	spec.Connect = c.connect
	return spec
}

// rowsOf are the rows that readers see, or those of a source, in a form that compares.
func rowsOf(t *testing.T, pool *pgxpool.Pool, from string) (rows string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), fmt.Sprintf(
		"SELECT string_agg(order_id || ' ' || amount || ' ' || channel, ',' ORDER BY order_id) FROM %s", from)).Scan(&rows))
	return rows
}

func TestAnOutputIsBuiltFromAnotherDatabase(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"of its partition":      ordersOfADay,
		"of all partitions":     allOrders,
		"as text":               "SELECT *, 1::money AS price FROM orders",
		"of a partition, as so": "SELECT *, 1::money AS price FROM orders WHERE ordered_at::date = @partition",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := setup(t), newCRM(t)
			p := extracted(sql)
			built, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-02"))
			require.NoError(t, err)
			require.EqualValues(t, 10, built[0].Generation.Rows)
			loaded := int64(10)
			if !p.Loads[0].Partitioned() {
				loaded = 310
			}
			require.Equal(t, loaded, built[0].LoadedRows)
			b.expand(t, p)
			b.publish(t, swap(built[0].Generation, 0))
			require.Equal(t, rowsOf(t, c.pool, "orders WHERE ordered_at::date = '2026-01-02'"), rowsOf(t, b.db.Pool, "fct_orders"))
		})
	}
}

// Values of all types are at the warehouse what they are at the source: in the binary form, and in that of text.
func TestValuesComeOverAsTheyAre(t *testing.T) {
	t.Parallel()
	const every = `
		SELECT 1::bigint AS order_id, '2026-01-02 10:00Z'::timestamptz AS ordered_at, 'web' AS channel, 1::numeric AS amount,
		       true AS c1, (-32768)::smallint AS c2, 16777217::int AS c3, 'NaN'::float4 AS c4, 0.1::float8 AS c5, 'Infinity'::numeric AS c6,
		       12345678901234567890.0123456789::numeric AS c7, E'a\tb\n\\.\n"ö"'::text AS c8, 'x'::varchar(5) AS c9, 'y'::char(5) AS c10, '\x00ff'::bytea AS c11,
		       '4713-01-01 BC'::date AS c12, 'infinity'::date AS c13, '24:00'::time AS c14, '10:00+05:30'::timetz AS c15, '2026-03-29 02:30'::timestamp(0) AS c16,
		       '0044-03-15 12:00:00.000001Z BC'::timestamptz AS c17, '1 mon -2 days 03:04:05.6'::interval AS c18, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS c19,
		       '{"b": 1, "a": null}'::json AS c20, '{"b": 1, "a": null}'::jsonb AS c21, '10.0.0.1/8'::inet AS c22, '10.0.0.0/8'::cidr AS c23,
		       '08:00:2b:01:02:03'::macaddr AS c24, B'101'::bit(3) AS c25, B'1011'::varbit AS c26, '{{1,NULL},{3,4}}'::numeric(4,1)[] AS c27,
		       '{"a,b",NULL,""}'::text[] AS c28, NULL::int AS c29, ''::text AS c30, '\N'::text AS c31`
	for name, more := range map[string]string{"in binary": "", "in text": ", '[1,2)'::int4range AS c32"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := setup(t), newCRM(t)
			c.exec(t, "CREATE TABLE every AS "+every+more)
			p := extracted("SELECT * FROM every")
			p.Outputs[0].SQL = "SELECT raw_orders.*, ordered_at::date AS order_date FROM raw_orders WHERE ordered_at >= @partition_start AND ordered_at < @partition_end"
			built, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-02"))
			require.NoError(t, err)
			b.expand(t, p)
			b.publish(t, swap(built[0].Generation, 0))
			var want, got, types, have string
			require.NoError(t, c.pool.QueryRow(t.Context(), "SELECT e::text FROM every e").Scan(&want))
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT o::text FROM (SELECT o.* FROM fct_orders o) o").Scan(&got))
			require.Equal(t, strings.TrimSuffix(want, ")")+",2026-01-02)", got)
			list := "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND attname <> 'order_date'"
			require.NoError(t, c.pool.QueryRow(t.Context(), list, "every").Scan(&types))
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), list, "fct_orders").Scan(&have))
			require.Equal(t, types, have)
		})
	}
}

// What is read without bounds is read once for all builds of a workflow, whatever becomes of the source meanwhile.
func TestARelationWithoutBoundsIsReadOnce(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	p := extracted(allOrders)
	first, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-02"))
	require.NoError(t, err)
	c.exec(t, "DELETE FROM orders")
	second, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-03"))
	require.NoError(t, err)
	require.EqualValues(t, 10, second[0].Generation.Rows)
	require.Equal(t, first[0].Generation.Inputs, second[0].Generation.Inputs)
	require.NotEmpty(t, first[0].Generation.Inputs)
}

// A candidate and the active release may say different things in a file of the same name, and read different sources.
func TestReleasesThatReadDifferentlyShareNoRelation(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	for i, p := range []*pipeline.Pipeline{extracted(allOrders), extracted(allOrders + " WHERE order_id <> 101"), extracted(allOrders)} {
		if i == 2 {
			p.Config.SourceDB = "other"
			c.exec(t, "DELETE FROM orders WHERE order_id IN (101, 102)")
		}
		built, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-02"))
		require.NoError(t, err)
		require.EqualValues(t, 10-i, built[0].Generation.Rows)
	}
}

// A crash of the server empties what was read once. It is read again, and where the source gives other rows by then that is said: half of
// a deployment from each would be neither.
func TestARelationThatIsLostIsReadAgainOrRefused(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	p := extracted(allOrders)
	_, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-02"))
	require.NoError(t, err)
	lose := func() {
		var landing string
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), fmt.Sprintf("SELECT relid::regclass::text FROM (SELECT oid AS relid FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r' AND relnamespace = '%s__data'::regnamespace ORDER BY oid DESC LIMIT 1) AS l", b.db.Schema)).Scan(&landing))
		b.db.Exec(t, "TRUNCATE "+landing)
	}
	lose()
	built, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-03"))
	require.NoError(t, err)
	require.EqualValues(t, 10, built[0].Generation.Rows)
	lose()
	c.exec(t, "DELETE FROM orders WHERE order_id = 101")
	_, err = b.Build(t.Context(), b.extractSpec(c, p, "2026-01-04"))
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "sql/raw_orders.sql at crm: the rows at the source have changed")
}

// The digest of inputs says whether a later build would read the same.
func TestRowsThatAreTheSameAtTheSourceAreTheSameInputs(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	p := extracted(ordersOfADay)
	inputs := func() string {
		built, err := b.Build(t.Context(), b.extractSpec(c, p, "2026-01-02"))
		require.NoError(t, err)
		return built[0].Generation.Inputs
	}
	first := inputs()
	require.NotEmpty(t, first)
	c.exec(t, "UPDATE orders SET amount = 2 WHERE ordered_at::date = '2026-01-03'")
	require.Equal(t, first, inputs(), "what is in another partition is another's")
	c.exec(t, "CREATE TABLE turned AS SELECT * FROM orders ORDER BY order_id DESC; DROP TABLE orders; ALTER TABLE turned RENAME TO orders")
	c.exec(t, "ALTER TABLE orders ALTER amount TYPE numeric(12,2)")
	require.Equal(t, first, inputs(), "their order is no part of it")
	c.exec(t, "UPDATE orders SET amount = 2 WHERE order_id = 101")
	require.NotEqual(t, first, inputs())
}

func TestNeighboursAreBuiltInABatchFromAnotherDatabase(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	p := extracted(allOrders)
	p.Batch = 3
	built, err := b.BuildBatch(t.Context(), b.extractSpec(c, p, "2026-01-02"), []partition.Key{"2026-01-02", "2026-01-03", "2026-01-04"})
	require.NoError(t, err)
	require.Len(t, built, 3)
	for _, one := range built {
		require.EqualValues(t, 10, one.Generation.Rows)
	}
}

// Which partitions there are, the data says: nothing is named by a file.
func TestPartitionsAreFoundInAnotherDatabase(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	c.exec(t, "DELETE FROM orders WHERE ordered_at::date NOT IN ('2026-01-05', '2026-01-09')")
	for _, sql := range []string{ordersOfADay, allOrders} {
		keys, err := b.Discover(t.Context(), extracted(sql), b.open, c.connect)
		require.NoError(t, err)
		require.Equal(t, []partition.Key{"2026-01-05", "2026-01-09"}, keys)
	}
}

// Where an extract says by which column, the source is asked, and gives counts and no rows.
func TestASourceIsAskedWhichPartitionsThereAre(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	c.exec(t, "DELETE FROM orders WHERE ordered_at::date NOT IN ('2026-01-05', '2026-01-09'); INSERT INTO orders VALUES (9000, '2026-01-09 23:30Z', 'web', 1)")
	p := extracted(ordersOfADay + " AND (SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND pid = pg_backend_pid()) = 0")
	p.Loads[0].Extract.Column = "ordered_at"
	keys, err := b.Discover(t.Context(), p, b.open, c.connect)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-05", "2026-01-09"}, keys)
	p.Partition.Timezone = "Europe/Berlin"
	keys, err = b.Discover(t.Context(), p, b.open, c.connect)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-05", "2026-01-09", "2026-01-10"}, keys)

	c.exec(t, "INSERT INTO orders VALUES (9001, NULL, 'web', 1), (9002, 'infinity', 'web', 1)")
	p.Loads[0].Extract.SQL = allOrders
	_, err = b.Discover(t.Context(), p, b.open, c.connect)
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "2 of 23 rows are in no partition")
	p.Loads[0].Extract.Column = "orderd_at"
	_, err = b.Discover(t.Context(), p, b.open, c.connect)
	require.ErrorContains(t, err, "the SELECT does not return column orderd_at")
}

// A table that a type or a value does not fit is never half filled, and nothing of a row is said.
func TestWhatDoesNotComeOverIsAClearError(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	c.exec(t, "CREATE TYPE mood AS ENUM ('hunter2'); ALTER TABLE orders ADD mood mood DEFAULT 'hunter2'")
	_, err := b.Build(t.Context(), b.extractSpec(c, extracted(allOrders), "2026-01-02"))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, `type "mood" does not exist`)
	require.NotContains(t, err.Error(), "hunter2")

	b.db.Exec(t, "CREATE TYPE mood AS ENUM ('other')")
	_, err = b.Build(t.Context(), b.extractSpec(c, extracted(allOrders), "2026-01-02"))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "sql/raw_orders.sql at crm")
	require.NotContains(t, err.Error(), "hunter2")

	b.db.Exec(t, "ALTER TYPE mood ADD VALUE 'hunter2'")
	built, err := b.Build(t.Context(), b.extractSpec(c, extracted(allOrders), "2026-01-02"))
	require.NoError(t, err)
	require.EqualValues(t, 10, built[0].Generation.Rows)

	_, err = b.Build(t.Context(), b.extractSpec(c, extracted("SELECT *, 1 / (order_id - 101) AS n FROM orders"), "2026-01-02"))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "extract sql/raw_orders.sql at crm: division by zero")
}

// The columns of an extract are known before a row of it is read: that is what SELECTs are held against, and unit tests run on.
func TestUnitTestsGiveRowsInThePlaceOfAnExtract(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	p := extracted(ordersOfADay)
	p.Tests = []pipeline.UnitTest{{
		File: "tests/orders.yaml", Name: "orders come over", Partition: "2026-01-02",
		Given:  map[string][]pipeline.Row{"raw_orders": {{"order_id": int64(1), "ordered_at": "2026-01-02 10:00Z", "channel": "web", "amount": 1.5}}},
		Expect: map[string][]pipeline.Row{"fct_orders": {{"order_id": int64(1), "amount": "1.50"}}},
	}}
	columns, err := c.connect.Describe(t.Context(), p.Loads[0], "drawbridge/test")
	require.NoError(t, err)
	findings, err := b.Validate(t.Context(), p.With(map[string][]pipeline.Column{"raw_orders": columns}), nil)
	require.NoError(t, err)
	require.NotEmpty(t, findings)
	for _, f := range findings {
		require.True(t, f.OK, "%s: %s", f.Subject, f.Text)
	}
	described, err := b.Describe(t.Context(), p.With(map[string][]pipeline.Column{"raw_orders": columns}), p.Outputs[0], nil)
	require.NoError(t, err)
	require.Equal(t, "numeric(12,2)", described[3].Type)
}

// In a list no value of a placeholder leaves nothing out: its comparisons are loosened where the source is asked.
func TestValuesOfAListAreBoundAndFoundAtTheSource(t *testing.T) {
	t.Parallel()
	b, c := setup(t), newCRM(t)
	c.exec(t, "UPDATE orders SET channel = 'store' WHERE order_id % 2 = 0; UPDATE orders SET channel = NULL WHERE order_id = 1")
	p := extracted("SELECT * FROM orders WHERE channel IS NOT DISTINCT FROM @partition_value")
	p.Partition = partition.Scheme{By: partition.List, Column: "channel", Values: partition.NewValues(
		partition.Value{Text: "web", Key: "web"}, partition.Value{Text: "store", Key: "store"}, partition.Value{Null: true, Key: "null"})}
	p.Outputs[0].Partition, p.Outputs[0].SQL = p.Partition, "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
	for _, column := range []string{"channel", ""} {
		p.Loads[0].Extract.Column = column
		keys, err := b.Discover(t.Context(), p, b.open, c.connect)
		require.NoError(t, err)
		require.ElementsMatch(t, []partition.Key{"web", "store", "null"}, keys)
	}
	for key, rows := range map[partition.Key]int64{"web": 154, "store": 155, "null": 1} {
		built, err := b.Build(t.Context(), b.extractSpec(c, p, key))
		require.NoError(t, err)
		require.Equal(t, rows, built[0].Generation.Rows)
	}
}
