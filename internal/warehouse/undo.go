package warehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

const (
	// eventsRead bounds how far back the active releases of a pipeline are followed.
	eventsRead = 1000
	// swapsRead bounds how far back the swaps of a pipeline are followed.
	swapsRead = 100_000
)

// Fence closes the effects of the workflow whose keys begin with key, but for those under key/undo/. It waits for those
// that are under way: what the ledger shows after it is all that there will be. Twice is once.
func (w *Warehouse) Fence(ctx context.Context, key string) error {
	return postgres.Classify("fence effects of", key, w.ledger.Fence(ctx, w.pool, key))
}

// Undo computes from the ledger what a turn-back takes. It changes nothing.
func (w *Warehouse) Undo(ctx context.Context, p *pipeline.Pipeline, req plan.TurnBack) (plan.Undo, error) {
	h, err := w.readHistory(ctx, p)
	if err != nil {
		return plan.Undo{}, postgres.Classify("compute turn-back of", p.Name, err)
	}
	switch {
	case req.Key != "":
		return h.ofWorkflow(req), nil
	case req.Output != "":
		return h.ofPartition(req)
	}
	return h.ofRelease(req)
}

// history is what the ledger knows of a pipeline's outputs.
type history struct {
	pipeline    string
	active      *release.Release
	events      []catalog.ReleaseEvent // oldest first
	swaps       []catalog.Swap         // oldest first
	generations map[int64]catalog.Generation
	live        map[slot]int64
}

// slot is one partition of one output.
type slot struct {
	output    string
	partition partition.Key
}

func (w *Warehouse) readHistory(ctx context.Context, p *pipeline.Pipeline) (history, error) {
	h := history{pipeline: p.Name, generations: map[int64]catalog.Generation{}, live: map[slot]int64{}}
	var tables []string
	for _, o := range p.Outputs {
		tables = append(tables, o.Table)
	}
	var err error
	if h.active, err = w.ledger.Active(ctx, w.pool, p.Name); err != nil {
		return h, err
	}
	if h.events, err = w.ledger.ReleaseEvents(ctx, w.pool, p.Name, eventsRead); err != nil {
		return h, err
	}
	if h.swaps, err = w.ledger.SwapsOfPipeline(ctx, w.pool, tables, swapsRead); err != nil {
		return h, err
	}
	slices.Reverse(h.events)
	slices.Reverse(h.swaps)
	named := map[int64]bool{}
	for _, s := range h.swaps {
		h.live[slot{s.Output, s.Partition}] = s.To
		named[s.From], named[s.To] = true, true
	}
	delete(named, 0)
	h.generations, err = w.ledger.Generations(ctx, w.pool, slices.Collect(maps.Keys(named)))
	return h, err
}

// generation is a generation as the planner sees it; nil for 0.
func (h history) generation(id int64) *generation.Generation {
	if id == 0 {
		return nil
	}
	g := h.generations[id].Plan()
	return &g
}

// ofWorkflow turns back what one workflow published, whatever became of it since.
func (h history) ofWorkflow(req plan.TurnBack) plan.Undo {
	undo := plan.Undo{From: h.active, To: h.active}
	mine := func(key string) bool {
		return strings.HasPrefix(key, req.Key+"/") && !strings.HasPrefix(key, req.Key+catalog.UndoPath)
	}
	for _, e := range h.events {
		if mine(e.EffectKey) {
			undo.From, undo.To = e.To(), e.From()
			break
		}
	}
	ours := map[slot][]catalog.Swap{}
	var order []slot
	for _, s := range h.swaps {
		if !mine(s.EffectKey) {
			continue
		}
		at := slot{s.Output, s.Partition}
		if ours[at] == nil {
			order = append(order, at)
		}
		ours[at] = append(ours[at], s)
	}
	var held []plan.Held
	for _, at := range order {
		first, live := ours[at][0], h.live[at]
		one := plan.Held{Output: at.output, Partition: at.partition, Live: h.generation(live), Before: h.generation(first.From), Standing: plan.Foreign}
		switch {
		case slices.ContainsFunc(ours[at], func(s catalog.Swap) bool { return s.To == live }):
			one.Standing = plan.Ours
		case live != 0 && h.generations[live].Digest == h.generations[first.To].Digest:
			one.Standing = plan.Republished
		}
		held = append(held, one)
	}
	undo.Items = plan.Compensation(undo.To, held, req.Snapshot)
	return undo
}

// ofRelease turns back to a release that was active before: every live partition that a later release published.
func (h history) ofRelease(req plan.TurnBack) (plan.Undo, error) {
	stack := h.stack()
	if len(stack) == 0 {
		return plan.Undo{}, fault.Newf(fault.Refused, "roll back", h.pipeline, "deploy a release first", "no release is active")
	}
	at := len(stack) - 2
	if req.Version != "" {
		at = slices.IndexFunc(stack, func(r release.Release) bool { return r.Version == req.Version })
	}
	if at < 0 || at == len(stack)-1 {
		return plan.Undo{}, fault.Newf(fault.Refused, "roll back", h.pipeline+" to "+req.Version, "drawbridge history lists the releases; deploy the one that you want",
			"it was not active before "+stack[len(stack)-1].Version)
	}
	later := map[string]bool{}
	for _, r := range stack[at+1:] {
		later[r.Digest] = true
	}
	undo := plan.Undo{From: h.active, To: &stack[at]}
	undo.Items = plan.Compensation(undo.To, h.heldBy(later), req.Snapshot)
	return undo, nil
}

// stack is the releases that led to the active one: going back to an earlier one takes the later ones off.
func (h history) stack() []release.Release {
	var stack []release.Release
	for _, e := range h.events {
		to := e.To()
		if to == nil {
			stack = nil
			continue
		}
		if at := slices.IndexFunc(stack, func(r release.Release) bool { return r.Digest == to.Digest }); at >= 0 {
			stack = stack[:at]
		}
		stack = append(stack, *to)
	}
	return stack
}

// heldBy lists the partitions whose live generation is of one of the releases.
func (h history) heldBy(releases map[string]bool) []plan.Held {
	chain := map[slot][]int64{} // what led to what is live, oldest first
	var order []slot
	for _, s := range h.swaps {
		at := slot{s.Output, s.Partition}
		if chain[at] == nil {
			order = append(order, at)
			chain[at] = []int64{s.From}
		}
		if i := slices.Index(chain[at], s.To); i >= 0 {
			chain[at] = chain[at][:i] // going back takes off what came after
		}
		chain[at] = append(chain[at], s.To)
	}
	var held []plan.Held
	for _, at := range order {
		live := h.live[at]
		if live == 0 || !releases[h.generations[live].Digest] {
			continue
		}
		before := len(chain[at]) - 1
		for before >= 0 && chain[at][before] != 0 && releases[h.generations[chain[at][before]].Digest] {
			before--
		}
		one := plan.Held{Output: at.output, Partition: at.partition, Live: h.generation(live), Standing: plan.Ours}
		if before >= 0 {
			one.Before = h.generation(chain[at][before])
		}
		if before < len(chain[at])-2 {
			one.Standing = plan.Republished
		}
		held = append(held, one)
	}
	return held
}

// ofPartition turns one partition back to a generation, or to the last good one: the newest that was live before and can
// be again. The active release stays.
func (h history) ofPartition(req plan.TurnBack) (plan.Undo, error) {
	at := slot{req.Output, req.Partition}
	live := h.live[at]
	object := fmt.Sprintf("%s %s", req.Output, req.Partition)
	target := req.Generation
	for i := len(h.swaps) - 1; target == 0 && i >= 0; i-- {
		s := h.swaps[i]
		g := h.generations[s.From]
		if s.Output == req.Output && s.Partition == req.Partition && s.Kind == catalog.Publish && s.From != live && g.State == generation.Retired && g.NotReattachable == "" {
			target = s.From
		}
	}
	if target == 0 || target == live {
		return plan.Undo{}, fault.Newf(fault.Refused, "roll back", object, "run the partition with the release that you want",
			"there is no other generation that was live and can be again")
	}
	g, ok := h.generations[target]
	if !ok || g.Output != req.Output || g.Partition != req.Partition {
		return plan.Undo{}, fault.Newf(fault.Invalid, "roll back", object, "drawbridge history lists the generations of a partition",
			fmt.Sprintf("generation %d was never live there", target))
	}
	held := plan.Held{Output: req.Output, Partition: req.Partition, Standing: plan.Ours, Live: h.generation(live), Before: h.generation(target)}
	return plan.Undo{To: h.active, From: h.active, Items: plan.Compensation(h.active, []plan.Held{held}, false)}, nil
}
