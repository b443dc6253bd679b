package model_test

import (
	"hash/maphash"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/model"
)

// explorer tries everything that may happen in a world, down to a depth. A state that was reached before, with as many
// steps left, is not tried again.
type explorer struct {
	t        *testing.T
	promises []model.Promise
	seed     maphash.Seed
	left     map[uint64]int // steps that were left in the states that were tried
	settled  map[uint64]bool
	trace    []model.Op
	buffer   []byte
	tried    int
}

func explore(t *testing.T, from model.World, depth int) (states, transitions int) {
	t.Helper()
	x := &explorer{t: t, promises: model.Promises(), seed: maphash.MakeSeed(), left: map[uint64]int{}, settled: map[uint64]bool{}}
	x.from(&from, depth)
	return len(x.left), x.tried
}

func (x *explorer) from(w *model.World, left int) {
	// Where a flow lives and there are steps left, settling begins with a step that is tried anyway.
	if left == 0 || !w.Alive() {
		_, err := w.Settle(x.known)
		x.holds(err)
	}
	if left == 0 {
		return
	}
	for _, o := range w.Possible() {
		next, _ := w.Next(o)
		x.tried++
		var print uint64
		print, x.buffer = next.Print(x.seed, x.buffer)
		if before, seen := x.left[print]; seen && before >= left-1 {
			continue
		}
		x.left[print] = left - 1
		x.trace = append(x.trace, o)
		x.holds(model.Broken(x.promises, w, &next))
		x.from(&next, left-1)
		x.trace = x.trace[:len(x.trace)-1]
	}
}

// known says whether a world on the way to a settled one was there before.
func (x *explorer) known(w *model.World) bool {
	var print uint64
	print, x.buffer = w.Print(x.seed, x.buffer)
	before := x.settled[print]
	x.settled[print] = true
	return before
}

// holds fails with everything that led to a promise that does not hold.
func (x *explorer) holds(err error) {
	if err == nil {
		return
	}
	var lines []string
	for _, o := range x.trace {
		lines = append(lines, o.String())
	}
	require.NoError(x.t, err, "after:\n%s", strings.Join(lines, "\n"))
}

// lived is a world in which releases were deployed, one after another, to the first pipelines.
func lived(t *testing.T, b model.Bounds, releases ...int) model.World {
	t.Helper()
	w := model.New(b)
	for p := range b.Pipelines {
		for _, r := range releases {
			w.Bounds.Flows = len(w.Flows) + 1
			w, _ = w.Next(model.Op{What: model.Start, Kind: model.Deploy, Pipeline: p, Release: r})
			var err error
			w, err = w.Settle(nil)
			require.NoError(t, err)
			require.Equal(t, "done", w.Flows[len(w.Flows)-1].Result)
		}
	}
	w.Bounds = b
	w.Bounds.Flows += len(w.Flows)
	return w
}

// TestEveryInterleaving tries every order of starts, effects, cancels, kills, lost commits, zombies and drops in the worlds
// below, from the state that they begin in. A deployment has 5 effects, a run 3, a turn-back 3; in steps one more each; the depth counts all that
// happens. At the depth's end each world is settled: what lives goes on, what was abandoned is recovered, what is open is
// finished. The depths fit a minute on two cores; DRAWBRIDGE_SOAK=1 lets one more workflow take part, and goes deeper.
func TestEveryInterleaving(t *testing.T) {
	t.Parallel()
	soak := os.Getenv("DRAWBRIDGE_SOAK") == "1"
	worlds := map[string]struct {
		bounds   model.Bounds
		releases []int // that were deployed before
		depth    int
	}{
		"a new ledger":                     {model.Bounds{Pipelines: 1, Flows: 2, Faults: 1}, nil, 13},
		"a new ledger, in steps":           {model.Bounds{Pipelines: 1, Flows: 2, Faults: 1, Steps: true}, nil, 13},
		"one release, two faults":          {model.Bounds{Pipelines: 1, Flows: 2, Faults: 2}, []int{0}, 10},
		"one release, in steps":            {model.Bounds{Pipelines: 1, Flows: 2, Faults: 2, Steps: true}, []int{0}, 10},
		"two releases, three workflows":    {model.Bounds{Pipelines: 1, Flows: 3}, []int{0, 1}, 11},
		"two releases, in steps":           {model.Bounds{Pipelines: 1, Flows: 3, Steps: true}, []int{0, 1}, 11},
		"three releases":                   {model.Bounds{Pipelines: 1, Flows: 2, Faults: 1}, []int{0, 1, 2}, 11},
		"three releases, in steps":         {model.Bounds{Pipelines: 1, Flows: 2, Faults: 1, Steps: true}, []int{0, 1, 2}, 11},
		"a day that cannot be rebuilt":     {model.Bounds{Pipelines: 1, Flows: 2, Faults: 1, Sourceless: [model.Partitions]bool{2: true}}, []int{0, 1}, 11},
		"a day that cannot be, in steps":   {model.Bounds{Pipelines: 1, Flows: 2, Faults: 1, Steps: true, Sourceless: [model.Partitions]bool{2: true}}, []int{0, 1}, 11},
		"two pipelines in one schema":      {model.Bounds{Pipelines: 2, Flows: 2, Faults: 1}, []int{0, 1}, 7},
		"two pipelines, a ledger of steps": {model.Bounds{Pipelines: 2, Flows: 3, Steps: true}, nil, 8},
	}
	for name, c := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if soak {
				c.bounds.Flows++
				c.depth++
			}
			states, tried := explore(t, lived(t, c.bounds, c.releases...), c.depth)
			t.Logf("%d states, %d steps between them, depth %d", states, tried, c.depth)
			require.Greater(t, states, 10_000, "the world has become too small to say anything")
		})
	}
}

// TestATraceCanBeRepeated: what a replay on a real database is given is the same for the same seed, keeps every promise,
// and ends settled.
func TestATraceCanBeRepeated(t *testing.T) {
	t.Parallel()
	w := lived(t, model.Bounds{Pipelines: model.Pipelines, Flows: 5, Faults: 3}, 0, 1)
	kinds := map[model.What]bool{}
	for seed := range uint64(200) {
		before, trace := w, model.Trace(w, seed, 40)
		again := model.Trace(w, seed, 40)
		require.Len(t, again, len(trace))
		for i, step := range trace {
			require.Equal(t, step.Op, again[i].Op)
			require.NoError(t, model.Broken(model.Promises(), &before, &step.World), "seed %d, step %d", seed, i)
			before = step.World
			kinds[step.Op.What] = true
		}
		require.NoError(t, model.Broken(model.Settled(), nil, &before), "seed %d", seed)
	}
	require.Len(t, kinds, 7, "the traces have everything that may happen")
}
