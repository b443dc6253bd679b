package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
)

func TestNowIsTheMomentOfTheLook(t *testing.T) {
	t.Parallel()
	moment := time.Date(2026, 1, 31, 23, 30, 0, 0, time.FixedZone("CET", 3600))
	for sql, want := range map[string]string{
		"select sum(x) from t where d >= @now::date - 7": "select sum(x) from t where d >= '2026-01-31 22:30:00Z'::pg_catalog.timestamptz::date - 7",
		"d < @now or e < @now":                           "d < '2026-01-31 22:30:00Z'::pg_catalog.timestamptz or e < '2026-01-31 22:30:00Z'::pg_catalog.timestamptz",
		"x = '@now' -- @now":                             "x = '@now' -- @now",
		"@nowhere > 0":                                   "@nowhere > 0",
		"a <@now":                                        "a <@now", // an operator of Postgres
	} {
		require.Equal(t, want, check.Metric{SQL: sql}.At(moment).SQL)
		require.Equal(t, want, check.At([]check.Check{{SQL: sql}}, moment)[0].SQL)
	}
}
