package warehouse_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse"
)

func TestPreflightNamesWhatASwapWouldBreak(t *testing.T) {
	t.Parallel()
	for rule, sql := range map[string]string{
		"trigger": `CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
			CREATE TRIGGER loud AFTER INSERT ON fct_orders FOR EACH STATEMENT EXECUTE FUNCTION noop()`,
		"rewrite-rule": `CREATE RULE quiet AS ON DELETE TO fct_orders DO INSTEAD NOTHING`,
		"parent-index": `CREATE INDEX whole ON fct_orders (channel)`,
		"parent-check": `ALTER TABLE fct_orders ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID`,
		"incoming-foreign-key": `ALTER TABLE fct_orders ADD PRIMARY KEY (order_id, order_date);
			CREATE TABLE refund (order_id bigint, order_date date, CONSTRAINT of_order FOREIGN KEY (order_id, order_date) REFERENCES fct_orders)`,
		"publication": `CREATE PUBLICATION outbound_SCHEMA FOR TABLE fct_orders`,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.orders("2026-01-01", 10, 1)
			b.build(t, shop(), "2026-01-01")
			observed, err := b.Observe(t.Context(), shop(), header())
			require.NoError(t, err)
			require.Empty(t, blocking(observed))
			_, err = b.db.Pool.Exec(t.Context(), strings.ReplaceAll(sql, "SCHEMA", b.db.Schema))
			require.NoError(t, err)
			if rule == "publication" {
				t.Cleanup(func() {
					_, _ = b.db.Pool.Exec(context.WithoutCancel(t.Context()), "DROP PUBLICATION IF EXISTS outbound_"+b.db.Schema)
				})
			}
			observed, err = b.Observe(t.Context(), shop(), header())
			require.NoError(t, err)
			var rules []string
			for _, p := range blocking(observed) {
				rules = append(rules, p.Rule)
				require.NotEmpty(t, p.Remedy)
				require.NotContains(t, p.Text+p.Remedy, "{}")
			}
			require.Contains(t, rules, rule)
		})
	}
}

func TestAPlanNamesTheTablesThatTheReleaseGivesUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, 1, "2026-01-01")
	p := mart("1.1.0")
	risks := func() (named []string) {
		observed, err := b.Observe(t.Context(), p, header())
		require.NoError(t, err)
		for _, problem := range observed.Problems {
			if problem.Rule == "output-given-up" {
				require.False(t, problem.Blocking)
				named = append(named, problem.Object)
			}
		}
		return named
	}
	require.Empty(t, risks())
	p.Outputs = slices.DeleteFunc(p.Outputs, func(o pipeline.Output) bool { return o.Table == "dim_channel" })
	require.Equal(t, []string{"dim_channel"}, risks())
}

func TestObserveFindsDependents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	b.build(t, shop(), "2026-01-01")
	_, err := b.db.Pool.Exec(t.Context(), `
		CREATE VIEW a AS SELECT order_id FROM fct_orders;
		CREATE VIEW b AS SELECT * FROM a;
		CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM fct_orders); END'`)
	require.NoError(t, err)
	observed, err := b.Observe(t.Context(), shop(), header())
	require.NoError(t, err)
	names := strings.Join(observed.Outputs[0].Dependents, " ")
	require.Len(t, observed.Outputs[0].Dependents, 3, names)
}

func TestASelectThatFailsIsAProblemOfThePlan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := shop()
	p.Outputs[0].SQL = "SELECT nothing FROM raw_orders"
	observed, err := b.Observe(t.Context(), p, header())
	require.NoError(t, err)
	require.Equal(t, "select", blocking(observed)[0].Rule)
}

// poorLogin is a warehouse under a role of its own, which nobody has granted anything.
func poorLogin(t *testing.T, db *testdb.DB) (w *warehouse.Warehouse, role string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), testdb.Superuser(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	role = "poor_" + db.Schema
	_, err = conn.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'poor'")
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = conn.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+role) })
	login, err := url.Parse(db.URL)
	require.NoError(t, err)
	login.User = url.UserPassword(role, "poor")
	w, err = warehouse.Open(t.Context(), warehouse.Options{URL: login.String(), Schema: db.Schema})
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w, role
}

func TestARoleThatMayNotIsToldTheGrant(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	w, role := poorLogin(t, db)
	err := w.EnsureLedger(t.Context())
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Contains(t, fault.HintOf(err), "CREATE SCHEMA")
	observed, err := w.Observe(t.Context(), shop(), header())
	require.NoError(t, err)
	var remedies string
	for _, p := range observed.Problems {
		remedies += p.Remedy + "\n"
	}
	require.Contains(t, remedies, "GRANT CREATE ON SCHEMA "+db.Schema+" TO "+role)
	require.Contains(t, remedies, "GRANT pg_read_all_stats TO")
}

func TestOpenShowsNoPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://u:s3cret@127.0.0.1:notaport/db", "postgres://u:s3cret@127.0.0.1:1/db"} {
		_, err := warehouse.Open(t.Context(), warehouse.Options{URL: url, Schema: "s"})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

func TestDiscoverFindsThePartitionsOfTheData(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scheme partition.Scheme
		column string
		want   []partition.Key
	}{
		"by day":  {partition.Scheme{By: partition.Day}, "ordered_at::date", []partition.Key{"2025-12-31", "2026-01-01", "2026-01-31"}},
		"by week": {partition.Scheme{By: partition.Week}, "ordered_at::date", []partition.Key{"2026-W01", "2026-W05"}},
		"by month in a zone, of instants": {
			partition.Scheme{By: partition.Month, Timezone: "Europe/Berlin"}, "ordered_at", []partition.Key{"2026-01", "2026-02"},
		},
		"by range": {partition.Scheme{By: partition.Range, Size: 10}, "order_id", []partition.Key{"-10", "0", "20"}},
		"by range, of numbers with many digits": {
			partition.Scheme{By: partition.Range, Size: 10},
			"order_id * 400000000000000001",
			[]partition.Key{"-1200000000000000010", "2000000000000000000", "8000000000000000020"},
		},
		"by range, to both ends of bigint": {
			partition.Scheme{By: partition.Range, Size: 100000},
			"(CASE order_id WHEN -3 THEN -9223372036854775808 WHEN 20 THEN 9223372036854775807 ELSE 0 END)::bigint",
			[]partition.Key{"-9223372036854800000", "0", "9223372036854700000"},
		},
		"by range, to both ends of integer": {
			partition.Scheme{By: partition.Range, Size: 100000},
			"(CASE order_id WHEN -3 THEN -2147483648 WHEN 20 THEN 2147483647 ELSE 0 END)::int",
			[]partition.Key{"-2147500000", "0", "2147400000"},
		},
		"by range, to both ends of smallint": {
			partition.Scheme{By: partition.Range, Size: 1000},
			"(CASE order_id WHEN -3 THEN -32768 WHEN 20 THEN 32767 ELSE 0 END)::smallint",
			[]partition.Key{"-33000", "0", "32000"},
		},
		"by year in a zone": {
			partition.Scheme{By: partition.Year, Timezone: "Europe/Berlin"}, "ordered_at", []partition.Key{"2026"},
		},
		"by day, before our era": {partition.Scheme{By: partition.Day}, "(ordered_at - interval '4000 years')::date", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.files["all.csv"] = "order_id,ordered_at,channel,amount\n-3,2025-12-31 23:30:00+00,web,1\n5,2026-01-01 00:00:00+00,web,1\n20,2026-01-31 23:30:00+00,web,1\n"
			p := shop()
			p.Loads[0].File = "all.csv"
			c.scheme.Column = "at"
			p.Partition, p.Outputs[0].Partition = c.scheme, c.scheme
			p.Outputs[0].SQL = "SELECT " + c.column + " AS at, order_id, amount FROM raw_orders WHERE " + c.column + " >= @partition_start AND " + c.column + " < @partition_end"
			keys, err := b.Discover(t.Context(), p, b.open)
			if c.want == nil {
				require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v: rows that have no partition are lost without a word", err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, keys)
		})
	}
}

// Where the data says which partitions there are, every row of the SELECT is in one of them, or a sentence says how many are not.
func TestDiscoverRefusesRowsThatAreInNoPartition(t *testing.T) {
	t.Parallel()
	day := partition.Scheme{By: partition.Day, Column: "at"}
	ten := partition.Scheme{By: partition.Range, Size: 10, Column: "at"}
	channels := partition.Scheme{By: partition.List, Column: "at", Values: partition.NewValues(partition.Value{Key: "store", Text: "store"}, partition.Value{Key: "web", Text: "web"})}
	const filter = " WHERE v >= @partition_start AND v < @partition_end"
	for name, c := range map[string]struct {
		scheme partition.Scheme
		kind   string // of v in the file
		values []string
		sql    string
		says   string // empty: the partition of 'good' is found
		good   partition.Key
	}{
		"NULL, returned":             {day, "date", []string{"2026-01-31", ""}, "SELECT v AS at FROM raw", "1 of 2 rows", ""},
		"NULL, filtered by the ends": {day, "date", []string{"2026-01-31", "", ""}, "SELECT v AS at FROM raw" + filter, "2 of 3 rows", ""},
		"NULL, left out on purpose":  {day, "date", []string{"2026-01-31", ""}, "SELECT v AS at FROM raw" + filter + " AND v IS NOT NULL", "", "2026-01-31"},
		"NULL, with the operands turned around": {
			day, "timestamptz", []string{"2026-01-31", ""}, "SELECT v AS at FROM raw WHERE @partition_start::timestamptz <= v AND @partition_end > v", "1 of 2 rows", "",
		},
		"infinity":            {day, "date", []string{"2026-01-31", "infinity"}, "SELECT v AS at FROM raw" + filter, "1 of 2 rows", ""},
		"minus infinity":      {day, "timestamptz", []string{"2026-01-31", "-infinity"}, "SELECT v AS at FROM raw" + filter, "1 of 2 rows", ""},
		"before our era":      {day, "text", []string{"2026-01-31", "0044-03-15 BC"}, "SELECT v::date AS at FROM raw WHERE v::date >= @partition_start AND v::date < @partition_end", "1 of 2 rows", ""},
		"after the year 9998": {day, "text", []string{"2026-01-31", "12345-01-31"}, "SELECT v::date AS at FROM raw WHERE v::date >= @partition_start AND v::date < @partition_end", "1 of 2 rows", ""},
		"no number":           {ten, "numeric", []string{"31", "NaN"}, "SELECT v AS at FROM raw" + filter, "1 of 2 rows", ""},
		"endless numbers":     {ten, "numeric", []string{"31", "Infinity", "-Infinity"}, "SELECT v AS at FROM raw" + filter, "2 of 3 rows", ""},
		"beyond bigint": {
			ten, "numeric", []string{"31", "9223372036854775810", "-9223372036854775811"}, "SELECT v AS at FROM raw" + filter, "2 of 3 rows", "",
		},
		"a value that no list declares":       {channels, "text", []string{"web", "phone"}, "SELECT v AS at FROM raw WHERE v = @partition_value", "1 of 2 rows", ""},
		"NULL, which no list declares":        {channels, "text", []string{"web", ""}, "SELECT v AS at FROM raw WHERE v IS NOT DISTINCT FROM @partition_value", "1 of 2 rows", ""},
		"a list of all that there is":         {channels, "text", []string{"web", "web"}, "SELECT v AS at FROM raw", "", "web"},
		"a value that is left out on purpose": {channels, "text", []string{"web", "phone"}, "SELECT v AS at FROM raw WHERE v = @partition_value AND v <> 'phone'", "", "web"},
		"made of a placeholder":               {day, "date", []string{"2026-01-31"}, "SELECT @partition_start::date AS at FROM raw", "1 of 1 rows", ""},
		"equal to a placeholder": {
			day, "date", []string{"2026-01-31"}, "SELECT v AS at FROM raw WHERE v::text = @partition", "1 of 1 rows", "",
		},
		"a window that looks back": {
			day, "date",
			[]string{"2026-01-31", "2026-01-31"},
			"WITH w AS (SELECT v, count(*) OVER (ORDER BY v) AS n FROM raw WHERE v >= @partition_start::date - 6 AND v < @partition_end) SELECT v AS at, n FROM w WHERE v >= @partition_start",
			"", "2026-01-31",
		},
		"everything in its place": {ten, "bigint", []string{"31", "39"}, "SELECT v AS at FROM raw" + filter, "", "30"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.files["all.csv"] = "id,v\n"
			for i, v := range c.values {
				b.files["all.csv"] += fmt.Sprintf("%d,%s\n", i, v)
			}
			p := shop()
			p.Loads = []pipeline.Load{{Name: "raw", File: "all.csv", Columns: []pipeline.Column{{Name: "id", Type: "int"}, {Name: "v", Type: c.kind}}}}
			p.Partition, p.Outputs[0].Partition, p.Outputs[0].SQL = c.scheme, c.scheme, c.sql
			keys, err := b.Discover(t.Context(), p, b.open)
			if c.says == "" {
				require.NoError(t, err)
				require.Equal(t, []partition.Key{c.good}, keys)
				return
			}
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v: rows that have no partition are lost without a word", err)
			require.ErrorContains(t, err, c.says+" are in no partition: column at")
			require.ErrorContains(t, err, p.Outputs[0].SQLFile)
			for _, v := range c.values[1:] {
				require.True(t, v == "" || v == "infinity" || !strings.Contains(err.Error(), v), "%v", err)
			}
		})
	}
}

func TestWatchReads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	output := shop().Outputs[0]
	_, ok, err := b.Newest(t.Context(), output)
	require.NoError(t, err)
	require.False(t, ok)
	b.orders("2026-01-01", 10, 1)
	b.publish(t, swap(b.build(t, shop(), "2026-01-01").Generation, 0))
	at, ok, err := b.Newest(t.Context(), output)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), at.UTC())
	metric := check.Metric{Name: "revenue", Severity: check.Fail, Min: new(float64), SQL: "SELECT sum(amount) FROM fct_orders"}
	value, err := b.Measure(t.Context(), metric)
	require.NoError(t, err)
	require.InDelta(t, 15.0, value.Value, 0.001)
	for _, sql := range []string{"SELECT NULL::int", "SELECT nothing", "SELECT setval('nowhere', 1)", "SELECT amount FROM fct_orders"} {
		metric.SQL = sql
		_, err = b.Measure(t.Context(), metric)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%s: %v", sql, err)
	}
}

func TestHistoryTellsWhatWasPublishedAndActivated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	history, err := b.History(t.Context(), "shop", 10)
	require.NoError(t, err)
	require.Equal(t, "1.1.0", history.Active.Release.Version)
	require.NotNil(t, history.Oldest)
	var kinds []string
	for _, e := range history.Events {
		kinds = append(kinds, e.Kind+" "+e.Release.Version)
		require.True(t, strings.HasPrefix(e.Workflow, "deploy/shop/"), "%+v", e)
	}
	require.ElementsMatch(t, []string{"publish 1.0.0", "activate 1.0.0", "publish 1.1.0", "activate 1.1.0"}, kinds)
	require.Contains(t, history.Events[0].Release.Version, "1.1.0", "the newest comes first")
	generations, err := b.Generations(t.Context(), "fct_orders", "2026-01-01")
	require.NoError(t, err)
	require.Equal(t, []generation.State{generation.Live, generation.Retired}, []generation.State{generations[0].State, generations[1].State})
	rights, err := b.Rights(t.Context())
	require.NoError(t, err)
	for _, line := range rights {
		require.True(t, line.OK, "%+v", line)
	}
}
