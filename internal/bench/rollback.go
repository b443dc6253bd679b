package main

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/warehouse"
)

const (
	largeRows = 2_000_000
	smallRows = 20_000
	rollbacks = 11
	verifies  = 3
)

// rollbackFigure compares rolling back a large partition with rolling back a small one: what goes live again is checked
// in a time that does not depend on its rows. The full verification, which does, is measured by itself.
func rollbackFigure() figure {
	return figure{
		name: "rollback_scale",
		numbers: []number{
			{"rollback_scale", bound{atMost, 1.5}},
			{"rollback_large_ms", bound{}},
			{"rollback_small_ms", bound{}},
			{"rollback_verify_mrows_s", bound{}},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureRollback(ctx, b, s) })
		},
	}
}

// turnable is a partition of which two generations are there.
type turnable struct {
	site          *site
	before, after generation.Generation
	took          sample
}

func measureRollback(ctx context.Context, b *bench, s *site) error {
	large, err := newTurnable(ctx, s, firstDay(), largeRows)
	if err != nil {
		return err
	}
	small, err := newTurnable(ctx, s, firstDay().AddDate(0, 0, 1), smallRows)
	if err != nil {
		return err
	}
	b.say("two partitions of %d and %d rows are published, each twice", largeRows, smallRows)
	for range rollbacks {
		for _, t := range []*turnable{large, small} {
			if err := t.rollBack(ctx); err != nil {
				return err
			}
		}
	}
	of, than := large.took.median(), small.took.median()
	b.put("rollback_scale", of.Seconds()/than.Seconds())
	b.put("rollback_large_ms", milliseconds(of))
	b.put("rollback_small_ms", milliseconds(than))
	b.because("rollback_scale", "medians of %d rollbacks: %.1f ms for %d rows, %.1f ms for %d",
		rollbacks, milliseconds(of), largeRows, milliseconds(than), smallRows)
	var verified sample
	for range verifies {
		passed := clock()
		if err := s.Verify(ctx, []int64{large.before.ID}, func() {}); err != nil {
			return err
		}
		verified = append(verified, passed())
	}
	b.put("rollback_verify_mrows_s", largeRows/verified.median().Seconds()/1e6)
	return nil
}

// newTurnable publishes a partition twice.
func newTurnable(ctx context.Context, s *site, day time.Time, rows int) (*turnable, error) {
	t := &turnable{site: s}
	var err error
	if t.before, err = s.build(ctx, "1.0.0", dayKey(day), generated(day, rows), nil); err != nil {
		return nil, err
	}
	if err := s.publish(ctx, swap(t.before, 0)); err != nil {
		return nil, err
	}
	if t.after, err = s.build(ctx, "1.1.0", dayKey(day), generated(day, rows), nil); err != nil {
		return nil, err
	}
	return t, s.publish(ctx, swap(t.after, t.before.ID))
}

// rollBack measures what a person waits for, from the question what to turn back to its commit, and publishes again.
func (t *turnable) rollBack(ctx context.Context) error {
	passed := clock()
	undo, err := t.site.Undo(ctx, t.site.pipeline, plan.TurnBack{Output: table, Partition: t.partition()})
	if err != nil {
		return err
	}
	if len(undo.Items) != 1 || undo.Items[0].Kind != plan.UndoSwapBack || undo.Items[0].To != t.before.ID {
		return fmt.Errorf("the turn-back of %s is not a swap back to generation %d: %+v", t.partition(), t.before.ID, undo.Items)
	}
	item := undo.Items[0]
	back := generation.Swap{Output: item.Output, Partition: item.Partition, From: item.Live, To: item.To}
	if err := t.site.change(ctx, warehouse.PublishSpec{Swaps: []generation.Swap{back}, TurnBack: true}); err != nil {
		return err
	}
	t.took = append(t.took, passed())
	return t.site.publish(ctx, swap(t.after, t.before.ID))
}

func (t *turnable) partition() partition.Key { return t.before.Partition }
