package activities

import (
	"context"
	"maps"
	"slices"
	"time"

	"drawbridge/internal/cutover"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// walk goes through the partitions of a turn-back, and gathers what goes back in one transaction.
type walk struct {
	*TurningBack
	t     turning
	began time.Time
	pass  Pass
	// seen are the decisions since the last transaction, batch those of them that change something.
	seen, batch []turnback.Decision
	cut         *cutover.Batch
	tables      map[string]cutover.Table
	bounds      cutover.Bounds
}

func (a *TurningBack) walk(t turning) *walk {
	in := t.in
	return &walk{
		TurningBack: a, t: t, began: a.Now(), tables: map[string]cutover.Table{},
		pass: Pass{After: in.After, Deferred: in.Deferred, Rebuilding: in.Rebuilding},
	}
}

// run walks until nothing is left, something holds it up, or its time is over.
func (w *walk) run(ctx context.Context) error {
	step := w.swaps
	if w.pass.Rebuilding {
		step = w.rebuilds
	}
	for after := w.pass.After; ; {
		page, err := w.t.w.DecideTurnBack(ctx, w.t.b, w.t.has, after, pageSize)
		if err != nil {
			return err
		}
		if done, err := step(ctx, page); err != nil || done {
			return err
		}
		if page.Last == "" {
			break
		}
		if after = page.Last; !w.asOne() {
			if done, err := w.flush(ctx); err != nil || done {
				return err
			}
		}
		if len(w.seen) > 0 {
			continue // it goes back with what the next page has
		}
		if w.pass.After = after; w.late() {
			return nil
		}
	}
	if done, err := w.flush(ctx); err != nil || done {
		return err
	}
	if w.pass.Deferred == "" {
		w.pass.Over = true
		return nil
	}
	w.pass.After, w.pass.Deferred, w.pass.Rebuilding = w.pass.Deferred, "", true
	return nil
}

// asOne says that what is swapped back is to become visible as one.
func (w *walk) asOne() bool { return w.Site.Policy.Publish.Cutover == cutover.One }

// late says that the pass has taken its time.
func (w *walk) late() bool { return w.Now().Sub(w.began) > passTime }

// swaps gathers what is swapped back of a page. done says that the pass ends here.
func (w *walk) swaps(ctx context.Context, page turnback.Page) (done bool, err error) {
	for _, d := range page.Decisions {
		if err := w.leave(ctx, w.t, d); err != nil {
			return true, err
		}
		if d.Action == turnback.Rebuild {
			w.later(d.Partition)
			continue
		}
		if d.Changes() {
			fits, err := w.fits(ctx, d)
			if err != nil {
				return true, err
			}
			if !fits {
				if done, err := w.flush(ctx); err != nil || done {
					return true, err
				}
				if w.asOne() && w.late() {
					return true, nil
				}
				if _, err := w.fits(ctx, d); err != nil {
					return true, err
				}
			}
			w.batch = append(w.batch, d)
		}
		w.seen = append(w.seen, d)
	}
	return false, nil
}

// later notes a partition that is built again when all that is swapped back has been.
func (w *walk) later(key partition.Key) {
	switch {
	case w.pass.Deferred != "":
	case len(w.pass.Rebuild) < generation.PartitionsPerPublish:
		w.pass.Rebuild = append(w.pass.Rebuild, key)
	default:
		w.pass.Deferred = w.pass.Rebuild[len(w.pass.Rebuild)-1]
	}
}

// fits takes a decision into the next transaction, or says that it would be more than readers bear with it.
func (w *walk) fits(ctx context.Context, d turnback.Decision) (bool, error) {
	if !w.asOne() {
		return len(w.batch) < generation.PartitionsPerPublish, nil
	}
	var unit cutover.Unit
	for _, s := range backward(d) {
		unit = append(unit, cutover.Move{Output: s.Output, Partition: s.Partition, Was: s.From != 0, Is: s.To != 0})
	}
	if err := w.gauge(ctx, unit); err != nil {
		return false, err
	}
	if w.cut == nil {
		w.cut = cutover.NewBatch(w.tables, w.bounds)
	}
	return w.cut.Add(unit), nil
}

// gauge looks at the tables of a unit, once each.
func (w *walk) gauge(ctx context.Context, unit cutover.Unit) error {
	var unknown []string
	for _, m := range unit {
		if _, known := w.tables[m.Output]; !known && !slices.Contains(unknown, m.Output) {
			unknown = append(unknown, m.Output)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	tables, bounds, err := w.t.w.Gauge(ctx, unknown)
	if err != nil {
		return err
	}
	maps.Copy(w.tables, tables)
	w.bounds = bounds
	w.bounds.MaxPause = w.Site.Policy.Publish.MaxPause
	return nil
}

// flush swaps back what was gathered, and counts it. done says that something holds it up.
func (w *walk) flush(ctx context.Context) (done bool, err error) {
	var failed map[partition.Key]bool
	if len(w.batch) > 0 {
		failed, w.pass.Parked, err = w.swapAll(ctx, w.t, w.batch)
		if err != nil || w.pass.Parked.WaitingFor != "" {
			w.stay()
			return true, err
		}
	}
	for _, d := range w.seen {
		w.pass.Tally = w.pass.Tally.Add(d, d.Changes() && !failed[d.Partition])
		w.pass.After = d.Partition
	}
	w.seen, w.batch, w.cut = nil, nil, nil
	return false, nil
}

// stay forgets what was found after the last transaction: it is found again.
func (w *walk) stay() {
	w.pass.Rebuild = slices.DeleteFunc(w.pass.Rebuild, func(key partition.Key) bool { return key > w.pass.After })
	if w.pass.Deferred > w.pass.After {
		w.pass.Deferred = w.t.in.Deferred
	}
}

// rebuilds finds what is to be built again and was not found before, some of it at a time.
func (w *walk) rebuilds(ctx context.Context, page turnback.Page) (done bool, err error) {
	var keys []partition.Key
	for _, d := range page.Decisions {
		if d.Action == turnback.Rebuild {
			keys = append(keys, d.Partition)
		}
	}
	left, err := w.t.w.LeftAt(ctx, w.t.b.Tenure.Number, keys)
	if err != nil {
		return true, err
	}
	stuck := map[partition.Key]bool{}
	for at := range left {
		stuck[at.Partition] = true
	}
	for _, key := range keys {
		if stuck[key] {
			continue
		}
		w.pass.Rebuild, w.pass.After = append(w.pass.Rebuild, key), key
		if len(w.pass.Rebuild) == generation.PartitionsPerPublish {
			return true, nil
		}
	}
	return false, nil
}
