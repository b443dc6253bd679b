package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/pipeline"
)

func TestBind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql, text string
		params    []string
	}{
		"every occurrence has its own number": {
			"SELECT @partition_start::date WHERE a >= @partition_start AND b < @partition_end AND k = @partition",
			"SELECT $1::date WHERE a >= $2 AND b < $3 AND k = $4",
			[]string{"partition_start", "partition_start", "partition_end", "partition"},
		},
		"strings, names and comments stay": {
			`SELECT '@partition', "@partition", $$@partition$$ /* @partition */ -- @partition`,
			`SELECT '@partition', "@partition", $$@partition$$ /* @partition */ -- @partition`,
			nil,
		},
		"an operator is none":            {"SELECT a <@partition", "SELECT a <@partition", nil},
		"the closing semicolon goes":     {"SELECT @partition;\n-- done", "SELECT $1", []string{"partition"}},
		"a semicolon in a string stays":  {"SELECT ';'", "SELECT ';'", nil},
		"text around it keeps its bytes": {"SELECT 'ä', @partition  ||'ü'\n", "SELECT 'ä', $1  ||'ü'\n", []string{"partition"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, params := pipeline.Bind(tc.sql)
			require.Equal(t, tc.text, text)
			require.Equal(t, tc.params, params)
		})
	}
}

func TestInPlaceIsWhatTheServerGetsWhereItStood(t *testing.T) {
	t.Parallel()
	const sql = "SELECT 'ä @partition', @partition_start::date, a <@b FROM c WHERE d < @partition_end;"
	text := pipeline.InPlace(sql)
	require.Len(t, text, len(sql))
	require.Equal(t, "SELECT 'ä @partition', $1              ::date, a <@b FROM c WHERE d < $2            ;", text)
}

func TestUnboundedLeavesOutNoRow(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT d FROM raw":                                  "SELECT d FROM raw",
		"SELECT @partition_start::date AS d FROM raw":        "SELECT @partition_start::date AS d FROM raw",
		"a + b >= @partition_start::date - 6 AND e":          "a + b  || '' IS DISTINCT FROM '~' ||  @partition_start::date - 6 AND e",
		"d< @partition_end":                                  "d || '' IS DISTINCT FROM '~' ||  @partition_end",
		"@partition_start::date <= d AND @partition_end > d": "@partition_start::date  || '~' IS DISTINCT FROM '' ||  d AND @partition_end  || '~' IS DISTINCT FROM '' ||  d",
		"d >= /* from */ @partition_start":                   "d >= /* from */ @partition_start",
		"r <@ @partition_start AND s <> @partition_end":      "r <@ @partition_start AND s <> @partition_end",
		"d BETWEEN @partition_start AND '2026-01-31'":        "d BETWEEN @partition_start AND '2026-01-31'",
		"k = @partition AND '= @partition'":                  "k  || '' IS DISTINCT FROM '~' ||  @partition AND '= @partition'",
	} {
		require.Equal(t, want, pipeline.Unbounded(sql))
	}
}

// Names of columns are told to everybody; without a declared one the first line of a file might be a row.
func TestAllColumnsOfALoadAreTakenOnlyWhereOneIsDeclared(t *testing.T) {
	t.Parallel()
	raw, declared := pipeline.Load{Name: "raw"}, pipeline.Load{Name: "raw", Columns: []pipeline.Column{{Name: "id", Type: "int"}}}
	for sql, line := range map[string]int{
		"SELECT * FROM raw":                                       1,
		"SELECT d,\n  /* all */ r.* FROM raw r":                   2,
		"SELECT DISTINCT * FROM raw":                              1,
		"SELECT DISTINCT ON (id, (a)) -- the newest\n* FROM raw":  2,
		"WITH x AS (TABLE raw)\nSELECT id FROM x":                 1,
		"WITH x AS (SELECT *, 1 AS one FROM raw) SELECT * FROM x": 1,
		"SELECT id, d FROM raw":                                   0,
		"SELECT count(*) AS n, a * b AS c, 2 * a AS d FROM raw":   0,
		"SELECT (a) * 3 AS e, '' || a * 2 AS f FROM raw":          0,
		"SELECT * FROM elsewhere":                                 0,
		"SELECT id, 'SELECT * FROM raw' AS text FROM raw -- *":    0,
	} {
		o := pipeline.Output{SQLFile: "sql/t.sql", SQL: sql}
		load, at, ok := o.Undeclared([]pipeline.Load{raw})
		require.Equal(t, line, at, sql)
		require.Equal(t, line > 0, ok, sql)
		require.True(t, !ok || load == "raw", sql)
		_, _, ok = o.Undeclared([]pipeline.Load{declared})
		require.False(t, ok, "%s: a file that has the declared column has a header", sql)
	}
}
