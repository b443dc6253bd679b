package turnback

import (
	"cmp"
	"fmt"
	"slices"

	"drawbridge/internal/partition"
)

// placed is a swap of one output.
type placed struct {
	Swap
	output string
}

// Together is what was live in each output of a partition when a generation was live for the last time: its outputs became visible
// together, and go back together. Of what a turn-back has done itself, under its tenure, nothing counts, so that it finds the same
// in whatever state it is asked; 0: it has not begun. An output that is not named had nothing then. ok is false where the generation
// is live still, or was never.
func Together(slots []Slot, generation, tenure int64) (was map[string]int64, ok bool) {
	var log []placed
	for _, s := range slots {
		for _, x := range s.Swaps {
			if tenure == 0 || x.Tenure < tenure {
				log = append(log, placed{Swap: x, output: s.Output})
			}
		}
	}
	slices.SortFunc(log, func(a, b placed) int { return cmp.Compare(a.ID, b.ID) })
	end := -1
	for i, x := range log {
		if x.From == generation {
			end = i
		}
	}
	if end < 0 {
		return nil, false
	}
	for seen := map[string]bool{log[end].output: true}; end > 0; end-- { // the swap that ended it was one of several in a transaction
		x, next := log[end-1], log[end]
		if seen[x.output] || x.Owner != next.Owner || x.Tenure != next.Tenure || x.Kind != next.Kind {
			break
		}
		seen[x.output] = true
	}
	was = map[string]int64{}
	for _, x := range log[:end] {
		was[x.output] = x.To
	}
	for output, id := range was {
		if id == 0 {
			delete(was, output)
		}
	}
	return was, true
}

// DecideTogether turns all outputs of a partition back to what was live with a generation, by Together, or none where one cannot be
// live again.
func DecideTogether(f Facts, key partition.Key, slots []Slot, generation, tenure int64) Decision {
	d := Decision{Partition: key, Action: Keep}
	was, ok := Together(slots, generation, tenure)
	if !ok {
		return d
	}
	for _, s := range slots {
		it := Item{Output: s.Output, Action: SwapBack, From: s.Live, To: was[s.Output], Reason: fmt.Sprintf("it was live with generation %d", generation)}
		if it.To == s.Live {
			continue
		}
		if it.To == 0 {
			it.Action, it.Reason = Detach, fmt.Sprintf("it had nothing when generation %d was live", generation)
		} else if gone := f.gone(it.To); gone != "" {
			it.Action, it.To, it.Open, it.Reason = Leave, 0, true, gone
		}
		d.add(it)
	}
	d.hold(func(it Item) bool { return it.Open })
	return d
}
