package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

// neighbours are the first of some items that one statement may build: partitions next to each other, in either order.
func (f filling) neighbours(items []backfill.Item, most int) []backfill.Item {
	joined := func(a, b partition.Key) bool { return adjoin(f.p.Partition, a, b) }
	if f.plan.Ask.Order == backfill.Newest {
		joined = func(a, b partition.Key) bool { return adjoin(f.p.Partition, b, a) }
	}
	n := 1
	for n < min(most, len(items)) && !items[n].Whole && joined(items[n-1].Partition, items[n].Partition) {
		n++
	}
	return items[:n]
}

// fillBatch does neighbouring items by one build, and by as few publishes as there may be, unless all is published when it is built. It notes in out what it has done, and
// what holds it up, and returns how many items are done: the others are to be done one by one, which finds what is built already.
func (f filling) fillBatch(ctx context.Context, group []backfill.Item, out *Filled) (done int, err error) {
	_, round := f.step(0)
	built, err := f.buildBatch(ctx, group, round)
	if err != nil {
		if oneByOne(ctx, err) || fault.ClassOf(err) == fault.Conflict { // or all of it is over, as whoever does them one by one says
			err = nil
		}
		return 0, err
	}
	if slices.ContainsFunc(built, func(b Built) bool { return f.audited(b) != nil }) {
		return 0, nil
	}
	if f.aside() {
		out.Built += len(group)
		out.Rows += rowsOf(built)
		return len(group), nil
	}
	return f.publishAll(ctx, group, built, out)
}

// publishAll publishes items that are built, in as few transactions as readers bear, and returns how many are live: of the others, out has
// what holds them up, or they are to be done one by one.
func (f filling) publishAll(ctx context.Context, items []backfill.Item, built []Built, out *Filled) (done int, err error) {
	of := map[partition.Key][]Built{}
	for _, b := range built {
		of[b.Generation.Partition] = append(of[b.Generation.Partition], b)
	}
	counts, err := f.cut(ctx, items, of)
	if err != nil {
		return 0, err
	}
	for _, n := range counts {
		part, ready := items[done:done+n], []Built(nil)
		for _, it := range part {
			ready = append(ready, of[it.Partition]...)
		}
		on, err := f.publishTogether(ctx, part, ready, out)
		if err != nil || !on {
			return done, err
		}
		done += n
	}
	return done, nil
}

// cut says how many items of a batch, in their order, each of its transactions publishes: as many as readers bear.
func (f filling) cut(ctx context.Context, group []backfill.Item, of map[partition.Key][]Built) ([]int, error) {
	tables, bounds, err := f.w.Gauge(ctx, cutOutputs(f.p))
	if err != nil {
		return nil, err
	}
	bounds.MaxPause = f.Site.Policy.Publish.MaxPause
	units := make([]cutover.Unit, len(group))
	for i, it := range group {
		for _, b := range of[it.Partition] {
			units[i] = append(units[i], cutover.Move{Output: b.Generation.Output, Partition: it.Partition, Was: b.From != 0, Is: true})
		}
	}
	return cutover.Into(tables, units, bounds).Units, nil
}

// publishTogether publishes items that are built, in one transaction, and notes it in out, or what holds them up. on says that they are
// live; where nothing holds them up either, they are to be done one by one.
func (f filling) publishTogether(ctx context.Context, part []backfill.Item, built []Built, out *Filled) (on bool, err error) {
	in, _ := f.step(0)
	in.Swaps = due(built)
	res := generation.PublishResult{Done: true}
	if len(in.Swaps) > 0 {
		res, err = f.publishBatch(ctx, in, part)
	}
	switch {
	case fault.ClassOf(err) != "", err == nil && res.WaitingFor == generation.ForOthers:
		return false, nil
	case err != nil:
		return false, err
	case !res.Done:
		out.Parked, out.About = res, f.about(part[0])
		return false, nil
	}
	out.Published += len(part)
	out.Swaps += len(built)
	out.Rows += rowsOf(built)
	return true, nil
}

// due are the swaps that are left of what was built: an attempt that was ended may have published some of it, together with others than
// this one would.
func due(built []Built) (swaps []generation.Swap) {
	for _, b := range built {
		if g := b.Generation; g.State != generation.Live && g.State != generation.Retired {
			swaps = append(swaps, generation.Swap{Output: g.Output, Partition: g.Partition, From: b.From, To: g.ID})
		}
	}
	return swaps
}

// buildBatch builds items under the keys that each of them has by itself.
func (f filling) buildBatch(ctx context.Context, group []backfill.Item, round int) ([]Built, error) {
	keys := make([]partition.Key, len(group))
	for i, it := range group {
		keys[i] = it.Partition
	}
	f.p.Partition.Sort(keys)
	report, stop := pulse(ctx, spanOf(keys))
	defer stop()
	return f.w.BuildBatch(ctx, f.spec(ctx, group[0], round), keys, report)
}

// publishBatch publishes what was built of some items, at most once for these generations.
func (f filling) publishBatch(ctx context.Context, in PublishInput, part []backfill.Item) (generation.PublishResult, error) {
	spec := f.Site.publishSpec(ctx, in)
	id := sha256.Sum256(fmt.Append(nil, in.Swaps))
	spec.Key.Step += "-" + hex.EncodeToString(id[:8])
	spec.Key.Partition, spec.About = part[0].Partition, f.about(part[0])
	_, stop := pulse(ctx, part[0].Partition)
	defer stop()
	return f.w.Publish(ctx, spec, f.Site.ticket(f.in.Target, admission.Publish, nil, in.Swaps), func(time.Duration, time.Duration) {})
}
