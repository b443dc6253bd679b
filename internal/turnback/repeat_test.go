package turnback_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// drawn is a random past: deployments, runs, detaches by people, turn-backs whole and half, dropped generations.
type drawn struct {
	*history
	last   int64 // tenure
	active int64
	fills  []string // backfills
}

var drawnKeys = []partition.Key{"2026-01-01", "2026-01-02", partition.AllKey}

func outputsOf(v string) []string {
	return map[string][]string{"": nil, "1.0.0": {"ta", "tb"}, "1.1.0": {"ta", "tb", "tc"}, "1.2.0": {"ta"}}[v]
}

func draw(t *rapid.T) *drawn {
	d := &drawn{history: newHistory()}
	for i := range rapid.IntRange(1, 14).Draw(t, "events") {
		d.event(t, fmt.Sprintf("w%d", i))
	}
	return d
}

func (d *drawn) event(t *rapid.T, workflow string) {
	some := func(label string, f func(partition.Key)) {
		for _, key := range drawnKeys {
			if rapid.Bool().Draw(t, label) {
				f(key)
			}
		}
	}
	active := d.tenures[d.active]
	switch rapid.SampledFrom([]string{"deploy", "deploy", "run", "run", "fill", "back", "detach", "drop"}).Draw(t, "event") {
	case "deploy":
		d.last++
		v := rapid.SampledFrom([]string{"1.0.0", "1.1.0", "1.2.0"}).Draw(t, "version")
		d.deploys(d.last, workflow, v)
		some("deploys", func(key partition.Key) { d.publishes(key, d.last, workflow, outputsOf(v)...) })
		if rapid.IntRange(0, 3).Draw(t, "abandoned") > 0 {
			d.active = d.last
			return
		}
		abandoned := d.tenures[d.last]
		abandoned.Activated = false
		d.tenures[d.last] = abandoned
	case "run":
		if !active.None() {
			some("runs", func(key partition.Key) {
				d.publishes(key, d.active, workflow, outputsOf(active.Release.Version)...)
			})
		}
	case "fill":
		if !active.None() {
			d.fills = append(d.fills, "backfill/shop/prod/"+workflow)
			some("fills", func(key partition.Key) {
				d.publishes(key, d.active, "backfill/shop/prod/"+workflow, outputsOf(active.Release.Version)...)
			})
		}
	case "back":
		if f, ok := d.target(t); ok {
			d.last++
			d.opens(d.last, workflow, f.K.Release.Version, release.ByTurnBack, f.K.Number)
			d.active = d.last
			some("goes back", func(key partition.Key) {
				if d.slots[key] != nil {
					d.apply(f, d.decide(f, key), d.last, workflow)
				}
			})
		}
	case "detach":
		key := rapid.SampledFrom(drawnKeys).Draw(t, "detached")
		for _, o := range slices.Sorted(maps.Keys(d.slots[key])) {
			if d.slots[key][o].Live != 0 {
				d.swap(key, o, d.active, workflow, turnback.KindDetach, 0)
			}
		}
	case "drop":
		for _, id := range slices.Sorted(maps.Keys(d.generations)) {
			if d.generations[id].State == generation.Retired && rapid.IntRange(0, 3).Draw(t, "dropped") == 0 {
				d.change(id, func(g *turnback.Generation) {
					if id%2 == 0 {
						g.State = generation.Dropped
					} else {
						g.NotReattachable = "a column came later"
					}
				})
			}
		}
	}
}

// target draws what to go back to: a tenure that was active, or before a workflow.
func (d *drawn) target(t *rapid.T) (turnback.Facts, bool) {
	numbers := slices.Sorted(maps.Keys(d.tenures))
	if len(numbers) == 0 {
		return turnback.Facts{}, false
	}
	n := rapid.SampledFrom(numbers).Draw(t, "tenure")
	var f turnback.Facts
	switch what := rapid.SampledFrom([]string{"a tenure", "a workflow", "a backfill"}).Draw(t, "target"); {
	case what == "a backfill" && len(d.fills) > 0:
		fill := rapid.SampledFrom(d.fills).Draw(t, "backfill")
		f = d.without(fill, d.active, outputsOf(d.tenures[d.active].Release.Version)...)
		f.ByPerson = true
	case what == "a tenure":
		f = d.to(n, outputsOf(d.tenures[n].Release.Version)...)
	default:
		f = d.without(d.tenures[n].Owner, n-1, outputsOf(d.tenures[n-1].Release.Version)...)
		f.ByPerson = rapid.Bool().Draw(t, "by a person")
	}
	f.Snapshot = rapid.Bool().Draw(t, "snapshot")
	f.DetachNewOutputs = rapid.Bool().Draw(t, "detach new outputs")
	f.TurnedBack = maps.Clone(f.TurnedBack)
	return f, true
}

func (d *drawn) decisions(f turnback.Facts) map[partition.Key]turnback.Decision {
	all := map[partition.Key]turnback.Decision{}
	for key := range d.slots {
		all[key] = d.decide(f, key)
	}
	return all
}

func TestDecidingAgainGivesExactlyWhatIsLeft(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		f, ok := d.target(t)
		if !ok {
			return
		}
		first := d.decisions(f)
		d.last++
		d.opens(d.last, "u", f.K.Release.Version, release.ByTurnBack, f.K.Number)
		require.Equal(t, first, d.decisions(f), "the tenure that a turn-back opens changes nothing of what it takes")
		done := map[partition.Key]bool{}
		for _, key := range drawnKeys {
			if rapid.Bool().Draw(t, "done") {
				d.apply(f, first[key], d.last, "u")
				done[key] = true
			}
		}
		for key, again := range d.decisions(f) {
			if !done[key] {
				require.Equal(t, first[key], again, "what is left does not depend on what was done")
			}
			require.False(t, done[key] && again.Changes(), "done is done: %+v after %+v", again.Items, first[key].Items)
			require.Equal(t, first[key].Open(), again.Open(), "what a person has to look at stays named")
		}
		for _, key := range drawnKeys {
			if !done[key] {
				d.apply(f, first[key], d.last, "u")
			}
		}
		for _, again := range d.decisions(f) {
			require.False(t, again.Changes(), "%+v", again.Items)
		}
	})
}

// TestWhatADecisionPromises holds each decision against what it may do at all, whatever happened before.
func TestWhatADecisionPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		f, ok := d.target(t)
		if !ok {
			return
		}
		for key, decision := range d.decisions(f) {
			built := map[turnback.Action]bool{}
			for _, it := range decision.Items {
				slot := d.slots[key][it.Output]
				built[it.Action] = true
				require.Equal(t, slot.Live, it.From)
				require.NotEmpty(t, it.Reason)
				switch it.Action {
				case turnback.SwapBack:
					g := d.generations[it.To]
					require.Equal(t, generation.Retired, g.State)
					require.Empty(t, g.NotReattachable)
					require.True(t, slices.ContainsFunc(slot.Swaps, func(s turnback.Swap) bool { return s.To == it.To }), "it was live there")
				case turnback.Rebuild:
					require.True(t, f.Outputs[it.Output] && !f.K.None(), "the target's release can build it")
				case turnback.Detach:
					require.NotZero(t, it.From)
					require.False(t, f.K.None() && !f.ByPerson, "a first release is never detached without a person")
				case turnback.Keep, turnback.Leave:
				}
			}
			for _, it := range decision.Items {
				stays := it.Action == turnback.Leave && (strings.HasPrefix(f.Target.Owner, "backfill/") || it.Open && (f.K.None() || f.Outputs[it.Output]))
				require.False(t, stays && decision.Changes(), "%s is left, and its partition is split: %+v", it.Output, decision.Items)
			}
			require.True(t, built[decision.Action] || decision.Action == turnback.Keep)
			if built[turnback.Rebuild] {
				for _, it := range decision.Items {
					require.False(t, it.Action == turnback.SwapBack && f.Outputs[it.Output], "one rebuild rebuilds all outputs that the target has")
				}
			}
		}
	})
}
