package activities

import (
	"context"
	"slices"
	"time"

	"drawbridge/internal/plan"
	"drawbridge/internal/throttle"
	"drawbridge/internal/window"
)

// Throttler looks at how much a warehouse has to do.
type Throttler interface {
	// Sample reads signals, in the order of their limits. Of the WAL it is what was written in all.
	Sample(ctx context.Context, limits []throttle.Limit) ([]throttle.Reading, error)
}

const (
	// sampleEvery is how often one activity looks at the signals.
	sampleEvery = 2 * time.Second
	// rateOver is what a rate is measured over at least, and rateFor how old an earlier look may be.
	rateOver = time.Second
	rateFor  = time.Minute
)

// written is what was written of the WAL at a moment.
type written struct {
	bytes float64
	at    time.Time
}

// throttled looks, for one activity, whether its warehouse has enough to do.
type throttled struct {
	site   *Site
	w      Warehouse
	waited bool // it had to wait before
	last   time.Time
	// own is the window of this work, beside those of the policy; empty: there is none.
	own string
	now func() time.Time
}

// why says why nothing is to be built right now; nothing: it may go on. opens is when a window does, where that is all. Where no limit is
// set nothing is looked at.
func (t *throttled) why(ctx context.Context) (why []string, opens time.Time, err error) {
	if why, opens = t.closed(); len(why) > 0 {
		return why, opens, nil
	}
	why, err = t.loaded(ctx)
	return why, time.Time{}, err
}

// closed says which windows are closed, and when all of them may be open.
func (t *throttled) closed() (why []string, opens time.Time) {
	look := func(of string, texts []string) {
		all, err := window.ParseAll(texts)
		text, next := "", time.Time{}
		if err != nil {
			text = of + " cannot be told: " + err.Error()
		} else {
			text, next = window.Why(of, all, t.now())
		}
		if text != "" {
			why = append(why, text)
		}
		if next.After(opens) {
			opens = next
		}
	}
	look("the window of "+t.site.Environment, t.site.Policy.Windows)
	if t.own != "" {
		look("its window", []string{t.own})
	}
	return why, opens
}

// loaded says which signals of the warehouse are above their limits.
func (t *throttled) loaded(ctx context.Context) ([]string, error) {
	if len(t.site.Policy.Throttle) == 0 || time.Since(t.last) < sampleEvery {
		return nil, nil
	}
	readings, err := t.site.sample(ctx, t.w)
	if err != nil {
		return nil, err
	}
	t.last = time.Now()
	why := throttle.Stops(readings, t.waited)
	t.waited = len(why) > 0
	return why, nil
}

// sample reads the signals of the policy, the WAL as a rate: since the look before, of whichever activity, or over a second.
func (s *Site) sample(ctx context.Context, w Warehouse) ([]throttle.Reading, error) {
	limits := s.Policy.Throttle
	readings, err := w.Sample(ctx, limits)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(readings, func(r throttle.Reading) bool { return r.Limit.Signal == throttle.WALRate })
	if at < 0 || readings[at].Unseen != "" {
		return readings, nil
	}
	now := written{readings[at].Value, time.Now()}
	s.mu.Lock()
	before := s.wal
	s.mu.Unlock()
	if age := now.at.Sub(before.at); age < rateOver || age > rateFor || now.bytes < before.bytes {
		before = now
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(rateOver):
		}
		again, err := w.Sample(ctx, limits[at:at+1])
		if err != nil {
			return nil, err
		}
		now = written{again[0].Value, time.Now()}
	}
	readings[at].Value = (now.bytes - before.bytes) / now.at.Sub(before.at).Seconds()
	s.mu.Lock()
	s.wal = now
	s.mu.Unlock()
	return readings, nil
}

// blind are the signals of the policy that cannot be observed: while it is so nothing would be built.
func (s *Site) blind(ctx context.Context, w Warehouse) ([]plan.Problem, error) {
	if len(s.Policy.Throttle) == 0 {
		return nil, nil
	}
	readings, err := w.Sample(ctx, s.Policy.Throttle)
	if err != nil {
		return nil, err
	}
	var found []plan.Problem
	for _, r := range readings {
		if r.Unseen != "" {
			found = append(found, plan.Problem{
				Rule: "throttle", Object: string(r.Limit.Signal), Text: throttle.Stops([]throttle.Reading{r}, false)[0] + ": nothing would be built", Remedy: r.Remedy, Blocking: true,
			})
		}
	}
	return found, nil
}
