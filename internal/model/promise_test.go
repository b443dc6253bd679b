package model

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/turnback"
)

// does lets ops happen, one after another.
func (w World) does(ops ...Op) World {
	for _, o := range ops {
		w, _ = w.Next(o)
	}
	return w
}

// through starts a flow and lets it go on for some steps.
func (w World) through(o Op, steps int) World {
	o.What = Start
	w = w.does(o)
	for range steps {
		w = w.does(Op{What: Do, Flow: len(w.Flows) - 1})
	}
	return w
}

// turned is a world in which 1.1.0 was deployed over 1.0.0, its first day was run again, and it was rolled back up to the
// last step.
func turned(steps bool) World {
	more := 0 // effects of what is done in steps
	if steps {
		more = 1
	}
	return New(Bounds{Pipelines: 1, Flows: 9, Steps: steps}).
		through(Op{Kind: Deploy}, 5+more).through(Op{Kind: Deploy, Release: 1}, 5+more).
		through(Op{Kind: Run}, 3).through(Op{Kind: Rollback, To: "1"}, 2+more)
}

// TestEveryPromiseCanBreak tampers with a world that keeps all promises: a check that cannot fail holds nothing.
func TestEveryPromiseCanBreak(t *testing.T) {
	t.Parallel()
	slot := func(w *World, part, output int) *turnback.Slot { return &w.Ledgers[0].Slots[part][output] }
	// makeLive swaps a generation in behind the ledger's back, in all outputs of a partition.
	makeLive := func(w *World, part int, tenure, flow int64, kind string) {
		for o := range Outputs {
			s := slot(w, part, o)
			id := flow*10_000 + int64(part)*10 + int64(o) + 1
			s.Swaps = append(s.Swaps, turnback.Swap{Tenure: tenure, Owner: w.Flows[flow-1].Owner, From: s.Live, To: id, Kind: kind})
			s.Live = id
		}
	}
	cases := map[string]func(w *World){
		"the swap log leads to what is live": func(w *World) { slot(w, 1, 0).Live = 4711 },
		"a generation is published once": func(w *World) {
			s := slot(w, 1, 0)
			s.Swaps = append(s.Swaps, turnback.Swap{Tenure: 9, From: s.Live, To: 0, Kind: turnback.KindDetach}, turnback.Swap{Tenure: 9, To: s.Live, Kind: turnback.KindPublish})
		},
		"the outputs of a partition are of one release": func(w *World) {
			s := slot(w, 1, 0)
			s.Swaps = append(s.Swaps, turnback.Swap{Tenure: 3, From: s.Live, To: 20011, Kind: turnback.KindTurnBack})
			s.Live = 20011
		},
		"what was turned back publishes nothing afterwards": func(w *World) {
			w.Ledgers[0].Generations = append(w.Ledgers[0].Generations,
				turnback.Generation{ID: 30911, Digest: Version(0, 1).Digest}, turnback.Generation{ID: 30912, Digest: Version(0, 1).Digest})
			for o := range Outputs {
				s := slot(w, 1, o)
				s.Swaps = append(s.Swaps, turnback.Swap{Tenure: 2, Owner: "run", From: s.Live, To: 30911 + int64(o), Kind: turnback.KindPublish})
				s.Live = 30911 + int64(o)
			}
		},
		"a finished turn-back leaves the target's state": func(w *World) { makeLive(w, 1, 3, 2, turnback.KindTurnBack) },
		"turning back loses no run's data":               func(w *World) { makeLive(w, 0, 3, 1, turnback.KindTurnBack) },
		"only what is active is attested": func(w *World) {
			w.Ledgers[0].Attested = append(w.Ledgers[0].Attested, 2)
		},
		"what becomes visible as one does so whole": func(w *World) {
			for o := range Outputs {
				s := slot(w, 2, o)
				s.Swaps = slices.DeleteFunc(slices.Clone(s.Swaps), func(swap turnback.Swap) bool { return swap.Tenure == 2 })
			}
		},
		"every turn-back has ended, and nobody crosses": func(w *World) { w.Ledgers[0].Crossing = "deploy" },
		"what is live led to the active release, or is named": func(w *World) {
			w.Ledgers[0].Active = 1
			makeLive(w, 1, 3, 2, turnback.KindTurnBack)
		},
	}
	for _, p := range append(Promises(), Settled()...) {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			before := turned(false)
			after := before.does(Op{What: Do, Flow: len(before.Flows) - 1})
			require.Equal(t, turnback.Done, after.Ledgers[0].Backs[0].State)
			require.NoError(t, p.Holds(&before, &after))
			tamper, known := cases[p.Name]
			require.True(t, known, "each promise has a world that breaks it")
			tampered := after.clone()
			tampered.Ledgers[0].Backs = append([]Back(nil), tampered.Ledgers[0].Backs...)
			tamper(&tampered)
			require.Error(t, p.Holds(&before, &tampered))
		})
	}
}

// TestTheModelDoesWhatTheWorldDoes has the ordinary ways once, so that an exploration in which nothing is ever admitted
// cannot pass for one that holds.
func TestTheModelDoesWhatTheWorldDoes(t *testing.T) {
	t.Parallel()
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("in steps: %t", steps), func(t *testing.T) {
			t.Parallel()
			does(t, turned(steps))
		})
	}
}

// does goes on with a rollback before its last step.
func does(t *testing.T, w World) {
	t.Helper()
	first, _ := w.Ledgers[0].Live(1, 0)
	require.Equal(t, Version(0, 0).Digest, first.Digest, "a day that only the deployment published is swapped back")
	require.EqualValues(t, 10011, first.ID)
	rerun, _ := w.Ledgers[0].Live(0, 0)
	require.Equal(t, Version(0, 0).Digest, rerun.Digest, "a day that was run since is built again")
	require.Equal(t, generation.Live, rerun.State)
	require.NotEqualValues(t, 10001, rerun.ID)
	require.Equal(t, []int64{1, 2}, w.Ledgers[0].Attested)
	w = w.does(Op{What: Do, Flow: 3})
	require.Equal(t, "done", w.Flows[3].Result)
	w = w.through(Op{Kind: Rollback, To: "2"}, 3)
	if w.Bounds.Steps {
		w = w.does(Op{What: Do, Flow: len(w.Flows) - 1})
	}
	back, _ := w.Ledgers[0].Live(1, 0)
	require.Equal(t, Version(0, 1).Digest, back.Digest, "a rollback of a rollback")
}

func TestTheModelNamesWhatCannotGoBack(t *testing.T) {
	t.Parallel()
	sourceless := New(Bounds{Pipelines: 1, Flows: 9, Steps: true, Sourceless: [Partitions]bool{true, false, false}}).
		through(Op{Kind: Deploy}, 6).through(Op{Kind: Deploy, Release: 1}, 6).
		through(Op{Kind: Run}, 3).through(Op{Kind: Rollback, To: "1"}, 4)
	require.Equal(t, "stuck", sourceless.Flows[3].Result)
	require.True(t, sourceless.Ledgers[0].Backs[0].Left[0], "what cannot be built again is named")

	cancelled := New(Bounds{Pipelines: 1, Flows: 9, Steps: true, Faults: 9}).through(Op{Kind: Deploy}, 6).through(Op{Kind: Deploy, Release: 1}, 3).
		does(Op{What: Cancel, Flow: 1})
	cancelled, err := cancelled.Settle(nil)
	require.NoError(t, err)
	require.Equal(t, "refused", cancelled.Flows[1].Result)
	g, _ := cancelled.Ledgers[0].Live(0, 0)
	require.EqualValues(t, 10001, g.ID, "a deployment that is cancelled turns back what it has published")
}
