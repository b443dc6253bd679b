package warehouse_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// visits is a pipeline of one file for all partitions, cut by column at, which is v of the file as a type: files hold less than types do.
func visits(s partition.Scheme, columnType, where string) *pipeline.Pipeline {
	s.Column = "at"
	return &pipeline.Pipeline{
		Name: "shop", Version: "1.0.0", Partition: s, Config: pipeline.Config{Environment: prod},
		Loads: []pipeline.Load{{Name: "raw", File: "all.csv", Format: "csv", Columns: []pipeline.Column{{Name: "amount", Type: "int"}, {Name: "v", Type: "text"}}}},
		Outputs: []pipeline.Output{{
			Table: "fct_orders", Partition: s, SQLFile: "sql/fct_orders.sql", SQL: "SELECT amount, v AS at FROM (SELECT amount, v::" + columnType + " AS v FROM raw) AS typed" + where, Key: []string{"amount"},
			Checks: []check.Check{{Name: "row_count", Kind: check.RowCount, Severity: check.Fail, Min: new(float64)}},
		}},
	}
}

func (b *bundle) visited(values ...string) {
	b.files["all.csv"] = "amount,v\n"
	for i, v := range values {
		b.files["all.csv"] += fmt.Sprintf("%d,%s\n", i+1, v)
	}
}

// goLive builds and publishes partitions one after another.
func (b *bundle) goLive(t *testing.T, p *pipeline.Pipeline, keys ...partition.Key) {
	t.Helper()
	for _, key := range keys {
		b.publish(t, swap(b.build(t, p, key).Generation, 0))
	}
}

// parts are the rows of each partition of the table, as readers see them.
func (b *bundle) parts(t *testing.T) string {
	t.Helper()
	var text string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(part, ' ' ORDER BY part), '') FROM (
		SELECT string_agg(amount::text, ',' ORDER BY amount) AS part FROM fct_orders GROUP BY tableoid) AS parts`).Scan(&text))
	return text
}

const equal, same = " WHERE v = @partition_value", " WHERE v IS NOT DISTINCT FROM @partition_value"

func TestAListIsCutByItsValuesInEveryType(t *testing.T) {
	t.Parallel()
	for columnType, values := range map[string][2]string{
		"text": {"web", "a 'shop' \\ or two"}, "varchar(8)": {"web", "store"}, "char(5)": {"web", "store"}, "boolean": {"true", "false"},
		"smallint": {"1", "-32768"}, "int": {"1", "2147483647"}, "bigint": {"1", "9223372036854775807"}, "numeric(4,2)": {"1.00", "-2.50"},
		"uuid": {"0192f0c1-8f6e-7c3a-9a51-0e5d6f7a8b9c", "0192f0c1-8f6e-7c3a-9a51-0e5d6f7a8b9d"}, "date": {"2026-01-31", "0044-03-15 BC"},
	} {
		t.Run(columnType, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := visits(partition.Scheme{By: partition.List, Values: partition.NewValues(
				partition.Value{Key: "one", Text: values[0]}, partition.Value{Key: "two", Text: values[1]}, partition.Value{Key: "none", Null: true})}, columnType, same)
			b.visited(values[0], values[1], "", values[0])
			keys, err := b.Discover(t.Context(), p, b.open)
			require.NoError(t, err)
			require.Equal(t, []partition.Key{"one", "two", "none"}, keys)
			b.goLive(t, p, keys...)
			require.Equal(t, "1,4 2 3", b.parts(t))
		})
	}
}

// What is attached was proved when it was built: readers wait for no scan.
func TestPartitionsOfEveryGrainAreAttachedWithoutAScan(t *testing.T) {
	t.Parallel()
	list := partition.NewValues(partition.Value{Key: "web", Text: "web"}, partition.Value{Key: "none", Null: true})
	for name, c := range map[string]struct {
		scheme     partition.Scheme
		columnType string
		key        partition.Key
		value      string
	}{
		"list":          {partition.Scheme{By: partition.List, Values: list}, "text", "web", "web"},
		"list of NULL":  {partition.Scheme{By: partition.List, Values: list}, "text", "none", ""},
		"year":          {partition.Scheme{By: partition.Year, Timezone: "Europe/Berlin"}, "timestamptz", "2026", "2026-06-01 00:00:00+00"},
		"end of int":    {partition.Scheme{By: partition.Range, Size: 100000}, "int", "2147400000", "2147483647"},
		"start of int":  {partition.Scheme{By: partition.Range, Size: 100000}, "int", "-2147500000", "-2147483648"},
		"end of digits": {partition.Scheme{By: partition.Range, Size: 100}, "numeric(5,2)", "900", "999.99"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := visits(c.scheme, c.columnType, "")
			b.visited(c.value)
			b.goLive(t, p, c.key)
			var child, parent, bounds string
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), `
				SELECT c.oid::regclass::text, p.relnamespace::regnamespace || '.' || p.relname, pg_get_expr(c.relpartbound, c.oid)
				FROM pg_class c
				JOIN pg_inherits i ON i.inhrelid = c.oid
				JOIN pg_class p ON p.oid = i.inhparent
				WHERE c.relname ~ '^g[0-9]+$' AND c.relkind = 'r' AND c.relnamespace = $1::regnamespace`,
				b.db.Schema+"__data").Scan(&child, &parent, &bounds))
			config, err := pgx.ParseConfig(b.db.URL)
			require.NoError(t, err)
			var said []string
			config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { said = append(said, n.Message) }
			conn, err := pgx.ConnectConfig(t.Context(), config)
			require.NoError(t, err)
			defer func() { _ = conn.Close(t.Context()) }()
			_, err = conn.PgConn().Exec(t.Context(), fmt.Sprintf(`SET client_min_messages = debug1; ALTER TABLE %[1]s DETACH PARTITION %[2]s; ALTER TABLE %[1]s ATTACH PARTITION %[2]s %[3]s`,
				parent, child, bounds)).ReadAll()
			require.NoError(t, err)
			require.Contains(t, fmt.Sprint(said), "is implied by existing constraints")
		})
	}
}

func TestAValueThatTheColumnCannotHaveIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ columnType, value, says, hint string }{
		"no number":          {"int", "web", "the value of one in the list is no integer", "correct it under partition"},
		"too large":          {"smallint", "32768", "the value of one in the list is no smallint", "correct it under partition"},
		"another spelling":   {"int", "01", "is not written as integer writes it", `write it as "1"`},
		"another case":       {"uuid", "0192F0C1-8F6E-7C3A-9A51-0E5D6F7A8B9C", "is not written as uuid writes it", `write it as "0192f0c1-8f6e-7c3a-9a51-0e5d6f7a8b9c"`},
		"another word":       {"boolean", "yes", "is not written as boolean writes it", `write it as "true"`},
		"longer than fits":   {"varchar(2)", "web", "is not written as character varying(2) writes it", `write it as "we"`},
		"what has no values": {"jsonb", "web", "column at is jsonb, and lists are cut by text", "cast it in sql/fct_orders.sql: at::text AS at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.visited(`"{}"`)
			p := visits(partition.Scheme{By: partition.List, Values: partition.NewValues(partition.Value{Key: "one", Text: c.value})}, c.columnType, "")
			_, err := b.Describe(t.Context(), p, p.Outputs[0], nil)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.ErrorContains(t, err, c.says)
			require.Contains(t, fault.HintOf(err), c.hint)
		})
	}
}

// A column of text has no days: '2026-1-5' is after '2026-01-31', and rows would lie in other partitions than those of their day.
func TestATextPartitionColumnIsRefusedWhereverItIsLookedAt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scheme     partition.Scheme
		columnType string
		cast       string
	}{
		"a day of text":         {partition.Scheme{By: partition.Day}, "text", "at::date"},
		"a month of characters": {partition.Scheme{By: partition.Month}, "char(10)", "at::date"},
		"an hour of text":       {partition.Scheme{By: partition.Hour}, "varchar", "at::timestamptz"},
		"an hour of a date":     {partition.Scheme{By: partition.Hour}, "date", "at::timestamptz"},
		"a range of text":       {partition.Scheme{By: partition.Range, Size: 10}, "text", "at::bigint"},
		"a range of fractions":  {partition.Scheme{By: partition.Range, Size: 10}, "double precision", "at::bigint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := visits(c.scheme, c.columnType, "")
			b.visited(map[bool]string{true: "2", false: "2026-01-31"}[c.scheme.By == partition.Range])
			key := map[partition.By]partition.Key{
				partition.Day: "2026-01-31", partition.Month: "2026-01", partition.Hour: "2026-01-31T00", partition.Range: "0",
			}[c.scheme.By]
			cast := "cast it in sql/fct_orders.sql: " + c.cast

			findings, err := b.Validate(t.Context(), p, nil)
			require.NoError(t, err)
			require.False(t, findings[0].OK)
			require.Contains(t, findings[0].Text, "column at is ")
			require.Contains(t, findings[0].Hint, cast)

			observed, err := b.Observe(t.Context(), p, nil)
			require.NoError(t, err)
			require.NotEmpty(t, observed.Problems)
			require.True(t, observed.Problems[0].Blocking)
			require.Contains(t, observed.Problems[0].Remedy, cast)

			_, err = b.Build(t.Context(), b.spec(p, key))
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.Contains(t, fault.HintOf(err), cast)
		})
	}
}

// The last and the first partition reach beyond what the column can hold, and have every value up to its ends.
func TestPartitionsReachToTheEndsOfTheirColumn(t *testing.T) {
	t.Parallel()
	const filter = " WHERE v >= @partition_start AND v < @partition_end"
	for columnType, c := range map[string]struct {
		size   int64
		values [2]string
		keys   [2]partition.Key
	}{
		"smallint":     {1000, [2]string{"-32768", "32767"}, [2]partition.Key{"-33000", "32000"}},
		"int":          {100000, [2]string{"-2147483648", "2147483647"}, [2]partition.Key{"-2147500000", "2147400000"}},
		"bigint":       {100000, [2]string{"-9223372036854775808", "9223372036854775807"}, [2]partition.Key{"-9223372036854800000", "9223372036854700000"}},
		"numeric":      {100000, [2]string{"-9223372036854775808", "9223372036854775807.9"}, [2]partition.Key{"-9223372036854800000", "9223372036854700000"}},
		"numeric(5,2)": {100, [2]string{"-999.99", "999.99"}, [2]partition.Key{"-1000", "900"}},
	} {
		for where, filter := range map[string]string{"filtered": filter, "the other way": " WHERE @partition_start <= v AND @partition_end > v", "shifted": " WHERE v BETWEEN @partition_start AND @partition_end - 1"} {
			if where == "shifted" && (columnType == "numeric" || columnType == "numeric(5,2)") {
				continue // there are numbers between
			}
			t.Run(columnType+" "+where, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				p := visits(partition.Scheme{By: partition.Range, Size: c.size}, columnType, filter)
				b.visited(c.values[0], "5", c.values[1])
				findings, err := b.Validate(t.Context(), p, nil)
				require.NoError(t, err)
				require.True(t, findings[0].OK, findings[0].Text)
				if where == "filtered" {
					keys, err := b.Discover(t.Context(), p, b.open)
					require.NoError(t, err)
					require.Equal(t, []partition.Key{c.keys[0], "0", c.keys[1]}, keys)
				}
				b.goLive(t, p, c.keys[0], "0", c.keys[1])
				require.Equal(t, "1 2 3", b.parts(t))
			})
		}
	}
}

func TestAPartitionBeyondTheColumnIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := visits(partition.Scheme{By: partition.Range, Size: 1000}, "smallint", "")
	b.visited()
	_, err := b.Build(t.Context(), b.spec(p, "33000"))
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.ErrorContains(t, err, "column at is smallint, of which no value lies in the partition")
}

func TestYearsOfADecadeShareAChunk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := visits(partition.Scheme{By: partition.Year, Timezone: "America/New_York"}, "timestamptz", " WHERE v >= @partition_start AND v < @partition_end")
	b.visited("2019-12-31 23:00:00-05", "2020-01-01 04:00:00+00", "2020-01-01 05:00:00+00", "2021-07-01 00:00:00+00", "0001-06-01 00:00:00+00", "9998-06-01 00:00:00+00")
	keys, err := b.Discover(t.Context(), p, b.open)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"0001", "2019", "2020", "2021", "9998"}, keys)
	b.goLive(t, p, keys...)
	require.Equal(t, "1,2 3 4 5 6", b.parts(t))
	var chunks int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits WHERE inhparent = 'fct_orders'::regclass`).Scan(&chunks))
	require.Equal(t, 4, chunks, "of the years 1, 2010, 2020 and 9990")
}

// A row that does not belong to the partition that is built fails the run, and the sentence has how many there are and none of their values.
func TestRowsOutsideTheirPartitionFailTheRunOfEveryGrain(t *testing.T) {
	t.Parallel()
	list := partition.NewValues(partition.Value{Key: "web", Text: "web"}, partition.Value{Key: "store", Text: "store"}, partition.Value{Key: "none", Null: true})
	for name, c := range map[string]struct {
		scheme     partition.Scheme
		columnType string
		key        partition.Key
		inside     string
		outside    []string
		says       string
	}{
		"hour":         {partition.Scheme{By: partition.Hour}, "timestamptz", "2026-01-31T05", "2026-01-31 05:59:59+00", []string{"2026-01-31 06:00:00+00"}, "1 of 2 rows"},
		"hour of DST":  {partition.Scheme{By: partition.Hour, Timezone: "Europe/Berlin"}, "timestamptz", "2026-10-25T02", "2026-10-25 01:59:59+00", []string{"2026-10-25 02:00:00+00"}, "1 of 2 rows"},
		"day":          {partition.Scheme{By: partition.Day}, "date", "2026-01-31", "2026-01-31", []string{"2026-02-01", "infinity", "-infinity", "0044-03-15 BC"}, "4 of 5 rows"},
		"day of DST":   {partition.Scheme{By: partition.Day, Timezone: "Europe/Berlin"}, "timestamptz", "2026-03-29", "2026-03-29 21:59:59+00", []string{"2026-03-29 22:00:00+00"}, "1 of 2 rows"},
		"day of clock": {partition.Scheme{By: partition.Day, Timezone: "Europe/Berlin"}, "timestamp", "2026-03-29", "2026-03-29 23:59:59", []string{"2026-03-30 00:00:00"}, "1 of 2 rows"},
		"week":         {partition.Scheme{By: partition.Week}, "date", "2026-W53", "2027-01-03", []string{"2027-01-04"}, "1 of 2 rows"},
		"month":        {partition.Scheme{By: partition.Month}, "date", "2026-02", "2026-02-28", []string{"2026-03-01"}, "1 of 2 rows"},
		"year":         {partition.Scheme{By: partition.Year}, "date", "2026", "2026-12-31", []string{"2027-01-01"}, "1 of 2 rows"},
		"range":        {partition.Scheme{By: partition.Range, Size: 10}, "numeric", "10", "19.9", []string{"20", "NaN", "9.99"}, "3 of 4 rows"},
		"last range":   {partition.Scheme{By: partition.Range, Size: 100}, "numeric(5,2)", "900", "999.99", []string{"NaN", "899.99"}, "2 of 3 rows"},
		"list":         {partition.Scheme{By: partition.List, Values: list}, "text", "web", "web", []string{"store", "Web", "pigeon post"}, "3 of 4 rows: column at lies outside the partition web"},
		"list of NULL": {partition.Scheme{By: partition.List, Values: list}, "text", "none", "", []string{"store"}, "1 of 2 rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := visits(c.scheme, c.columnType, "")
			b.visited(append([]string{c.inside}, c.outside...)...)
			_, err := b.Build(t.Context(), b.spec(p, c.key))
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error()+fault.HintOf(err), "pigeon")
			_, query, ok := strings.Cut(fault.HintOf(err), "keys of them: ")
			require.True(t, ok, fault.HintOf(err))
			rows, err := b.db.Pool.Query(t.Context(), query)
			require.NoError(t, err)
			var subject, key string
			var kept []string
			_, err = pgx.ForEachRow(rows, []any{&subject, &key}, func() error {
				require.Equal(t, "outside the partition", subject)
				kept = append(kept, key)
				return nil
			})
			require.NoError(t, err)
			require.Len(t, kept, len(c.outside), "each with its key, and the column: %v", kept)
			require.Contains(t, strings.Join(kept, " "), `"amount": 2`)
			p.Version = "2.0.0" // another release reads the file as it is then
			b.cross(t, p.Version)
			b.visited(c.inside)
			b.goLive(t, p, c.key)
		})
	}
}

// A canary of several partitions of a list hangs in one shadow, that of NULL too.
func TestAListHangsInAShadow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := visits(partition.Scheme{By: partition.List, Values: partition.NewValues(
		partition.Value{Key: "web", Text: "web"}, partition.Value{Key: "none", Null: true}, partition.Value{Key: "store", Text: "store"})}, "text", same)
	b.visited("web", "", "store")
	var ids []int64
	var swaps []generation.Swap
	for _, key := range []partition.Key{"web", "none", "store"} {
		g := b.build(t, p, key).Generation
		ids, swaps = append(ids, g.ID), append(swaps, swap(g, 0))
	}
	require.NoError(t, b.AttachShadow(t.Context(), "deploy/1", ids))
	require.Empty(t, b.parts(t))
	b.publish(t, swaps...)
	require.Equal(t, "1 2 3", b.parts(t))
}

func TestNULLFailsTheRunWhereNoListHasIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := visits(partition.Scheme{By: partition.List, Values: partition.NewValues(partition.Value{Key: "web", Text: "web"})}, "text", "")
	b.visited("web", "")
	_, err := b.Build(t.Context(), b.spec(p, "web"))
	require.ErrorContains(t, err, "1 of 2 rows: column at is NULL")
}

// What a release adds to its list goes live beside what is there. What gives a name another value does not.
func TestAListMayGrowAndNeverChangesItsNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cut := func(version string, values ...partition.Value) *pipeline.Pipeline {
		p := visits(partition.Scheme{By: partition.List, Values: partition.NewValues(values...)}, "text", equal)
		p.Version = version
		return p
	}
	web, store := partition.Value{Key: "web", Text: "web"}, partition.Value{Key: "store", Text: "store"}
	b.visited("web", "store")
	b.goLive(t, cut("1.0.0", web), "web")
	b.cross(t, "2.0.0")
	b.goLive(t, cut("2.0.0", store, web), "store")
	require.Equal(t, "1 2", b.parts(t))

	b.cross(t, "3.0.0")
	p := cut("3.0.0", partition.Value{Key: "web", Text: "store"})
	g := b.build(t, p, "web").Generation
	live, _, err := b.Live(t.Context(), "fct_orders", "web")
	require.NoError(t, err)
	_, err = b.attempt(t.Context(), b.patient(generation.Swap{Output: "fct_orders", Partition: "web", From: live, To: g.ID}), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "what is live is partitioned by list")
	require.Equal(t, "1 2", b.parts(t))
}

// An author writes a day, a check and a number in the time of the pipeline, wherever they are evaluated.
func TestAnAuthorsSQLRunsInTheTimezoneOfThePipeline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Warehouse = b.Zoned("America/New_York")
	p := visits(partition.Scheme{By: partition.Day, Timezone: "America/New_York"}, "timestamptz", " WHERE v >= @partition_start AND v < @partition_end")
	p.Outputs[0].SQL = "SELECT amount, v, ARRAY[v] AS all_of_them, v::date AS at, extract(hour FROM v)::int AS hour, current_setting('timezone') AS zone FROM (SELECT amount, v::timestamptz AS v FROM raw) AS typed WHERE v >= @partition_start AND v < @partition_end"
	one := 1.0
	p.Outputs[0].Checks = []check.Check{{Name: "zone", Kind: check.Expression, Severity: check.Fail, SQL: "current_setting('timezone') = 'America/New_York' AND zone = 'America/New_York'"}}
	p.Tests = []pipeline.UnitTest{{
		Name: "evening", File: "tests/evening.yaml", Partition: "2026-01-31",
		Given:  map[string][]pipeline.Row{"raw": {{"amount": int64(1), "v": "2026-01-31 23:00:00"}}},
		Expect: map[string][]pipeline.Row{"fct_orders": {{"amount": int64(1), "at": "2026-01-31", "hour": int64(23), "zone": "America/New_York"}}},
	}}
	findings, err := b.Validate(t.Context(), p, nil)
	require.NoError(t, err)
	for _, f := range findings {
		require.True(t, f.OK, "%s: %s", f.Subject, f.Text)
	}
	b.visited("2026-02-01 04:59:59+00", "2026-01-31 23:00:00", "2026-01-31 05:00:00+00")
	keys, err := b.Discover(t.Context(), p, b.open)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-31"}, keys)
	b.goLive(t, p, keys...)
	require.Equal(t, "1,2,3", b.parts(t))
	live, _, err := b.Live(t.Context(), "fct_orders", "2026-01-31")
	require.NoError(t, err)
	require.NoError(t, open(t, b.db).Verify(t.Context(), []int64{live}, func() {}), "who counts again has another timezone")
	measured, err := b.Measure(t.Context(), check.Metric{Name: "zone", Severity: check.Fail, Min: &one, SQL: "SELECT (current_setting('timezone') = 'America/New_York')::int FROM fct_orders LIMIT 1"})
	require.NoError(t, err)
	require.InDelta(t, 1, measured.Value, 0)
}
