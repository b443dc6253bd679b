package backfill

import (
	"fmt"
	"slices"
	"time"

	"drawbridge/internal/partition"
)

// Gaps are what is missing of a pipeline in an environment: by the ledger, by the files, and by its schedule.
type Gaps struct {
	// First and Last are the ends of what is live, and Live is how many partitions are.
	First partition.Key `json:"first,omitempty"`
	Last  partition.Key `json:"last,omitempty"`
	Live  int           `json:"live"`
	// Holes are partitions between the ends that are not live and have no files; Late are those after the end that were due by the
	// schedule, and have no files either.
	Holes []Span `json:"holes,omitempty"`
	Late  []Span `json:"late,omitempty"`
	// Unbuilt have files and are not live; Older are live, and a file of theirs was written after they were built.
	Unbuilt []Span `json:"unbuilt,omitempty"`
	Older   []Span `json:"older,omitempty"`
	// Fill are the spans that a backfill would build to close what can be closed.
	Fill []Span `json:"fill,omitempty"`
	// Whole are outputs that are one partition, and older than a file.
	Whole []string `json:"whole,omitempty"`
}

// None says that nothing is missing.
func (g Gaps) None() bool {
	return len(g.Holes)+len(g.Late)+len(g.Unbuilt)+len(g.Older)+len(g.Whole) == 0
}

// between are the partitions that should be live where a first and a last one are: of a list all that it declares.
func between(scheme partition.Scheme, first, last partition.Key) ([]partition.Key, error) {
	if scheme.By != partition.List {
		return scheme.Range(first, last)
	}
	var all []partition.Key
	for _, v := range scheme.Values.All() {
		all = append(all, v.Key)
	}
	return all, nil
}

// FindGaps compares what is live with what there are files of, and with what was due at last (empty: nothing is, by a schedule).
func FindGaps(in Input, due partition.Key) (Gaps, error) {
	var g Gaps
	scheme := in.Pipeline.Partition
	outputs, whole := 0, map[string]bool{} // outputs are those that are cut
	for _, o := range in.Pipeline.Outputs {
		whole[o.Table] = o.Partition.By == partition.All
		if !whole[o.Table] {
			outputs++
		}
	}
	live, began := map[partition.Key]int{}, map[partition.Key]time.Time{}
	for _, o := range in.Observed.Outputs {
		of, ours := whole[o.Table]
		if !ours {
			continue
		}
		if of {
			if len(o.Live) > 0 && scheme.By == partition.All {
				g.First, g.Last, g.Live = partition.AllKey, partition.AllKey, 1
			}
			if len(o.Live) > 0 && in.newest().After(o.Live[0].Began) {
				g.Whole = append(g.Whole, o.Table)
			}
			continue
		}
		for _, x := range o.Live {
			live[x.Partition]++
			if at, ok := began[x.Partition]; !ok || x.Began.Before(at) {
				began[x.Partition] = x.Began
			}
		}
	}
	if outputs == 0 || scheme.By == partition.All {
		return g, nil
	}
	sources := map[partition.Key]bool{}
	for _, key := range in.Observed.Sources {
		sources[key] = true
	}
	var there []partition.Key
	for key, n := range live {
		if n == outputs {
			there = append(there, key)
		}
	}
	scheme.Sort(there)
	g.Live = len(there)
	var holes, late, unbuilt, older []partition.Key
	for _, key := range in.Observed.Sources {
		if live[key] < outputs {
			unbuilt = append(unbuilt, key)
		}
	}
	for _, key := range there {
		if in.Changed[key].After(began[key]) {
			older = append(older, key)
		}
	}
	if len(there) > 0 {
		g.First, g.Last = there[0], there[len(there)-1]
		span, err := between(scheme, g.First, g.Last)
		if err != nil {
			return g, fmt.Errorf("what is live: %w", err)
		}
		for _, key := range span {
			if live[key] < outputs && !sources[key] {
				holes = append(holes, key)
			}
		}
		if due != "" && scheme.Compare(due, g.Last) > 0 {
			after, err := scheme.Range(g.Last, due)
			if err != nil {
				return g, fmt.Errorf("what was due: %w", err)
			}
			for _, key := range after[1:] {
				if !sources[key] {
					late = append(late, key)
				}
			}
		}
	} else if due != "" && !sources[due] {
		late = append(late, due)
	}
	fill := slices.Concat(unbuilt, older)
	scheme.Sort(fill)
	g.Holes, g.Late, g.Unbuilt, g.Older, g.Fill = Spans(scheme, holes), Spans(scheme, late), Spans(scheme, unbuilt), Spans(scheme, older), Spans(scheme, fill)
	return g, nil
}

// newest is when the newest file of all was written.
func (in Input) newest() time.Time {
	var at time.Time
	for _, changed := range in.Changed {
		if changed.After(at) {
			at = changed
		}
	}
	return at
}
