package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

const (
	readers       = 8
	pauseReads    = 10_000 // at least
	pauseRounds   = 5
	roundPublish  = 10 // publishes of a round: 50 in all
	partitionRows = 1_000
	// quiet is how long a round at least is without publishes, and breath how long the readers have between two publishes.
	quiet  = time.Second
	breath = 50 * time.Millisecond
	// think is how long a reader rests between two reads, on average. Readers that never rest would wait for the
	// processors, and would make so many reads that those which met a publish are lost among them.
	think = 5 * time.Millisecond
	// pauseGrain is in milliseconds. A pause is a difference of two percentiles: a short one is chance, and may be below zero.
	pauseGrain = 1
)

// pauseFigure measures how much longer readers wait when the partition that they read is published, on a table of a month
// and on one of more than a year.
func pauseFigure() figure {
	return figure{
		name: "publish_pause",
		numbers: []number{
			{name: "publish_pause_p99_ms", bound: bound{atMost, 25}, grain: pauseGrain},
			{name: "publish_pause_max_ms"},
			{name: "publish_pause_500_p99_ms", bound: bound{atMost, 25}, grain: pauseGrain},
			{name: "publish_pause_500_max_ms"},
		},
		measure: func(ctx context.Context, b *bench) error {
			for _, t := range []struct {
				prefix     string
				partitions int
			}{{"publish_pause", 31}, {"publish_pause_500", 500}} {
				err := onSite(ctx, b, func(ctx context.Context, s *site) error { return measurePause(ctx, b, s, t.prefix, t.partitions) })
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func measurePause(ctx context.Context, b *bench, s *site, prefix string, partitions int) error {
	live, next, err := s.fillDays(ctx, partitions)
	if err != nil {
		return err
	}
	b.say("%d partitions are live, and %d generations of one of them wait", partitions, len(next))
	with, without, err := s.pauses(ctx, live, next)
	if err != nil {
		return err
	}
	during, usual := with.percentile(99), without.percentile(99)
	longest := with.percentile(100)
	b.put(prefix+"_p99_ms", milliseconds(during-usual))
	b.put(prefix+"_max_ms", milliseconds(longest-without.median()))
	b.because(prefix+"_p99_ms", "%d partitions, p99: %.1f ms of %d reads that met one of %d publishes, %.1f ms of %d others; longest %.1f ms and %.1f ms",
		partitions, milliseconds(during), len(with), len(next), milliseconds(usual), len(without), milliseconds(longest), milliseconds(without.percentile(100)))
	return nil
}

// fillDays publishes days, and builds what is published later into the last of them.
func (s *site) fillDays(ctx context.Context, days int) (live generation.Generation, next []generation.Generation, err error) {
	var swaps []generation.Swap
	for i := range days {
		day := firstDay().AddDate(0, 0, i)
		if live, err = s.build(ctx, dayKey(day), generated(day, partitionRows), nil); err != nil {
			return live, nil, err
		}
		swaps = append(swaps, swap(live, 0))
	}
	if err := s.publish(ctx, swaps...); err != nil {
		return live, nil, err
	}
	last := firstDay().AddDate(0, 0, days-1)
	for range pauseRounds * roundPublish {
		g, err := s.build(ctx, dayKey(last), generated(last, partitionRows), nil)
		if err != nil {
			return live, nil, err
		}
		next = append(next, g)
	}
	return live, next, nil
}

// span is when something began and ended, since the clock was started.
type span struct{ began, ended time.Duration }

// pauses publishes one generation after another under readers, in rounds with a quiet time before each. It returns how
// long the reads took that met a publish, and how long those of the quiet times took.
func (s *site) pauses(ctx context.Context, live generation.Generation, next []generation.Generation) (with, without sample, err error) {
	now := clock()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var count atomic.Int64
	reads, errs := make([][]span, readers), make([]error, readers)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			reads[i], errs[i] = s.read(reading, live.Partition, now, &count)
			if errs[i] != nil {
				stop()
			}
		})
	}
	var quiets, publishes []span
	for round := range pauseRounds {
		began := now()
		wait(reading, quiet)
		for reading.Err() == nil && count.Load() < int64((round+1)*pauseReads/pauseRounds) { // on a slow machine it lasts longer
			wait(reading, breath)
		}
		quiets = append(quiets, span{began, now()})
		for _, g := range next[round*roundPublish : (round+1)*roundPublish] {
			if reading.Err() != nil {
				break
			}
			began := now()
			if err = s.publish(reading, swap(g, live.ID)); err != nil {
				stop()
				break
			}
			publishes = append(publishes, span{began, now()})
			live = g
			wait(reading, breath)
		}
	}
	stop()
	wg.Wait()
	for i, readErr := range errs {
		if readErr != nil {
			return nil, nil, fmt.Errorf("read as reader %d: %w", i+1, readErr)
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	with, without = divide(reads, publishes, quiets)
	return with, without, err
}

// read reads one row of a partition again and again until the context ends. A row that is missing is an error: a
// publish never takes anything away.
func (s *site) read(ctx context.Context, key partition.Key, now func() time.Duration, count *atomic.Int64) ([]span, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	query := "SELECT amount::float8 FROM " + s.name(table) + " WHERE ordered_on = $1 AND order_id = $2"
	day, err := time.Parse(time.DateOnly, string(key))
	if err != nil {
		return nil, err
	}
	var reads []span
	for {
		began := now()
		var amount float64
		err := conn.QueryRow(ctx, query, day, rand.IntN(partitionRows)+1).Scan(&amount)
		if ctx.Err() != nil {
			return reads, nil
		}
		if err != nil {
			return nil, err
		}
		reads = append(reads, span{began, now()})
		count.Add(1)
		wait(ctx, rand.N(2*think))
	}
}

// divide tells the reads that met a publish from those of the quiet times. A read also meets a publish that ended just
// before it: the first read after a publish is the one that learns of the new partition. So more reads between two
// publishes cannot make the pause look smaller.
func divide(readers [][]span, publishes, quiets []span) (with, without sample) {
	for _, reads := range readers {
		for i, r := range reads {
			since := r.began
			if i > 0 {
				since = reads[i-1].began
			}
			if meets(span{since, r.ended}, publishes) {
				with = append(with, r.ended-r.began)
			} else if within(r, quiets) {
				without = append(without, r.ended-r.began)
			}
		}
	}
	return with, without
}

func meets(s span, others []span) bool {
	for _, o := range others {
		if s.began < o.ended && o.began < s.ended {
			return true
		}
	}
	return false
}

func within(s span, others []span) bool {
	for _, o := range others {
		if o.began <= s.began && s.ended <= o.ended {
			return true
		}
	}
	return false
}

// wait returns early when the context ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
