package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"drawbridge/internal/generation"
)

const (
	cutDays   = 60
	cutRounds = 6
	// cutRows is how many rows a day has in the first round; in every further one it has one more, which tells them apart.
	cutRows = 10
	// other is the second output.
	other = "fct_orders_too"
)

// cutoverFigure measures how long readers are kept out while 60 days of two outputs change in one transaction, and how many reads of
// both outputs saw a part of that.
func cutoverFigure() figure {
	return figure{
		name: "cutover",
		numbers: []number{
			{name: "publish_hold_60_ms", bound: bound{atMost, 100}, grain: pauseGrain},
			{name: "publish_hold_60_expected_ms"},
			{name: "mixed_reads", bound: bound{atMost, 0}},
			{name: "mixed_reads_of"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureCutover(ctx, b, s) })
		},
	}
}

func measureCutover(ctx context.Context, b *bench, s *site) error {
	second := s.pipeline.Outputs[0]
	second.Table = other
	s.pipeline.Outputs = append(s.pipeline.Outputs, second)
	live := map[generation.Item]int64{}
	swaps, err := s.days(ctx, 0, live)
	if err != nil {
		return err
	}
	if err := s.makeRoom(ctx); err != nil { // for what was built
		return err
	}
	if err := s.publish(ctx, swaps...); err != nil {
		return err
	}
	reads, stop := s.readMixed(ctx)
	var holds, expected []float64
	var cuts []span
	for round := 1; round <= cutRounds; round++ {
		swaps, err := s.days(ctx, round, live)
		if err != nil {
			return err
		}
		began := reads.now()
		result, err := s.change(ctx, generation.PublishSpec{}, s.ticket(swaps))
		if err != nil {
			return err
		}
		cuts = append(cuts, span{began, reads.now()})
		holds, expected = append(holds, result.HoldMS), append(expected, result.ExpectedMS)
	}
	for ctx.Err() == nil && reads.count.Load() < pauseReads && !reads.failed.Load() {
		wait(ctx, breath)
	}
	stop()
	if err := reads.err(ctx); err != nil {
		return err
	}
	b.put("publish_hold_60_ms", median(holds))
	b.put("publish_hold_60_expected_ms", median(expected))
	b.put("mixed_reads", float64(reads.mixed.Load()))
	b.put("mixed_reads_of", float64(reads.count.Load()))
	b.because("publish_hold_60_ms", "%d transactions of %d partitions of 2 outputs, %d readers: %.1f ms, expected %.1f ms", cutRounds, cutDays, readers, median(holds), median(expected))
	b.because("mixed_reads", "%d of %d reads saw two of the generations; %d were open while one took the other's place", reads.mixed.Load(), reads.count.Load(), reads.meeting(cuts))
	return nil
}

// days builds all days anew, and returns the swaps that make them live; live is what they replace, and is then.
func (s *site) days(ctx context.Context, round int, live map[generation.Item]int64) ([]generation.Swap, error) {
	var swaps []generation.Swap
	for i := range cutDays {
		day := firstDay().AddDate(0, 0, i)
		built, err := s.buildAll(ctx, dayKey(day), generated(day, cutRows+round), nil)
		if err != nil {
			return nil, err
		}
		for _, one := range built {
			at := generation.Item{Output: one.Generation.Output, Partition: one.Generation.Partition}
			swaps = append(swaps, swap(one.Generation, live[at]))
			live[at] = one.Generation.ID
		}
	}
	return swaps, nil
}

// mixedReads are reads of both outputs as a whole.
type mixedReads struct {
	now          func() time.Duration
	count, mixed atomic.Int64
	failed       atomic.Bool
	spans        [readers][]span
	errs         [readers]error
}

// readMixed reads both outputs again and again until stop: a read is mixed when it saw days of different sizes.
func (s *site) readMixed(ctx context.Context) (r *mixedReads, stop func()) {
	r = &mixedReads{now: clock()}
	reading, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			if r.errs[i] = s.readBoth(reading, r, i); r.errs[i] != nil {
				r.failed.Store(true)
			}
		})
	}
	return r, func() {
		end()
		wg.Wait()
	}
}

func (s *site) readBoth(ctx context.Context, r *mixedReads, reader int) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	query := fmt.Sprintf(`
		SELECT count(DISTINCT n), count(*)
		FROM (
		  SELECT ordered_on, count(*) AS n FROM %s GROUP BY ordered_on
		  UNION ALL
		  SELECT ordered_on, count(*) AS n FROM %s GROUP BY ordered_on
		) AS days`, s.name(table), s.name(other))
	for {
		began := r.now()
		var sizes, days int
		err := conn.QueryRow(ctx, query).Scan(&sizes, &days)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case days != 2*cutDays:
			return fmt.Errorf("a read saw %d days of two outputs, not %d", days, 2*cutDays)
		case sizes != 1:
			r.mixed.Add(1)
		}
		r.spans[reader] = append(r.spans[reader], span{began, r.now()})
		r.count.Add(1)
	}
}

func (r *mixedReads) err(ctx context.Context) error {
	for i, err := range r.errs {
		if err != nil {
			return fmt.Errorf("read as reader %d: %w", i+1, err)
		}
	}
	return ctx.Err()
}

// meeting counts the reads that were open during some spans.
func (r *mixedReads) meeting(others []span) int {
	n := 0
	for _, reads := range r.spans {
		for _, one := range reads {
			if meets(one, others) {
				n++
			}
		}
	}
	return n
}
