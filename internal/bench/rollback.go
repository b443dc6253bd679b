package main

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/turnback"
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
			{name: "rollback_scale", bound: bound{atMost, 1.5}},
			{name: "rollback_large_ms", better: lower},
			{name: "rollback_small_ms", better: lower},
			{name: "rollback_verify_mrows_s", better: higher},
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
	if t.before, err = s.build(ctx, dayKey(day), generated(day, rows), nil); err != nil {
		return nil, err
	}
	if err := s.publish(ctx, swap(t.before, 0)); err != nil {
		return nil, err
	}
	if t.after, err = s.build(ctx, dayKey(day), generated(day, rows), nil); err != nil {
		return nil, err
	}
	return t, s.publish(ctx, swap(t.after, t.before.ID))
}

// rollBack measures what a person waits for, from the question what to turn back to its commit, and goes forward again.
func (t *turnable) rollBack(ctx context.Context) error {
	took, err := t.goTo(ctx, t.after, t.before)
	if err != nil {
		return err
	}
	t.took = append(t.took, took)
	_, err = t.goTo(ctx, t.before, t.after)
	return err
}

// goTo turns the partition back from what is live to another generation of it.
func (t *turnable) goTo(ctx context.Context, live, to generation.Generation) (time.Duration, error) {
	s, passed := t.site, clock()
	back, ok, err := s.BeginTurnBack(ctx, turnback.Request{
		Pipeline: s.tenure.Release.Pipeline, Output: table, Partition: to.Partition, Generation: to.ID, ByPerson: true, By: "bench", Reason: "it is measured",
	}, effect.Key{Owner: owner, Environment: here, Step: "begin-turn-back", Round: int(s.tenure.Number)})
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("there is nothing to turn back in %s", to.Partition)
	}
	d, err := s.DecidePartition(ctx, back, []turnback.Output{{Table: table}}, to.Partition)
	if err != nil {
		return 0, err
	}
	if d.Action != turnback.SwapBack || len(d.Items) != 1 || d.Items[0].From != live.ID || d.Items[0].To != to.ID {
		return 0, fmt.Errorf("the turn-back of %s is not a swap back to generation %d: %+v", to.Partition, to.ID, d)
	}
	s.tenure = back.Tenure
	ticket := s.ticket([]generation.Swap{swap(to, live.ID)})
	ticket.Question.TurnBack = true
	if _, err := s.change(ctx, generation.PublishSpec{}, ticket); err != nil {
		return 0, err
	}
	took := passed()
	return took, s.EndTurnBack(ctx, back.Tenure.Number, turnback.Done, effect.Key{Owner: owner, Environment: here, Step: "end-turn-back", Round: int(back.Tenure.Number)})
}
