package workflows_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// open is the open turn-back, if any.
func (l *ledger) open() *turnback.TurnBack {
	for _, b := range l.backs {
		if b.State == turnback.Open {
			return b
		}
	}
	return nil
}

// before is the tenure that was active before another.
func (l *ledger) before(number int64) release.Tenure {
	var last release.Tenure
	for _, t := range l.tenures {
		if t.Activated && t.Number < number {
			last = t
		}
	}
	return last
}

func (l *ledger) BeginTurnBack(_ context.Context, req turnback.Request, key effect.Key) (turnback.TurnBack, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	actor := key.Owner
	if b := l.open(); b != nil {
		same := b.Request.Owner == req.Owner
		if req.Workflow != "" {
			same = effect.Owner(b.Request.Owner).Workflow() == req.Workflow
		}
		if !req.Resume && (!same || b.Request.Output != req.Output) {
			if l.fences[req.Owner] != "" {
				return l.stoppedBy(*b, req)
			}
			return turnback.TurnBack{}, false, fault.Newf(fault.Conflict, "turn back", req.Pipeline, "finish that one first", "another turn-back is open here")
		}
		l.reopen(b, req, actor)
		began := *b
		began.Stopped = l.fence("a turn-back goes on in another workflow", func(o string) bool { return o != string(actor) })
		return began, true, nil
	}
	for _, b := range l.backs {
		if b.Tenure.Number != l.active || b.State != turnback.Stuck {
			continue
		}
		same := !req.Resume && b.Request.Owner == req.Owner
		if req.Workflow != "" {
			same = req.Resume && about(*b, req.Workflow)
		}
		if same {
			l.reopen(b, req, actor)
			return *b, true, nil
		}
	}
	if req.Resume {
		return turnback.TurnBack{}, false, nil
	}
	if effect.Owner(l.watching).Workflow() == req.Workflow {
		l.fences[l.watching], l.watching = "stopped", ""
	}
	if req.Workflow != "" && effect.Owner(l.crossing).Workflow() == req.Workflow {
		req.Owner = l.crossing
	}
	b, ok, err := l.target(req)
	if err != nil {
		return b, false, err
	}
	if !ok {
		l.fence(actor.Workflow()+" stopped it", func(o string) bool {
			return o == req.Owner || req.Workflow != "" && effect.Owner(o).Workflow() == req.Workflow
		})
		if req.Owner != "" {
			l.fences[req.Owner] = "stopped"
		}
		return b, false, nil
	}
	b.Tenure.Owner, b.Driver = string(actor), string(actor)
	b.Tenure = l.reserve(b.Tenure)
	l.backs = append(l.backs, &b)
	if req.Owner != "" {
		l.fences[req.Owner] = "it was turned back"
		l.leave(req.Owner)
	}
	stopped := slices.DeleteFunc(l.fence("it was turned back", func(o string) bool { return o != string(actor) }), func(o effect.Owner) bool {
		return req.Workflow != "" && o.Workflow() == req.Workflow
	})
	l.activate(b.Tenure.Number)
	b.Tenure = l.tenure(b.Tenure.Number)
	began := b
	began.Stopped = stopped
	return began, true, nil
}

// stoppedBy is what the turn-back of a workflow comes to that another one, which is open, has stopped.
func (l *ledger) stoppedBy(open turnback.TurnBack, req turnback.Request) (turnback.TurnBack, bool, error) {
	if !l.swapped(req.Owner) {
		open = turnback.TurnBack{}
	}
	return open, false, nil
}

// about says that a turn-back is a workflow's, or takes back what it did.
func about(b turnback.TurnBack, workflow string) bool {
	return effect.Owner(b.Tenure.Owner).Workflow() == workflow || effect.Owner(b.Request.Owner).Workflow() == workflow
}

func (l *ledger) Knows(context.Context, string) (bool, error) {
	return held(l, func() (bool, error) { return len(l.tenures) > 0, nil })
}

func (l *ledger) Remains(_ context.Context, _, workflow string) (turnback.Remains, error) {
	return held(l, func() (turnback.Remains, error) {
		if l.away != nil {
			return turnback.Remains{}, l.away
		}
		r := turnback.Remains{Known: len(l.tenures) > 0}
		for _, owner := range []string{l.crossing, l.watching} {
			r.Open = r.Open || effect.Owner(owner).Workflow() == workflow
		}
		for _, b := range l.backs {
			r.Open = r.Open || b.State == turnback.Open || b.State == turnback.Stuck && b.Tenure.Number == l.active && about(*b, workflow)
		}
		active := l.tenure(l.active)
		if l.crossing == "" && active.Kind != release.ByTurnBack && effect.Owner(active.Owner).Workflow() == workflow {
			_, none := turnback.Choose(l.tenures, l.active, "")
			r.Live, r.Before, r.Watched = active, none == nil, l.watching == active.Owner
		}
		return r, nil
	})
}

// reopen goes on with a turn-back: what it left is said anew.
func (l *ledger) reopen(b *turnback.TurnBack, req turnback.Request, actor effect.Owner) {
	b.Driver = string(actor)
	clear(l.ends) // every workflow of a test has the same first run
	b.State, b.Request.ByPerson = turnback.Open, b.Request.ByPerson || req.ByPerson
	delete(l.left, b.Tenure.Number)
}

// underWay lists the workflows that have something under way.
func (l *ledger) underWay() []string {
	under := map[string]bool{}
	if l.crossing != "" {
		under[l.crossing] = true
	}
	for _, g := range l.generations {
		if g.State == generation.Built || g.State == generation.Shadow {
			under[g.Owner] = true
		}
	}
	return slices.Sorted(maps.Keys(under))
}

// fence stops those of the workflows that have something under way, and lists them.
func (l *ledger) fence(why string, which func(owner string) bool) (stopped []effect.Owner) {
	for _, o := range l.underWay() {
		if !which(o) {
			continue
		}
		stopped = append(stopped, effect.Owner(o))
		l.fences[o] = why
		l.leave(o)
		for i := range l.generations {
			if g := &l.generations[i]; g.Owner == o && g.State == generation.Built {
				g.State = generation.Rejected
			}
		}
	}
	return stopped
}

func (l *ledger) PreviewTurnBack(_ context.Context, req turnback.Request) (turnback.TurnBack, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.open(); b != nil {
		if l.fences[req.Owner] != "" && b.Request.Owner != req.Owner {
			return l.stoppedBy(*b, req)
		}
		return *b, true, nil
	}
	b, ok, err := l.target(req)
	for _, o := range l.underWay() {
		b.Stopped = append(b.Stopped, effect.Owner(o))
	}
	return b, ok, err
}

// target is where a request goes back to.
func (l *ledger) target(req turnback.Request) (turnback.TurnBack, bool, error) {
	active := l.tenure(l.active)
	b := turnback.TurnBack{Request: req, State: turnback.Open, From: active}
	to := active
	switch {
	case req.Workflow != "" && req.Owner == "":
		return b, false, nil
	case req.Single(): // the release stays
	case req.Owner != "":
		mine := active.Owner == req.Owner && active.Kind != release.ByTurnBack
		if mine {
			to = l.before(active.Number)
		} else if !l.swapped(req.Owner) {
			return b, false, nil
		}
	default:
		var err error
		if to, err = turnback.Choose(l.tenures, active.Number, req.To); err != nil {
			return b, false, err
		}
		b.Target = to.Number
	}
	b.Tenure = release.Tenure{Release: to.Release, Config: to.Config, Kind: release.ByTurnBack, By: req.By, Reason: req.Reason, Back: to.Number}
	b.Tenure.Release.Pipeline = req.Pipeline
	return b, true, nil
}

func (l *ledger) swapped(owner string) bool {
	for _, s := range l.slots {
		if slices.ContainsFunc(s.Swaps, func(o turnback.Swap) bool { return o.Owner == owner }) {
			return true
		}
	}
	return false
}

func (l *ledger) TurnBack(_ context.Context, tenure int64) (turnback.TurnBack, error) {
	return held(l, func() (turnback.TurnBack, error) {
		for _, b := range l.backs {
			if b.Tenure.Number == tenure {
				found := *b
				found.Tenure = l.tenure(tenure)
				return found, nil
			}
		}
		return turnback.TurnBack{}, fault.Newf(fault.Invalid, "read turn-back", fmt.Sprint(tenure), "start it again", "the ledger does not know it")
	})
}

func (l *ledger) DecideTurnBack(_ context.Context, b turnback.TurnBack, has []turnback.Output, after partition.Key, limit int) (turnback.Page, error) {
	return held(l, func() (turnback.Page, error) {
		if !l.sorted {
			slices.Sort(l.keys)
			l.keys, l.sorted = slices.Compact(l.keys), true
		}
		first, found := slices.BinarySearch(l.keys, after)
		if found {
			first++
		}
		keys := l.keys[first:min(first+limit, len(l.keys))]
		var page turnback.Page
		if len(keys) == limit {
			page.Last = keys[limit-1]
		}
		for _, key := range keys {
			page.Decisions = append(page.Decisions, l.decide(b, has, key))
		}
		return page, nil
	})
}

func (l *ledger) DecidePartition(_ context.Context, b turnback.TurnBack, has []turnback.Output, key partition.Key) (turnback.Decision, error) {
	return held(l, func() (turnback.Decision, error) { return l.decide(b, has, key), nil })
}

// decide gives the rule what the ledger knows about one partition.
func (l *ledger) decide(b turnback.TurnBack, has []turnback.Output, key partition.Key) turnback.Decision {
	req := b.Request
	f := turnback.Facts{
		Target: turnback.Target{Tenure: b.Target, Owner: req.Owner}, Tenures: map[int64]release.Tenure{}, Generations: map[int64]turnback.Generation{},
		Outputs: map[string]bool{}, TurnedBack: map[string]int64{}, Snapshot: req.Snapshot, DetachNewOutputs: req.Detach, ByPerson: req.ByPerson,
	}
	for _, t := range l.tenures {
		f.Tenures[t.Number] = t
	}
	f.K = l.tenure(b.Tenure.Back)
	for _, o := range has {
		f.Outputs[o.Table] = true
	}
	for _, o := range l.backs {
		if o.Request.Owner != "" {
			f.TurnedBack[o.Request.Owner] = max(f.TurnedBack[o.Request.Owner], o.Tenure.Number)
		}
	}
	var slots []turnback.Slot
	for _, output := range slices.Sorted(maps.Keys(l.outputs)) {
		s := l.slots[admission.Slot{Output: output, Partition: key}]
		if s == nil || len(s.Swaps) == 0 {
			continue
		}
		slots = append(slots, s.Slot)
		for _, swap := range s.Swaps {
			for _, id := range []int64{swap.From, swap.To} {
				if id != 0 {
					f.Generations[id] = l.generations[id-1].Generation
				}
			}
		}
	}
	return turnback.Decide(f, key, slots)
}

func (l *ledger) RecordLeft(_ context.Context, tenure int64, left []turnback.LeftOver) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left[tenure] == nil {
		l.left[tenure] = map[admission.Slot]turnback.LeftOver{}
	}
	for _, one := range left {
		l.left[tenure][admission.Slot{Output: one.Output, Partition: one.Partition}] = one
	}
	return nil
}

func (l *ledger) Left(_ context.Context, tenure int64, limit int) (stuck, left int, first []turnback.LeftOver, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.left[tenure] {
		if one.Stuck {
			stuck++
		} else {
			left++
		}
		first = append(first, one)
	}
	slices.SortFunc(first, func(a, b turnback.LeftOver) int {
		if a.Stuck != b.Stuck {
			return map[bool]int{true: -1, false: 1}[a.Stuck]
		}
		return map[bool]int{true: -1, false: 1}[a.Partition < b.Partition]
	})
	return stuck, left, first[:min(limit, len(first))], nil
}

// Observe finds nothing in the way of what is built without a plan.
func (*ledger) Observe(_ context.Context, p *pipeline.Pipeline) (plan.Observed, error) {
	var seen plan.Observed
	for _, o := range p.Outputs {
		columns := []generation.Column{{Name: o.Partition.Column, Type: "date"}}
		seen.Outputs = append(seen.Outputs, plan.ObservedOutput{Table: o.Table, Kind: generation.Managed, Columns: columns, Candidate: columns})
	}
	return seen, nil
}

func (*ledger) DropStoppedShadows(context.Context) error { return nil }

func (*ledger) EndLandings(context.Context, string) error { return nil }

func (l *ledger) LeftAt(_ context.Context, tenure int64, keys []partition.Key) (map[generation.Item]bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := map[generation.Item]bool{}
	for at, one := range l.left[tenure] {
		if one.Stuck && slices.Contains(keys, at.Partition) {
			left[generation.Item{Output: at.Output, Partition: at.Partition}] = true
		}
	}
	return left, nil
}

func (l *ledger) Ended(_ context.Context, key effect.Key) (turnback.State, error) {
	return held(l, func() (turnback.State, error) { return l.ends[key], nil })
}

func (l *ledger) EndTurnBack(_ context.Context, tenure int64, state turnback.State, key effect.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends[key] = state
	for _, b := range l.backs {
		if b.Tenure.Number == tenure && b.State == turnback.Open && b.Driver == string(key.Owner) {
			b.State = state
		}
	}
	return nil
}
