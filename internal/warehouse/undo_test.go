package warehouse_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/warehouse"
)

// deploy builds and publishes days with a version, under one workflow's key, and activates it.
func (b *bundle) deploy(t *testing.T, key, version string, amount int, days ...partition.Key) {
	t.Helper()
	p := shop()
	p.Version = version
	for _, day := range days {
		b.orders(day, 10, amount)
		spec := b.spec(p, day)
		built, err := b.Build(t.Context(), spec)
		require.NoError(t, err)
		_, err = b.Expand(t.Context(), warehouse.ExpandSpec{Pipeline: p, Release: releaseOf(version), LockBudget: time.Second}, func(time.Duration) {})
		require.NoError(t, err)
		publish := b.patient(swap(built[0].Generation, built[0].From))
		publish.Key = key + "/prod/publish-" + string(day) + "/0"
		result, err := b.Publish(t.Context(), publish, beat)
		require.NoError(t, err)
		require.True(t, result.Done)
	}
	r := releaseOf(version)
	require.NoError(t, b.SetActive(t.Context(), key+"/prod/activate/0", "shop", &r))
}

// undo carries out a turn-back as far as swaps go, and returns the rest.
func (b *bundle) undo(t *testing.T, u plan.Undo) (rest []plan.UndoItem) {
	t.Helper()
	var swaps []generation.Swap
	for _, item := range u.Items {
		if item.Kind != plan.UndoSwapBack && item.Kind != plan.UndoDetach {
			rest = append(rest, item)
			continue
		}
		swaps = append(swaps, generation.Swap{Output: item.Output, Partition: item.Partition, From: item.Live, To: item.To})
	}
	if len(swaps) > 0 {
		spec := b.patient(swaps...)
		spec.TurnBack = true
		result, err := b.Publish(t.Context(), spec, beat)
		require.NoError(t, err)
		require.True(t, result.Done)
	}
	require.NoError(t, b.SetActive(t.Context(), b.key(), "shop", u.To))
	return rest
}

func TestAWorkflowIsTurnedBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "deploy/1", "1.0.0", 1, "2026-01-01", "2026-01-02", "2026-01-03")
	_, before, err := b.Checksum(t.Context(), "fct_orders")
	require.NoError(t, err)
	b.deploy(t, "deploy/2", "1.1.0", 2, "2026-01-01", "2026-01-02")
	undo, err := b.Undo(t.Context(), shop(), plan.TurnBack{Key: "deploy/2"})
	require.NoError(t, err)
	require.Equal(t, "1.0.0", undo.To.Version)
	require.Equal(t, "1.1.0", undo.From.Version)
	require.Len(t, undo.Items, 2)
	require.Empty(t, b.undo(t, undo))
	_, after, err := b.Checksum(t.Context(), "fct_orders")
	require.NoError(t, err)
	require.Equal(t, before, after)
	active, err := b.Active(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, "1.0.0", active.Version)

	again, err := b.Undo(t.Context(), shop(), plan.TurnBack{Key: "deploy/2"})
	require.NoError(t, err)
	require.Empty(t, again.Items, "what is back already is not turned back again")
}

func TestATurnBackFollowsWhatBecameOfEachPartition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "deploy/1", "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.deploy(t, "deploy/2", "1.1.0", 2, "2026-01-01", "2026-01-02", "2026-01-03")
	b.deploy(t, "run/3", "1.1.0", 3, "2026-01-02") // republished since, by the same release
	kinds := func(req plan.TurnBack) map[partition.Key]plan.UndoKind {
		undo, err := b.Undo(t.Context(), shop(), req)
		require.NoError(t, err)
		found := map[partition.Key]plan.UndoKind{}
		for _, item := range undo.Items {
			found[item.Partition] = item.Kind
		}
		return found
	}
	want := map[partition.Key]plan.UndoKind{"2026-01-01": plan.UndoSwapBack, "2026-01-02": plan.UndoRebuild, "2026-01-03": plan.UndoRebuild}
	require.Equal(t, want, kinds(plan.TurnBack{Key: "deploy/2"}))
	require.Equal(t, want, kinds(plan.TurnBack{}))
	require.Equal(t, want, kinds(plan.TurnBack{Version: "1.0.0"}))
	require.Equal(t, map[partition.Key]plan.UndoKind{"2026-01-01": plan.UndoSwapBack, "2026-01-02": plan.UndoSwapBack, "2026-01-03": plan.UndoDetach},
		kinds(plan.TurnBack{Snapshot: true}))

	b.deploy(t, "deploy/4", "2.0.0", 4, "2026-01-01")
	require.Equal(t, plan.UndoLeave, kinds(plan.TurnBack{Key: "deploy/2"})["2026-01-01"])
	require.Equal(t, map[partition.Key]plan.UndoKind{"2026-01-01": plan.UndoSwapBack}, kinds(plan.TurnBack{Version: "1.1.0"}))
	_, err := b.Undo(t.Context(), shop(), plan.TurnBack{Version: "0.9.0"})
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
}

func TestAfterARollbackThePreviousReleaseIsTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "deploy/1", "1.0.0", 1, "2026-01-01")
	b.deploy(t, "deploy/2", "1.1.0", 2, "2026-01-01")
	b.deploy(t, "deploy/3", "1.2.0", 3, "2026-01-01")
	for _, version := range []string{"1.1.0", "1.0.0"} {
		undo, err := b.Undo(t.Context(), shop(), plan.TurnBack{})
		require.NoError(t, err)
		require.Equal(t, version, undo.To.Version)
		require.Empty(t, b.undo(t, undo))
	}
	require.Equal(t, "15.00", b.sum(t))
	_, err := b.Undo(t.Context(), shop(), plan.TurnBack{})
	require.Equal(t, fault.Refused, fault.ClassOf(err), "nothing was active before the first: %v", err)
}

func TestOnePartitionIsTurnedBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "deploy/1", "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.deploy(t, "run/2", "1.0.0", 2, "2026-01-01", "2026-01-02")
	undo, err := b.Undo(t.Context(), shop(), plan.TurnBack{Output: "fct_orders", Partition: "2026-01-01"})
	require.NoError(t, err)
	require.Empty(t, b.undo(t, undo))
	require.Equal(t, "40.00", b.sum(t))
	_, err = b.Undo(t.Context(), shop(), plan.TurnBack{Output: "fct_orders", Partition: "2026-01-01", Generation: 999})
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
}

func TestTheFirstReleaseOfAllIsDetached(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "deploy/1", "1.0.0", 1, "2026-01-01")
	undo, err := b.Undo(t.Context(), shop(), plan.TurnBack{Key: "deploy/1"})
	require.NoError(t, err)
	require.Nil(t, undo.To)
	require.Empty(t, b.undo(t, undo))
	require.Empty(t, b.sum(t))
	active, err := b.Active(t.Context(), "shop")
	require.NoError(t, err)
	require.Nil(t, active)
}

func TestAShadowIsComparedAndPromoted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "deploy/1", "1.0.0", 1, "2026-01-01")
	live, inputs, err := b.Live(t.Context(), "fct_orders", "2026-01-01")
	require.NoError(t, err)
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

	_, err = b.Expand(t.Context(), warehouse.ExpandSpec{Pipeline: p, Release: releaseOf("1.1.0"), LockBudget: time.Second}, func(time.Duration) {})
	require.NoError(t, err)
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
	b.deploy(t, "deploy/1", "1.0.0", 1, "2026-01-01")
	candidate := b.build(t, shop(), "2026-01-01").Generation
	require.NoError(t, b.AttachShadow(t.Context(), "deploy/2", []int64{candidate.ID}))
	require.NoError(t, b.DropShadow(t.Context(), "deploy/2"))
	require.Zero(t, b.shadows(t))
	_, err := b.Publish(t.Context(), b.patient(swap(candidate, 0)), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.Equal(t, 2, b.children(t))
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Equal(t, 1, b.children(t))
	require.Equal(t, "15.00", b.sum(t))
}

func TestHousekeepingKeepsWhatOneCanGoBackTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, next := b.two(t)
	b.publish(t, swap(next, live.ID))
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Equal(t, 2, b.children(t))
	require.NoError(t, b.Housekeep(t.Context(), 0))
	require.Equal(t, 1, b.children(t))
	_, err := b.Publish(t.Context(), b.patient(swap(live, next.ID)), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.Equal(t, "25.00", b.sum(t))
	var analysed bool
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stats WHERE tablename = 'fct_orders' AND schemaname = $1 AND inherited)`, b.db.Schema).Scan(&analysed))
	require.True(t, analysed, "autovacuum never analyses a partitioned table")
}

// shadows counts shadow parents.
func (b *bundle) shadows(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relkind = 'p' AND relnamespace = to_regnamespace($1)`, b.db.Schema+"__shadow").Scan(&n))
	return n
}
