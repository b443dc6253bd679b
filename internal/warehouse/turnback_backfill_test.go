package warehouse_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
	"drawbridge/internal/effect"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

const (
	filling     = "backfill/shop/prod/2026-01-01..2026-01-03"
	overlapping = "backfill/shop/prod/2026-01-02..2026-01-03"
)

// backfills builds days again from this amount, as a backfill of the first three does.
func (b *bundle) backfills(t *testing.T, amount int, days ...partition.Key) {
	t.Helper()
	b.fills(t, filling, amount, days...)
}

// fills builds days again as a backfill with this ID does, and ends it.
func (b *bundle) fills(t *testing.T, id string, amount int, days ...partition.Key) {
	t.Helper()
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	b.owner = workflow(id)
	p := mart(b.tenure.Release.Version)
	_, err := b.BeginBackfill(t.Context(), backfill.Entry{
		Plan: backfill.Plan{
			Environment: prod, Release: b.tenure.Release, Config: b.tenure.Config, Tenure: b.tenure.Number,
			Ask: backfill.Ask{From: "2026-01-01", To: "2026-01-03"}, Partitions: days,
		},
		Scheme: p.Partition, Outputs: outputs(), By: "ann", Reason: "the files were corrected",
	}, anew(b.owner))
	require.NoError(t, err)
	b.run(t, amount, days...)
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
}

// itself is a person's request to turn that backfill back, and whatever one that takes what others have published over it too.
func itself() turnback.Request {
	return turnback.Request{Pipeline: "shop", Workflow: filling, ByPerson: true, By: "ann", Reason: "the correction was wrong"}
}

func whatever() turnback.Request {
	req := itself()
	req.Snapshot = true
	return req
}

// unfill is a request about the start of the backfill that it is for.
func (b *bundle) unfill(t *testing.T, req turnback.Request) (turnback.Request, bool) {
	t.Helper()
	owners, err := b.BackfillsOf(t.Context(), req)
	require.NoError(t, err)
	if len(owners) == 0 {
		return req, false
	}
	require.Equal(t, []effect.Owner{workflow(req.Workflow)}, owners)
	req.Workflow, req.Owner = "", string(owners[0])
	return req, true
}

func (b *bundle) unfills(t *testing.T, req turnback.Request) turning {
	t.Helper()
	req, ok := b.unfill(t, req)
	require.True(t, ok, "nothing is left to turn back")
	return b.begins(t, req)
}

func TestWhatOthersPublishedOverABackfillGoesBackWhenAPersonSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02", "2026-01-03")
	b.backfills(t, 2, "2026-01-01", "2026-01-02", "2026-01-03")
	b.scheduled(t, 3, "2026-01-02")
	overwritten := seen("1.0.0/3.50", "1.0.0/2.50", "1.0.0/3.50", "1.0.0/2.50")
	require.Equal(t, overwritten, b.live(t))

	state, left := b.unfills(t, itself()).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Len(t, left, 3, "both outputs of the day, and the dimension: %v", left)
	require.Equal(t, seen("1.0.0/3.50", "1.0.0/1.50", "1.0.0/3.50", "1.0.0/1.50"), b.live(t))
	_, ok := b.unfill(t, itself())
	require.False(t, ok, "it is turned back")

	req, ok := b.unfill(t, whatever())
	require.True(t, ok, "what was left can be turned back all the same")
	preview, ok, err := b.PreviewTurnBack(t.Context(), req)
	require.NoError(t, err)
	require.True(t, ok)
	would := turning{bundle: b, TurnBack: preview}.decisions(t)
	require.Equal(t, map[partition.Key]turnback.Action{
		"2026-01-01": turnback.Keep, "2026-01-02": turnback.SwapBack, "2026-01-03": turnback.Keep, partition.AllKey: turnback.SwapBack,
	}, actions(would))
	for _, it := range would[1].Items {
		require.Equal(t, it.From, it.Newer)
		require.Contains(t, it.Reason, "published by run/shop/")
		require.Contains(t, it.Reason, "is discarded")
	}
	state, left = b.unfills(t, whatever()).finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Empty(t, left)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
	_, ok = b.unfill(t, whatever())
	require.False(t, ok, "nothing of it is left")
}

// Whoever changes their mind while it is open, or has ended as stuck, is heard: it is the same turn-back.
func TestATurnBackOfABackfillHearsThatNewerDataIsToGoToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.backfills(t, 2, "2026-01-01", "2026-01-02")
	b.scheduled(t, 3, "2026-01-01", "2026-01-02")
	first := b.unfills(t, itself())
	require.Equal(t, turnback.Leave, actions(first.decisions(t))["2026-01-01"])
	again := b.unfills(t, whatever())
	require.Equal(t, first.Tenure.Number, again.Tenure.Number)
	stored, err := b.TurnBack(t.Context(), first.Tenure.Number)
	require.NoError(t, err)
	require.True(t, stored.Request.Snapshot)
	again.apply(t, again.decisions(t)[0])

	// The same command without the word goes on with what was asked for.
	state, left := b.unfills(t, itself()).finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
}

func TestWhatIsDroppedComesBackForNobodysWord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.backfills(t, 2, "2026-01-01", "2026-01-02")
	b.scheduled(t, 3, "2026-01-02")
	b.db.Exec(t, `
		UPDATE `+b.db.Schema+`__ledger.generation
		SET state = 'dropped'
		WHERE id = (SELECT min(id) FROM `+b.db.Schema+`__ledger.generation WHERE output = 'fct_orders' AND partition = '2026-01-02')`)
	state, left := b.unfills(t, whatever()).finish(t)
	require.Equal(t, turnback.Stuck, state)
	require.Len(t, left, 2, "%v", left)
	for _, l := range left {
		require.Equal(t, partition.Key("2026-01-02"), l.Partition)
		require.True(t, l.Stuck)
		require.Contains(t, l.Reason, "is dropped")
	}
}

// Readers never see an output of a partition as it was before a backfill beside another as it is after it, however often it is asked.
func TestAPartitionOfABackfillIsLeftWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.backfills(t, 2, "2026-01-01", "2026-01-02")
	b.db.Exec(t, `
		UPDATE `+b.db.Schema+`__ledger.generation
		SET not_reattachable = 'its rows are not those that were recorded'
		WHERE id = (SELECT min(id) FROM `+b.db.Schema+`__ledger.generation WHERE output = 'agg_orders' AND partition = '2026-01-02')`)
	req, ok := b.unfill(t, itself())
	require.True(t, ok)
	preview, ok, err := b.PreviewTurnBack(t.Context(), req)
	require.NoError(t, err)
	require.True(t, ok)
	would := actions(turning{bundle: b, TurnBack: preview}.decisions(t))
	require.Equal(t, turnback.Leave, would["2026-01-02"])
	require.Equal(t, turnback.SwapBack, would["2026-01-01"])
	for range 2 {
		state, left := b.unfills(t, itself()).finish(t)
		require.Equal(t, turnback.Stuck, state)
		require.Len(t, left, 2, "%v", left)
		reasons := map[string]string{}
		for _, l := range left {
			require.True(t, l.Stuck)
			require.Equal(t, partition.Key("2026-01-02"), l.Partition)
			reasons[l.Output] = l.Reason
		}
		require.Contains(t, reasons["agg_orders"], "cannot be re-attached: its rows are not those that were recorded")
		require.Contains(t, reasons["fct_orders"], "left with agg_orders: ")
		require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/2.50"), b.live(t))
	}
}

// The later of two backfills goes back to what was there before both, where the earlier one has been turned back since.
func TestNoBackfillThatWasTurnedBackComesToLifeAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first turnback.Request // how the earlier one is turned back
		after []string         // what is live then
		then  map[partition.Key]turnback.Action
	}{
		"and had left what the later one has published": {
			first: itself(), after: seen("1.0.0/3.50", "1.0.0/1.50", "1.0.0/3.50", "1.0.0/3.50"),
			then: map[partition.Key]turnback.Action{"2026-01-01": turnback.Keep, "2026-01-02": turnback.SwapBack, "2026-01-03": turnback.SwapBack, partition.AllKey: turnback.SwapBack},
		},
		"and has taken that away": {
			first: whatever(), after: seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50", "1.0.0/3.50"),
			then: map[partition.Key]turnback.Action{"2026-01-01": turnback.Keep, "2026-01-02": turnback.Keep, "2026-01-03": turnback.SwapBack, partition.AllKey: turnback.Keep},
		},
	} {
		for force, later := range map[bool]turnback.Request{false: itself(), true: whatever()} {
			t.Run(fmt.Sprintf("%s, force %t", name, force), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02", "2026-01-03")
				b.fills(t, filling, 2, "2026-01-01", "2026-01-02")
				b.fills(t, overlapping, 3, "2026-01-02", "2026-01-03")
				state, _ := b.unfills(t, c.first).finish(t)
				require.Equal(t, turnback.Done, state)
				require.Equal(t, c.after, b.live(t))

				later.Workflow = overlapping
				back := b.unfills(t, later)
				would := back.decisions(t)
				require.Equal(t, c.then, actions(would))
				for _, d := range would {
					for _, it := range d.Items {
						require.Zero(t, it.Newer, "%+v", it)
					}
				}
				state, left := back.finish(t)
				require.Equal(t, turnback.Done, state)
				require.Empty(t, left)
				require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
				_, ok := b.unfill(t, itself())
				require.False(t, ok, "nothing of the earlier one is left")
			})
		}
	}
}

// Whatever a rollback of a backfill came to, what the backfill has published and is live again is left to turn back.
func TestWhatABackfillPublishedIsLeftToTurnBackWhileItIsLive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.backfills(t, 2, "2026-01-01", "2026-01-02")
	filled, _, err := b.Live(t.Context(), "fct_orders", "2026-01-02")
	require.NoError(t, err)
	b.scheduled(t, 3, "2026-01-02")
	state, left := b.unfills(t, itself()).finish(t)
	require.Equal(t, turnback.Done, state)
	require.NotEmpty(t, left)
	require.Equal(t, seen("1.0.0/3.50", "1.0.0/1.50", "1.0.0/3.50"), b.live(t))
	_, ok := b.unfill(t, itself())
	require.False(t, ok, "what is live there is another's")

	// A person takes the day back to what the backfill had published.
	state, left = b.begins(t, turnback.Request{
		Pipeline: "shop", Partition: "2026-01-02", Generation: filled, ByPerson: true, By: "ann", Reason: "the run was wrong",
	}).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Empty(t, left)
	require.Equal(t, seen("1.0.0/3.50", "1.0.0/1.50", "1.0.0/2.50"), b.live(t))

	state, left = b.unfills(t, itself()).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Len(t, left, 1, "the dimension is the run's: %v", left)
	require.Equal(t, seen("1.0.0/3.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
	_, ok = b.unfill(t, itself())
	require.False(t, ok, "nothing of it is live")
}
