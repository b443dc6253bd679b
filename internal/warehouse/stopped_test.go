package warehouse_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/turnback"
)

// underWay begins what may be under way beside each other: a run that has built, a backfill, and a deployment that crosses, in this
// order.
func (b *bundle) underWay(t *testing.T) (run, fill, crossing effect.Owner) {
	t.Helper()
	run = workflow("run/shop/nightly")
	b.owner = run
	b.orders("2026-01-02", 10, 3)
	b.swaps(t, mart(b.tenure.Release.Version), "2026-01-02")
	fill = workflow("backfill/shop/prod/2026-01-05..2026-01-06")
	_, err := b.BeginBackfill(t.Context(), backfill.Entry{
		Plan:    backfill.Plan{Release: b.tenure.Release, Tenure: b.tenure.Number, Ask: backfill.Ask{From: "2026-01-05", To: "2026-01-06"}},
		Outputs: outputs(), By: "ann",
	}, anew(fill))
	require.NoError(t, err)
	b.owner = workflow("run/shop/over") // who is at work leaves when the next one crosses
	b.cross(t, "1.2.0")
	return run, fill, b.owner
}

// Whoever a turn-back stops is named, once and for each attempt alike, so that whoever begins it can tell them.
func TestATurnBackNamesWhomItStops(t *testing.T) {
	t.Parallel()
	one := rollback("")
	one.Partition = "2026-01-01"
	for name, req := range map[string]turnback.Request{"of a release": rollback(""), "of one partition": one} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.deploy(t, "1.0.0", 1, "2026-01-01")
			b.deploy(t, "1.1.0", 2, "2026-01-01")
			watching := b.owner
			b.swaps(t, mart("1.1.0"), "2026-01-01") // a control that it has left
			require.NoError(t, b.Watch(t.Context(), "shop", anew(watching), time.Hour))
			run, fill, crossing := b.underWay(t)
			want := []effect.Owner{fill, crossing, run}

			preview, ok, err := b.PreviewTurnBack(t.Context(), req)
			require.NoError(t, err)
			require.True(t, ok)
			require.ElementsMatch(t, want, preview.Stopped)
			for _, o := range want {
				why, _, err := b.Stopped(t.Context(), "shop", o)
				require.NoError(t, err)
				require.Empty(t, why, "a preview stops nobody")
			}

			key := anew(workflow("rollback/shop/prod"))
			for range 2 { // an attempt that comes back is told the same
				back, ok, err := b.BeginTurnBack(t.Context(), req, key)
				require.NoError(t, err)
				require.True(t, ok)
				require.ElementsMatch(t, want, back.Stopped)
			}
			for _, o := range want {
				why, _, err := b.Stopped(t.Context(), "shop", o)
				require.NoError(t, err)
				require.Contains(t, why, "rollback/shop/prod turned it back under tenure")
			}
			again, ok, err := b.BeginTurnBack(t.Context(), req, anew(workflow("rollback/shop/prod")))
			require.NoError(t, err)
			require.True(t, ok)
			require.Empty(t, again.Stopped, "nothing has begun since")
		})
	}
}

func TestABackfillThatIsRolledBackWhileItIsOpenIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	_, fill, crossing := b.underWay(t)
	b.owner = fill
	b.tenure.Release, b.tenure.Number = releaseOf("1.0.0"), b.tenureOf(t)
	b.orders("2026-01-05", 10, 4)
	half := b.patient(b.swaps(t, mart("1.0.0"), "2026-01-05")...)
	half.Activate = false
	b.done(t, half)
	req := compensation(fill)
	req.ByPerson = true
	back := b.begins(t, req)
	require.Contains(t, back.Stopped, fill)
	require.Contains(t, back.Stopped, crossing)
}

// Whoever cannot speak is not told.
func TestARecoveryDoesNotNameWhatItRecovers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	run, _, crossing := b.underWay(t)
	b.owner = crossing
	half := b.patient(b.swaps(t, mart("1.2.0"), "2026-01-01")...)
	half.Activate = false
	b.done(t, half)
	back := b.begins(t, turnback.Request{Pipeline: "shop", Workflow: crossing.Workflow(), ByPerson: true, By: "ann", Reason: "it was terminated"})
	require.Contains(t, back.Stopped, run)
	require.NotContains(t, back.Stopped, crossing)
}

// What a turn-back of one partition has stopped turns itself back when that is over, and where it has changed nothing at once.
func TestWhatTheTurnBackOfOnePartitionHasStopped(t *testing.T) {
	t.Parallel()
	for name, published := range map[string]bool{"has published nothing": false, "has published": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
			require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
			b.scheduled(t, 2, "2026-01-01")
			b.cross(t, "1.1.0")
			owner := b.owner
			half := b.patient(b.swaps(t, mart("1.1.0"), "2026-01-02")...)
			half.Activate = false
			if published {
				b.done(t, half)
			}
			req := rollback("")
			req.Output, req.Partition = "fct_orders", "2026-01-01"
			back := b.begins(t, req)
			require.Equal(t, []effect.Owner{owner}, back.Stopped)
			_, _, err := b.BeginTurnBack(t.Context(), compensation(workflow("deploy/shop/other")), anew(owner))
			require.Equal(t, fault.Conflict, fault.ClassOf(err), "it has not stopped that one: %v", err)

			preview, would, err := b.PreviewTurnBack(t.Context(), compensation(owner))
			require.NoError(t, err)
			first, ok, err := b.BeginTurnBack(t.Context(), compensation(owner), anew(owner))
			require.NoError(t, err)
			require.False(t, would)
			require.False(t, ok)
			for _, b := range []turnback.TurnBack{preview, first} {
				if published {
					require.Equal(t, back.Tenure.Number, b.Tenure.Number, "that comes first")
				} else {
					require.Zero(t, b.Tenure.Number)
				}
			}
			state, _ := back.finish(t)
			require.Equal(t, turnback.Done, state)
			_, ok, err = b.BeginTurnBack(t.Context(), compensation(owner), anew(owner))
			require.NoError(t, err)
			require.Equal(t, published, ok)
		})
	}
}

// tenureOf is the number of the active tenure.
func (b *bundle) tenureOf(t *testing.T) int64 {
	t.Helper()
	active, err := b.Active(t.Context(), "shop")
	require.NoError(t, err)
	return active.Number
}
