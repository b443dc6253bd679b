package warehouse_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/warehouse"
)

// A load may be called like a table of the catalog, and its columns like those: our own questions are not put to it.
func TestALoadNamedLikeATableOfTheCatalogIsOnlyALoad(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pg_class", "pg_attribute", "pg_namespace", "pg_inherits", "pg_type", "pg_locks"} {
		b := setup(t)
		b.orders("2026-01-01", 5, 1)
		p := shop()
		p.Loads[0].Name = name
		p.Outputs[0].SQL = strings.ReplaceAll(p.Outputs[0].SQL, "raw_orders", "pg_temp."+name)
		built := b.build(t, p, "2026-01-01")
		require.EqualValues(t, 5, built.Generation.Rows, name)
		require.NotEmpty(t, built.Generation.Checksum)
	}
}

// Whoever opened a schema where another one's data, ledger or shadows lie would write among them.
func TestNoSchemaLiesWhereAnotherOnesSiblingsDo(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"shop__data", "shop__ledger", "shop__shadow", "__data", "information_schema", "pg_temp", "Shop", ""} {
		_, err := warehouse.Open(t.Context(), warehouse.Options{URL: "postgres://u@127.0.0.1:1/d", Schema: schema})
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%s: %v", schema, err)
		require.NotEmpty(t, fault.HintOf(err))
	}
}

// Columns may be called like whatever our SQL calls its own.
func TestColumnsMayBeNamedLikeOurs(t *testing.T) {
	t.Parallel()
	names := []string{
		"rows", "checksum", "hash", "b", "c", "x", "y", "kind", "sample", "output", "failing", "copies", "duplicates", "here", "v0", "k0", "f0", "value",
		"removed", "added", "common", "changed", "baseline", "candidate", "difference", "differing", "select", "order", "user", "id", "key", "oid", `a"b`, "a b", "$1", "@x", "Ä",
	}
	b := setup(t)
	b.orders("2026-01-01", 5, 1)
	p := shop()
	columns := make([]string, len(names))
	for i, name := range names {
		columns[i] = `amount AS "` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, " + strings.Join(columns, ", ") + " FROM raw_orders"
	p.Outputs[0].Checks = []check.Check{{Name: "unique", Kind: check.Unique, Severity: check.Fail, Columns: names[:3]}, {Name: "not null", Kind: check.NotNull, Severity: check.Fail, Columns: names}}
	first := b.build(t, p, "2026-01-01")
	require.Equal(t, gate.Fail, first.Verdict.Outcome, "all amounts are equal")
	require.Contains(t, first.Verdict.Reason, "unique")
	b.orders("2026-01-01", 5, 2)
	second := b.build(t, p, "2026-01-01")
	for _, key := range [][]string{{"order_id"}, nil} {
		diff, err := b.Compare(t.Context(), warehouse.Comparison{
			Output: "fct_orders", Key: key, Baseline: first.Generation.ID, Candidate: second.Generation.ID, Origin: canary.Earlier,
		})
		require.NoError(t, err)
		require.EqualValues(t, 5, diff.CandidateRows)
	}
	for _, system := range []string{"xmin", "ctid", "tableoid"} {
		p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, amount AS " + system + " FROM raw_orders"
		_, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%s: %v", system, err)
	}
}

// A function of the schema that fits our arguments better than the server's own is not called by our SQL.
func TestFunctionsNamedLikeTheServersAreNotCalledByOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 5, 1)
	plain := b.build(t, shop(), "2026-01-01")
	for _, statement := range []string{
		`CREATE FUNCTION hash_record_extended(record, integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END'`,
		`CREATE FUNCTION hashtextextended(text, integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1::bigint'`,
		`CREATE AGGREGATE sum(bigint) (SFUNC = int8mul, STYPE = bigint, INITCOND = '0')`,
		`CREATE AGGREGATE count(bigint) (SFUNC = int8mul, STYPE = bigint, INITCOND = '0')`,
		`CREATE FUNCTION to_jsonb(record) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN NULL; END'`,
		`CREATE FUNCTION format_type(oid, bigint) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''text'''`,
		`CREATE FUNCTION pg_try_advisory_xact_lock(integer) RETURNS boolean LANGUAGE sql AS 'SELECT false'`,
		`CREATE FUNCTION set_config(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT ''x'''`,
	} {
		b.db.Exec(t, statement)
	}
	p := shop()
	p.Outputs[0].Checks = append(p.Outputs[0].Checks, check.Check{Name: "unique", Kind: check.Unique, Severity: check.Fail, Columns: []string{"order_id"}})
	shadowed := b.build(t, p, "2026-01-01")
	require.Equal(t, plain.Generation.Checksum, shadowed.Generation.Checksum)
	require.Equal(t, plain.Generation.Rows, shadowed.Generation.Rows)
	require.Equal(t, gate.Pass, shadowed.Verdict.Outcome)
	require.NoError(t, b.Verify(t.Context(), []int64{shadowed.Generation.ID}, func() {}))
	b.publish(t, swap(shadowed.Generation, 0))
	require.Equal(t, "7.50", b.sum(t))
}

// A message is anybody's who raises it. Of what is raised while rows are read, no word is told.
func TestWhatAuthorsRaiseIsNotTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 5, 1)
	b.db.Exec(t, `CREATE FUNCTION raise(state text, said text) RETURNS int LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = said, DETAIL = said, HINT = said, COLUMN = said, CONSTRAINT = said, TABLE = said; END $$`)
	least := 0.0
	for _, state := range []string{"P0001", "42000", "42P01", "22P02", "23505", "42501", "55000", "54000", "XX000", "ZZ001"} {
		call := "raise('" + state + "', 'ann.sEcret@example.com ' || " + "amount)"
		p := shop()
		p.Outputs[0].SQL = strings.Replace(p.Outputs[0].SQL, "SELECT order_id", "SELECT order_id + "+call+" AS order_id", 1)
		_, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
		said(t, state, err)
		require.Contains(t, err.Error(), "fct_orders.sql")

		p = shop()
		p.Outputs[0].Checks = append(p.Outputs[0].Checks, check.Check{Name: "raises", Kind: check.Expression, Severity: check.Fail, SQL: call + " = 0"})
		built, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
		if err != nil {
			said(t, state, err)
		} else {
			require.NotContains(t, built[0].Verdict.Reason, "sEcret")
		}
		_, err = b.Measure(t.Context(), check.Metric{Name: "raises", Severity: check.Fail, Min: &least, SQL: "SELECT raise('" + state + "', 'ann.sEcret@example.com')"})
		said(t, state, err)
		p = shop()
		p.Outputs[0].SQL = strings.Replace(p.Outputs[0].SQL, "SELECT order_id", "SELECT order_id + "+call+" AS order_id", 1)
		p.Loads[0].File = "orders_2026-01-01.csv"
		_, err = b.Discover(t.Context(), p, b.open, nil)
		said(t, state, err)
	}
}

// said holds an error to what may be told of a state.
func said(t *testing.T, state string, err error) {
	t.Helper()
	require.Error(t, err, state)
	require.NotContains(t, err.Error()+fault.HintOf(err), "sEcret", state)
	require.Contains(t, err.Error(), state)
}
