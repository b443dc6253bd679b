package warehouse_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
)

// Columns change by a deployment, which somebody looks at: what is active goes on with those that it was published with.
func TestWhatIsActiveChangesNoColumns(t *testing.T) {
	t.Parallel()
	const sql = "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
	for name, c := range map[string]struct{ sql, says string }{
		"one that appeared":    {strings.Replace(sql, "amount", "amount, 'x'::text AS ssn", 1), "columns that the table does not have: ssn"},
		"one that is left out": {strings.Replace(sql, ", channel", "", 1), "leaves out columns that this release returned before: channel"},
		"one that was renamed": {strings.Replace(sql, "channel", "channel AS source", 1), "columns that the table does not have: source"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := shop()
			p.Outputs[0].SQL = sql
			b.orders("2026-01-01", 10, 1)
			b.publish(t, swap(b.build(t, p, "2026-01-01").Generation, 0))
			require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
			b.owner = workflow("run/shop/nightly")
			moved := shop()
			moved.Outputs[0].SQL = c.sql
			_, err := b.Build(t.Context(), b.spec(moved, "2026-01-01"))
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, 1, b.children(t), "nothing is left of it")
			b.publish(t, swap(b.build(t, p, "2026-01-01").Generation, b.newest(t)))

			control := b.spec(moved, "2026-01-01")
			control.Control = true
			_, err = b.Build(t.Context(), control)
			require.NoError(t, err, "what nobody will read may have other columns")
			b.cross(t, "1.1.0")
			moved.Version = "1.1.0"
			deployed := b.spec(moved, "2026-01-01")
			_, err = b.Build(t.Context(), deployed)
			require.NoError(t, err, "a deployment may change them")
		})
	}
}

// newest is the live generation of the first day.
func (b *bundle) newest(t *testing.T) int64 {
	t.Helper()
	id, _, err := b.Live(t.Context(), "fct_orders", "2026-01-01")
	require.NoError(t, err)
	return id
}
