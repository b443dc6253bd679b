package warehouse

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// DecideTurnBack decides about the next limit partitions after a key, from what is live now: asked again after any part was
// done it gives exactly what is left. has are the outputs that the release to go back to has.
func (w *Warehouse) DecideTurnBack(ctx context.Context, b turnback.TurnBack, has []turnback.Output, after partition.Key, limit int) (turnback.Page, error) {
	var page turnback.Page
	err := pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		outputs, err := w.turnedOutputs(ctx, tx, b.Request)
		if err != nil {
			return err
		}
		live, err := w.ledger.LivePage(ctx, tx, outputs, after, limit)
		if err != nil {
			return err
		}
		keys := slices.Sorted(maps.Keys(live))
		if len(keys) == 0 {
			return nil
		}
		if len(keys) == limit {
			page.Last = keys[len(keys)-1]
		}
		if b.Request.Single() {
			keys = slices.DeleteFunc(keys, func(k partition.Key) bool { return k != b.Request.Partition })
		}
		page.Decisions, err = w.decide(ctx, tx, b, has, outputs, keys, live)
		return err
	})
	return page, postgres.Classify("decide turn-back of", b.Request.Pipeline, err)
}

// DecidePartition decides about one partition, from what is live now.
func (w *Warehouse) DecidePartition(ctx context.Context, b turnback.TurnBack, has []turnback.Output, key partition.Key) (turnback.Decision, error) {
	d := turnback.Decision{Partition: key, Action: turnback.Keep}
	err := pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		outputs, err := w.turnedOutputs(ctx, tx, b.Request)
		if err != nil {
			return err
		}
		live, err := w.ledger.LiveAt(ctx, tx, outputs, key)
		if err != nil || len(live) == 0 {
			return err
		}
		decisions, err := w.decide(ctx, tx, b, has, outputs, []partition.Key{key}, map[partition.Key]map[string]catalog.Live{key: live})
		if err == nil {
			d = decisions[0]
		}
		return err
	})
	return d, postgres.Classify("decide turn-back of", b.Request.Pipeline+" "+string(key), err)
}

// turnedOutputs are the outputs that a turn-back is about: all that the ledger knows for the pipeline, or the one asked for.
func (w *Warehouse) turnedOutputs(ctx context.Context, q catalog.Querier, req turnback.Request) ([]string, error) {
	if req.Output != "" {
		return []string{req.Output}, nil
	}
	return w.ledger.OutputsOf(ctx, q, req.Pipeline)
}

func (w *Warehouse) decide(ctx context.Context, q catalog.Querier, b turnback.TurnBack, has []turnback.Output, outputs []string, keys []partition.Key, live map[partition.Key]map[string]catalog.Live) ([]turnback.Decision, error) {
	facts, slots, err := w.turnBackFacts(ctx, q, b, outputs, keys, live)
	if err != nil {
		return nil, err
	}
	facts.Outputs = map[string]bool{}
	for _, o := range has {
		facts.Outputs[o.Table], facts.Keeps = true, facts.Keeps || o.Keeps
		for _, key := range keys {
			// An output that was never published in a partition is built there with the others, where they are.
			if o.All == (key == partition.AllKey) && !slices.ContainsFunc(slots[key], func(s turnback.Slot) bool { return s.Output == o.Table }) {
				slots[key] = append(slots[key], turnback.Slot{Output: o.Table})
			}
		}
	}
	decisions := make([]turnback.Decision, 0, len(keys))
	for _, key := range keys {
		switch {
		case b.Request.Whole() && b.Request.Generation != 0:
			decisions = append(decisions, turnback.DecideTogether(facts, key, slots[key], b.Request.Generation, b.Tenure.Number))
			continue
		case b.Request.Whole():
			decisions = append(decisions, toNothing(key, slots[key]))
			continue
		case b.Request.Single():
			decisions = append(decisions, toGeneration(b.Request, slots[key]))
			continue
		}
		decisions = append(decisions, turnback.Decide(facts, key, slots[key]))
	}
	return decisions, nil
}

// turnBackFacts reads what the rules have to know about some partitions.
func (w *Warehouse) turnBackFacts(ctx context.Context, q catalog.Querier, b turnback.TurnBack, outputs []string, keys []partition.Key, live map[partition.Key]map[string]catalog.Live) (turnback.Facts, map[partition.Key][]turnback.Slot, error) {
	req := b.Request
	facts := turnback.Facts{
		Target: turnback.Target{Tenure: b.Target, Owner: req.Owner}, Tenures: map[int64]release.Tenure{},
		Snapshot: req.Snapshot, DetachNewOutputs: req.Detach, ByPerson: req.ByPerson,
	}
	tenures, err := w.ledger.Tenures(ctx, q, req.Pipeline)
	if err != nil {
		return facts, nil, err
	}
	for _, t := range tenures {
		facts.Tenures[t.Number] = t
	}
	facts.K = facts.Tenures[b.Tenure.Back]
	if facts.TurnedBack, err = w.ledger.TurnedBack(ctx, q, req.Pipeline); err != nil {
		return facts, nil, err
	}
	if facts.Target.Refills() { // where it has published nothing, nothing goes back, whatever happened there
		if keys, err = w.ledger.PublishedAt(ctx, q, req.Owner, outputs, keys); err != nil {
			return facts, nil, err
		}
	}
	swaps, err := w.ledger.SwapsAt(ctx, q, outputs, keys)
	if err != nil {
		return facts, nil, err
	}
	logs := map[catalog.Slot][]turnback.Swap{}
	for _, s := range swaps {
		at := catalog.Slot{Output: s.Output, Partition: s.Partition}
		logs[at] = append(logs[at], logged(s))
	}
	slots := map[partition.Key][]turnback.Slot{}
	var named []int64
	for _, key := range keys {
		for _, output := range outputs {
			now, ok := live[key][output]
			log := logs[catalog.Slot{Output: output, Partition: key}]
			if ok && len(log) > 0 {
				slot := turnback.Slot{Output: output, Live: now.Generation, Swaps: log}
				slots[key] = append(slots[key], slot)
				named = append(named, facts.Reads(slot)...)
			}
		}
	}
	facts.Generations, err = w.ledger.Past(ctx, q, named)
	return facts, slots, err
}

// lastGood is the generation to go back to in one output's partition, or in all outputs of it: the one that a person named, or the
// newest that was live before and can be again. Where all of them go back, those that were live with it can be again too.
func (w *Warehouse) lastGood(ctx context.Context, q catalog.Querier, b turnback.TurnBack) (int64, error) {
	req := b.Request
	keys := []partition.Key{req.Partition}
	outputs, err := w.turnedOutputs(ctx, q, req)
	if err != nil {
		return 0, err
	}
	swaps, err := w.ledger.SwapsAt(ctx, q, outputs, keys)
	if err != nil {
		return 0, err
	}
	first := "TABLE"
	if len(outputs) > 0 {
		first = outputs[0]
	}
	refuse := func(reason string) (int64, error) {
		return 0, fault.Newf(fault.Refused, "roll back", strings.TrimSpace(req.Output+" "+string(req.Partition)),
			"see them: drawbridge history "+req.Pipeline+" --env ENV --output "+cmp.Or(req.Output, first)+" --partition "+string(req.Partition)+"; or run it with the release that you want; or take all outputs of it away: --partition "+
				string(req.Partition)+" --to "+turnback.Nothing+", without --output", reason)
	}
	if len(swaps) == 0 {
		return refuse("nothing was ever published there")
	}
	live := map[string]int64{}
	logs := map[string][]turnback.Swap{}
	for _, s := range swaps {
		live[s.Output] = s.To
		logs[s.Output] = append(logs[s.Output], logged(s))
	}
	var slots []turnback.Slot
	for _, output := range outputs {
		slots = append(slots, turnback.Slot{Output: output, Live: live[output], Swaps: logs[output]})
	}
	slices.SortFunc(swaps, func(a, b catalog.Swap) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range slices.Backward(swaps) {
		if s.From == 0 || s.From == live[s.Output] || (req.Generation == 0 && s.Kind != catalog.Publish) || (req.Generation != 0 && s.From != req.Generation) {
			continue // of itself it goes to nothing that was turned back; a person may
		}
		back := map[string]int64{req.Output: s.From}
		if req.Whole() {
			back, _ = turnback.Together(slots, s.From, 0)
		}
		fit := true
		for output, id := range back {
			if id == live[output] {
				continue
			}
			g, err := w.ledger.Generation(ctx, q, id)
			if err != nil {
				return 0, err
			}
			fit = fit && g.State == generation.Retired && g.NotReattachable == ""
		}
		if fit {
			return s.From, nil
		}
	}
	if req.Generation != 0 {
		return refuse(fmt.Sprintf("generation %d was not live there, is live now, or cannot be again", req.Generation))
	}
	return refuse("there is no other generation that was live and can be again")
}

// there refuses to take a partition away of which nothing is live.
func (w *Warehouse) there(ctx context.Context, q catalog.Querier, req turnback.Request) error {
	outputs, err := w.ledger.OutputsOf(ctx, q, req.Pipeline)
	if err != nil {
		return err
	}
	live, err := w.ledger.LiveAt(ctx, q, outputs, req.Partition)
	if err != nil {
		return err
	}
	for _, l := range live {
		if l.Generation != 0 {
			return nil
		}
	}
	return fault.Newf(fault.Refused, "roll back", string(req.Partition), "see what is: drawbridge history "+req.Pipeline+" --env ENV", "nothing is live there")
}

// logged is a swap of the ledger as the rules read it.
func logged(s catalog.Swap) turnback.Swap {
	return turnback.Swap{ID: s.ID, Tenure: s.Tenure, Owner: s.Owner, From: s.From, To: s.To, Kind: string(s.Kind)}
}

// toNothing takes what is live of a partition away, all outputs of it.
func toNothing(key partition.Key, slots []turnback.Slot) turnback.Decision {
	d := turnback.Decision{Partition: key, Action: turnback.Keep}
	for _, s := range slots {
		if s.Live != 0 {
			d.Action = turnback.Detach
			d.Items = append(d.Items, turnback.Item{Output: s.Output, Action: turnback.Detach, From: s.Live, Reason: "a person takes the partition away"})
		}
	}
	return d
}

// toGeneration turns one output's partition back to the generation that the turn-back has fixed.
func toGeneration(req turnback.Request, slots []turnback.Slot) turnback.Decision {
	d := turnback.Decision{Partition: req.Partition, Action: turnback.Keep}
	if len(slots) == 0 || slots[0].Live == req.Generation {
		return d
	}
	d.Action = turnback.SwapBack
	d.Items = []turnback.Item{{
		Output: req.Output, Action: turnback.SwapBack, From: slots[0].Live, To: req.Generation, Reason: fmt.Sprintf("generation %d was live", req.Generation),
	}}
	return d
}
