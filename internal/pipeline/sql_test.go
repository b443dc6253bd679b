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
