package warehouse_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/warehouse"
)

func TestAShadowIsComparedAndPromoted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	b.publish(t, swap(b.build(t, shop(), "2026-01-01").Generation, 0))
	live, inputs, err := b.Live(t.Context(), "fct_orders", "2026-01-01")
	require.NoError(t, err)
	b.cross(t, "1.1.0")
	p := shop()
	p.Version = "1.1.0"
	p.Outputs[0].SQL = `SELECT order_id, ordered_at::date AS order_date, channel,
		(CASE WHEN order_id = 1 THEN amount * 2 ELSE amount END)::numeric(12,2) AS amount, 'EUR'::text AS currency FROM raw_orders`
	built, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
	require.NoError(t, err)
	candidate := built[0].Generation
	require.Equal(t, inputs, candidate.Inputs)
	for range 2 { // twice is once
		require.NoError(t, b.AttachShadow(t.Context(), "deploy/2", []int64{candidate.ID}))
	}
	require.Equal(t, fault.Conflict, fault.ClassOf(b.AttachShadow(t.Context(), "deploy/other", []int64{candidate.ID})))
	require.Equal(t, "15.00", b.sum(t))

	diff, err := b.Compare(t.Context(), warehouse.Comparison{Output: "fct_orders", Key: []string{"order_id"}, Baseline: live, Candidate: candidate.ID, Origin: canary.Live})
	require.NoError(t, err)
	require.EqualValues(t, 1, diff.Changed["amount"])
	require.EqualValues(t, 10, diff.CommonRows)
	require.Equal(t, []string{"currency"}, diff.AddedColumns)
	require.Equal(t, gate.Fail, canary.Judge(diff, canary.Budgets{}).Outcome)
	var samples int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM `+b.db.Schema+`__ledger.sample WHERE subject LIKE 'canary: changed%'`).Scan(&samples))
	require.Equal(t, 1, samples)

	b.expand(t, p)
	b.publish(t, swap(candidate, live))
	require.Equal(t, "16.50", b.sum(t))
	require.NoError(t, b.DropShadow(t.Context(), "deploy/2"))
	require.NoError(t, b.DropShadow(t.Context(), "deploy/2"))
	require.Equal(t, "16.50", b.sum(t), "what was promoted is not dropped with its shadow")
	require.Zero(t, b.shadows(t))
}

func TestADroppedShadowIsRejectedAndItsChildrenGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	b.publish(t, swap(b.build(t, shop(), "2026-01-01").Generation, 0))
	candidate := b.build(t, shop(), "2026-01-01").Generation
	require.NoError(t, b.AttachShadow(t.Context(), "deploy/2", []int64{candidate.ID}))
	require.NoError(t, b.DropShadow(t.Context(), "deploy/2"))
	require.Zero(t, b.shadows(t))
	_, err := b.attempt(t.Context(), b.patient(swap(candidate, 0)), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.Equal(t, 2, b.children(t))
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Equal(t, 1, b.children(t))
	require.Equal(t, "15.00", b.sum(t))
}

// shadows counts shadow parents.
func (b *bundle) shadows(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relkind = 'p' AND relnamespace = to_regnamespace($1)`, b.db.Schema+"__shadow").Scan(&n))
	return n
}
