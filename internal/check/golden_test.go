package check_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	os.Exit(m.Run())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func script(statements ...check.Statement) string {
	var b strings.Builder
	for _, s := range statements {
		b.WriteString("-- " + strings.Join(s.Fields, ", ") + "\n" + s.SQL + ";\n\n")
	}
	return b.String()
}

// orders has one column of each way in which values are compared.
func orders() []check.Column {
	return []check.Column{
		{Name: "order_id", Type: "bigint", NotNull: true},
		{Name: "line", Type: "integer"},
		{Name: "amount", Type: "numeric(12,2)"},
		{Name: `pay"ment`, Type: "character varying(10)"},
		{Name: "payload", Type: "json"},
		{Name: "spot", Type: "point"},
		{Name: "at", Type: "timestamp(3) with time zone"},
		{Name: "tags", Type: "text[]"},
	}
}

func everyKind() []check.Check {
	return []check.Check{
		{Name: "row_count", Kind: check.RowCount, Severity: check.Fail, Min: new(1.0), Max: new(5.0)},
		{Name: "not_null", Kind: check.NotNull, Severity: check.Fail, Columns: []string{"order_id", "amount"}},
		{Name: "key", Kind: check.Unique, Severity: check.Fail, Columns: []string{"order_id", "line"}},
		{Name: "payload", Kind: check.Unique, Severity: check.Warn, Columns: []string{"payload"}},
		{Name: "payment", Kind: check.AcceptedValues, Severity: check.Fail, Columns: []string{`pay"ment`}, Values: []string{"cash", `it's\`}},
		{Name: "positive", Kind: check.Expression, Severity: check.Fail, SQL: "amount >= 0 -- refunds are another table", MaxFailing: 0.25},
		{Name: "revenue", Kind: check.MetricKind, Severity: check.Fail, SQL: "sum(amount)", Max: new(100.0)},
		{Name: "lines", Kind: check.MetricKind, Severity: check.Fail, SQL: "count(DISTINCT line)", Max: new(2.0)},
	}
}

func TestSmallTablesTakeOneStatement(t *testing.T) {
	t.Parallel()
	p, err := check.Compile("shop.orders", orders(), everyKind(), check.Options{EstimatedRows: 99_999})
	require.NoError(t, err)
	golden(t, "one.sql", script(p.Statements...))
}

func TestADistinctDoesNotCostALargeTableItsParallelScan(t *testing.T) {
	t.Parallel()
	p, err := check.Compile("shop.orders", orders(), everyKind(), check.Options{EstimatedRows: 100_000})
	require.NoError(t, err)
	require.Len(t, p.Statements, 2)
	require.NotContains(t, p.Statements[0].SQL, "DISTINCT")
	golden(t, "two.sql", script(p.Statements...))
	golden(t, "apart.sql", script(p.Apart()...))
}

func TestLargeTableWithoutDistinctTakesOneStatement(t *testing.T) {
	t.Parallel()
	p, err := check.Compile("shop.orders", orders(), everyKind()[:2], check.Options{EstimatedRows: 1e9})
	require.NoError(t, err)
	require.Len(t, p.Statements, 1)
}

func TestProvedChecksCostNothing(t *testing.T) {
	t.Parallel()
	opts := check.Options{EstimatedRows: 1e9, Proved: map[string]bool{"key": true, "payload": true, "lines": false}}
	p, err := check.Compile("shop.orders", orders(), everyKind()[:4], opts)
	require.NoError(t, err)
	require.Len(t, p.Statements, 1)
	require.Equal(t, []string{"rows", "checksum", "c1"}, p.Statements[0].Fields)
	require.Len(t, p.Apart(), 2)
}

func TestConfirmAndSamplesSQL(t *testing.T) {
	t.Parallel()
	p, err := check.Compile("shop.orders", orders(), everyKind(), check.Options{})
	require.NoError(t, err)
	var v check.Values
	require.NoError(t, v.Put(check.Statement{Fields: []string{"c2", "c3"}}, []*string{new("1"), new("0")}))
	statements := p.Confirm(v)
	require.Len(t, statements, 1, "only suspects are counted again")
	for _, c := range everyKind() {
		for _, key := range [][]string{{"order_id", "line"}, nil} {
			if s, ok := check.Samples("shop.orders", orders(), c, key); ok {
				statements = append(statements, s)
			}
		}
	}
	golden(t, "confirm_samples.sql", script(statements...))
}
