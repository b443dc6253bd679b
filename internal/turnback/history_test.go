package turnback_test

import (
	"maps"
	"slices"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// history is a ledger in a few maps: tests tell what happened, and ask what turning back takes.
type history struct {
	tenures     map[int64]release.Tenure
	generations map[int64]turnback.Generation
	slots       map[partition.Key]map[string]*turnback.Slot
	turnedBack  map[string]int64
	ids         int64
}

func newHistory() *history {
	return &history{
		tenures: map[int64]release.Tenure{}, generations: map[int64]turnback.Generation{},
		slots: map[partition.Key]map[string]*turnback.Slot{}, turnedBack: map[string]int64{},
	}
}

func version(v string) release.Release {
	if v == "" {
		return release.Release{}
	}
	return release.Release{Pipeline: "shop", Version: v, Digest: "sha256:" + v}
}

// opens adds a tenure of a version ("" is none), opened by a workflow.
func (h *history) opens(number int64, workflow, v string, kind release.TenureKind, back int64) release.Tenure {
	t := release.Tenure{Number: number, Release: version(v), Owner: workflow, Kind: kind, Activated: true, Back: back}
	if v != "" {
		t.Config = "config"
	}
	h.tenures[number] = t
	return t
}

func (h *history) deploys(number int64, workflow, v string) release.Tenure {
	return h.opens(number, workflow, v, release.ByDeployment, 0)
}

func (h *history) slot(key partition.Key, output string) *turnback.Slot {
	if h.slots[key] == nil {
		h.slots[key] = map[string]*turnback.Slot{}
	}
	if h.slots[key][output] == nil {
		h.slots[key][output] = &turnback.Slot{Output: output}
	}
	return h.slots[key][output]
}

// swap makes a generation live, or none (0).
func (h *history) swap(key partition.Key, output string, tenure int64, workflow, kind string, to int64) {
	s := h.slot(key, output)
	if g, ok := h.generations[s.Live]; ok {
		g.State = generation.Retired
		h.generations[s.Live] = g
	}
	if g, ok := h.generations[to]; ok {
		g.State = generation.Live
		h.generations[to] = g
	}
	h.ids++
	s.Swaps = append(s.Swaps, turnback.Swap{ID: h.ids, Tenure: tenure, Owner: workflow, From: s.Live, To: to, Kind: kind})
	s.Live = to
}

// build makes a new generation live.
func (h *history) build(key partition.Key, output string, tenure int64, workflow, kind string, of release.Tenure) int64 {
	h.ids++
	id := h.ids
	h.generations[id] = turnback.Generation{
		ID: id, Digest: of.Release.Digest, Config: of.Config, State: generation.Built,
		Replaced: h.slot(key, output).Live, Owner: workflow,
	}
	h.swap(key, output, tenure, workflow, kind, id)
	return id
}

// publishes is a deployment's, run's or backfill's publish under a tenure.
func (h *history) publishes(key partition.Key, tenure int64, workflow string, outputs ...string) (last int64) {
	for _, o := range outputs {
		last = h.build(key, o, tenure, workflow, turnback.KindPublish, h.tenures[tenure])
	}
	return last
}

// change changes what the ledger says of a generation.
func (h *history) change(id int64, f func(*turnback.Generation)) {
	g := h.generations[id]
	f(&g)
	h.generations[id] = g
}

// to are the facts of going back to a tenure, asked by a person.
func (h *history) to(k int64, outputs ...string) turnback.Facts {
	return h.facts(turnback.Target{Tenure: k}, k, outputs)
}

// without are the facts of turning back a workflow, by itself, under the tenure that is opened next.
func (h *history) without(workflow string, k int64, outputs ...string) turnback.Facts {
	h.turnedBack[workflow] = slices.Max(append(slices.Collect(maps.Keys(h.tenures)), 0)) + 1
	f := h.facts(turnback.Target{Owner: workflow}, k, outputs)
	f.ByPerson = false
	return f
}

func (h *history) facts(t turnback.Target, k int64, outputs []string) turnback.Facts {
	has := map[string]bool{}
	for _, o := range outputs {
		has[o] = true
	}
	return turnback.Facts{
		Target: t, K: h.tenures[k], Outputs: has, Tenures: h.tenures, Generations: h.generations,
		TurnedBack: h.turnedBack, ByPerson: true,
	}
}

func (h *history) decide(f turnback.Facts, key partition.Key) turnback.Decision {
	var slots []turnback.Slot
	for _, o := range slices.Sorted(maps.Keys(h.slots[key])) {
		slots = append(slots, *h.slots[key][o])
	}
	return turnback.Decide(f, key, slots)
}

// apply does what was decided, under a turn-back's tenure.
func (h *history) apply(f turnback.Facts, d turnback.Decision, tenure int64, workflow string) {
	for _, it := range d.Items {
		switch it.Action {
		case turnback.Keep, turnback.Leave:
		case turnback.SwapBack:
			h.swap(d.Partition, it.Output, tenure, workflow, turnback.KindTurnBack, it.To)
		case turnback.Detach:
			h.swap(d.Partition, it.Output, tenure, workflow, turnback.KindTurnBack, 0)
		case turnback.Rebuild:
			h.build(d.Partition, it.Output, tenure, workflow, turnback.KindTurnBack, f.K)
		}
	}
}

// turnsBack opens a turn-back's tenure and does everything.
func (h *history) turnsBack(f turnback.Facts, number int64, workflow string) {
	h.opens(number, workflow, f.K.Release.Version, release.ByTurnBack, f.K.Number)
	for _, key := range slices.Sorted(maps.Keys(h.slots)) {
		h.apply(f, h.decide(f, key), number, workflow)
	}
}
