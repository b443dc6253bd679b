package activities

import (
	"context"
	"time"

	"drawbridge/internal/backfill"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
)

// filledSlice is how far an activity is with a slice.
type filledSlice struct {
	filling
	items []backfill.Item
	size  int // of a batch; 1: there are none
	load  throttled
	began time.Time
	i     int // what comes before it is done, but for what is ready
	alone int // what comes before it could not be done with others
	ready gathered
	out   Filled
}

// step lets live what is ready, or builds what comes next. stop says that out is what there is to say.
func (s *filledSlice) step(ctx context.Context) (stop bool, err error) {
	over := s.i >= len(s.items) || s.i > s.in.From && s.Now().Sub(s.began) >= edgeEvery || len(s.out.Failed) >= max(1, s.in.Failures)
	gathers := !over && s.size == 1 && s.i >= s.alone && !s.aside() && !s.items[s.i].Whole
	if !gathers || s.ready.due(s.Now()) {
		if on, err := s.publish(ctx); err != nil || !on {
			return s.out.About != "", err
		}
	}
	if over {
		if s.i < len(s.items) {
			s.out.Next = s.i
		}
		return true, nil
	}
	if s.out.Moved, err = s.moved(ctx); err != nil || s.out.Moved {
		s.out.Next = s.ready.at(s.i)
		return true, err
	}
	why, opens, err := s.load.why(ctx)
	if err != nil {
		return false, err
	}
	if len(why) > 0 {
		if on, err := s.publish(ctx); err != nil || !on {
			return s.out.About != "", err
		}
		s.out.Throttled, s.out.Opens, s.out.Next = why, opens, s.i
		return true, nil
	}
	if gathers {
		return s.gather(ctx)
	}
	if group := s.neighbours(s.items[s.i:], s.size); len(group) > 1 && s.i >= s.alone {
		s.alone = s.i + len(group)
		done, err := s.fillBatch(ctx, group, &s.out)
		if s.i += done; s.out.About != "" {
			s.out.Next = s.i
		}
		return s.out.About != "", err
	}
	done, rows, err := s.do(ctx, s.items[s.i])
	if err != nil {
		return s.failed(ctx, err)
	}
	switch {
	case !done.Done:
		s.out.Parked, s.out.About, s.out.Next = done, s.about(s.items[s.i]), s.i
		return true, nil
	case s.aside():
		s.out.Built++
	default:
		s.out.Published++
		s.out.Swaps += done.Swapped
	}
	s.out.Rows += rows
	s.i++
	return false, nil
}

// publish lets what is ready go live. on is false where it is not: something holds it up, which out says, or it cannot as one and is done
// one by one.
func (s *filledSlice) publish(ctx context.Context) (on bool, err error) {
	if len(s.ready.items) == 0 {
		return true, nil
	}
	done, err := s.publishAll(ctx, s.ready.items, s.ready.built, &s.out)
	on = done == len(s.ready.items)
	if s.out.About != "" {
		s.out.Next = s.ready.first + done
	} else if err == nil && !on {
		s.i, s.alone = s.ready.first+done, s.i
	}
	s.ready = gathered{}
	return on, err
}

// gather builds the next partition, to go live with its neighbours. Where that fails, those that are ready go first.
func (s *filledSlice) gather(ctx context.Context) (stop bool, err error) {
	began := s.Now()
	built, err := s.buildOne(ctx, s.items[s.i])
	if err == nil {
		s.ready.add(s.i, s.items[s.i], built, began, s.Now())
		s.i++
		return false, nil
	}
	if on, lost := s.publish(ctx); lost != nil || !on {
		return s.out.About != "", lost
	}
	return s.failed(ctx, err)
}

// failed names a partition that could not be built or published, unless the error is not about it.
func (s *filledSlice) failed(ctx context.Context, err error) (stop bool, lost error) {
	if fault.ClassOf(err) == "" {
		return false, err // another attempt may do better; what was published is not done again
	}
	if s.out.Moved, lost = s.moved(ctx); lost != nil || s.out.Moved {
		s.out.Next = s.i
		return true, lost
	}
	it := s.items[s.i]
	s.out.Failed = append(s.out.Failed, Unfilled{Index: it.Index, Partition: it.Partition, Why: fault.Bound(err.Error())})
	s.i++
	return false, nil
}

// gatherFor is how long partitions that are built wait for the next ones, to go live with them: what is small shares a transaction, and
// whatever takes longer to build has its own.
const gatherFor = time.Second

// gathered are neighbours in a slice that are built, and wait to go live together.
type gathered struct {
	first int // of the slice
	items []backfill.Item
	built []Built
	since time.Time     // the first of them was begun
	last  time.Duration // the last of them took
}

func (g *gathered) add(at int, it backfill.Item, built []Built, began, ended time.Time) {
	if len(g.items) == 0 {
		g.first, g.since = at, began
	}
	g.items, g.built, g.last = append(g.items, it), append(g.built, built...), ended.Sub(began)
}

// due says that they wait no longer: their time is over, or would be before another one is built that takes as long as the last.
func (g *gathered) due(now time.Time) bool {
	return len(g.items) >= generation.PartitionsPerPublish || len(g.items) > 0 && now.Add(g.last).Sub(g.since) >= gatherFor
}

// at is the first item of a slice that is not live, where all before i are but for these.
func (g *gathered) at(i int) int {
	if len(g.items) > 0 {
		return g.first
	}
	return i
}
