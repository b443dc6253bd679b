package warehouse_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
)

// What is beyond a limit of Postgres stays beyond it: the author is told at once, in a message of bounded length.
func TestWhatPostgresCannotHoldIsInvalidAtOnce(t *testing.T) {
	t.Parallel()
	list := func(n int, term string) string {
		terms := make([]string, n)
		for i := range terms {
			terms[i] = strings.ReplaceAll(term, "#", strconv.Itoa(i))
		}
		return strings.Join(terms, ", ")
	}
	columns := `SELECT order_id, ordered_at::date AS order_date, channel, amount`
	for name, c := range map[string]struct {
		sql string
		key []string
	}{
		"1,650 columns": {sql: columns + ", " + list(1650, "# AS c#") + " FROM raw_orders"},
		"a key that no index row holds": {
			sql: columns + `, (SELECT string_agg(md5((order_id * i)::text), '') FROM generate_series(1, 400) AS i) AS long FROM raw_orders`, key: []string{"long"},
		},
		"an expression of 20,000 terms": {
			sql: `SELECT order_id, ordered_at::date AS order_date, channel, amount` + strings.Repeat(" + 1", 20_000) + ` AS amount FROM raw_orders`,
		},
		"a key of more columns than an index has": {
			sql: columns + ", " + list(33, "# AS k#") + " FROM raw_orders", key: strings.Split(list(33, "k#"), ", "),
		},
		"a row wider than a page":            {sql: columns + ", " + list(1500, "clock_timestamp() AS c#") + " FROM raw_orders"},
		"a value of more than two gigabytes": {sql: columns + ", repeat('x', 2147483647) AS long FROM raw_orders"},
		"a function of 101 arguments":        {sql: `SELECT order_id, ordered_at::date AS order_date, concat_ws(` + list(101, "channel") + `) AS channel, amount FROM raw_orders`},
		"20,000 columns":                     {sql: columns + ", " + list(20_000, "# AS c#") + " FROM raw_orders"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.orders("2026-01-01", 3, 1)
			p := shop()
			p.Outputs[0].SQL = c.sql
			if c.key != nil {
				p.Outputs[0].Key = c.key
			}
			_, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
			require.Error(t, err)
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
			require.LessOrEqual(t, len(err.Error()), fault.MaxText)
		})
	}
}
