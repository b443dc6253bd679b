package model

import (
	"fmt"
	"slices"

	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// Promise is an invariant: what must hold after everything that may happen. before is the world in which it happened.
type Promise struct {
	Name  string
	Holds func(before, w *World) error
}

// Promises lists what the ledger promises at every moment.
func Promises() []Promise {
	return []Promise{
		{"the swap log leads to what is live", chained},
		{"a generation is published once", once},
		{"the outputs of a partition are of one release", whole},
		{"what was turned back publishes nothing afterwards", fenced},
		{"a finished turn-back leaves the target's state", exact},
		{"turning back loses no run's data", kept},
		{"only what is active is attested", attested},
		{"what becomes visible as one does so whole", unmixed},
	}
}

// Settled lists what it promises when nothing is under way any more.
func Settled() []Promise {
	return []Promise{
		{"every turn-back has ended, and nobody crosses", quiet},
		{"what is live led to the active release, or is named", active},
	}
}

// Broken returns the first promise that does not hold.
func Broken(promises []Promise, before, w *World) error {
	for _, p := range promises {
		if err := p.Holds(before, w); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// slots visits every slot of the pipelines that take part.
func (w *World) slots(visit func(p, part, output int, s turnback.Slot) error) error {
	for p := range w.Bounds.Pipelines {
		for part := range Partitions {
			for o := range Outputs {
				if err := visit(p, part, o, w.Ledgers[p].Slots[part][o]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func chained(_, w *World) error {
	return w.slots(func(_, part, _ int, s turnback.Slot) error {
		was := int64(0)
		for _, swap := range s.Swaps {
			if swap.From != was || swap.From == swap.To {
				return fmt.Errorf("%s %s: a swap from %d to %d where %d was live", s.Output, Keys[part], swap.From, swap.To, was)
			}
			was = swap.To
		}
		if s.Live != was {
			return fmt.Errorf("%s %s: %d is live, and %d was swapped in", s.Output, Keys[part], s.Live, was)
		}
		return nil
	})
}

func once(_, w *World) error {
	return w.slots(func(_, part, _ int, s turnback.Slot) error {
		seen := map[int64]bool{}
		for _, swap := range s.Swaps {
			if swap.Kind == turnback.KindPublish && seen[swap.To] {
				return fmt.Errorf("%s %s: %d was published twice", s.Output, Keys[part], swap.To)
			}
			seen[swap.To] = true
		}
		return nil
	})
}

// named says that a turn-back has listed a slot as left.
func (l *Ledger) named(slot int) bool {
	for i := range l.Backs {
		if l.Backs[i].Left[slot] {
			return true
		}
	}
	return false
}

// versionOf is the version of a generation's release.
func versionOf(p int, g turnback.Generation) string {
	for r := range Releases {
		if v := Version(p, r); v.Digest == g.Digest {
			return v.Version
		}
	}
	return ""
}

func whole(_, w *World) error {
	for p := range w.Bounds.Pipelines {
		l := &w.Ledgers[p]
		for part := range Partitions {
			a, isA := l.Live(part, 0)
			b, isB := l.Live(part, 1)
			if l.named(slotOf(part, 0)) || l.named(slotOf(part, 1)) {
				continue
			}
			if isB && !isA || isA && !isB && Has(versionOf(p, a), 1) {
				return fmt.Errorf("%s of %s: one output only", Keys[part], Version(p, 0).Pipeline)
			}
			if isA && isB && Has(versionOf(p, a), 1) && a.Digest != b.Digest {
				return fmt.Errorf("%s of %s: %s beside %s", Keys[part], Version(p, 0).Pipeline, versionOf(p, a), versionOf(p, b))
			}
		}
	}
	return nil
}

func fenced(_, w *World) error {
	return w.slots(func(p, part, o int, s turnback.Slot) error {
		for _, b := range w.Ledgers[p].Backs {
			for _, swap := range s.Swaps[b.opened[slotOf(part, o)]:] {
				if swap.Kind == turnback.KindPublish && swap.Tenure < b.Tenure {
					return fmt.Errorf("%s %s: %s published under tenure %d after the turn-back of tenure %d", s.Output, Keys[part], swap.Owner, swap.Tenure, b.Tenure)
				}
			}
		}
		return nil
	})
}

// exact holds a turn-back that has just ended against what was live under its target, as the world saw it then: it is live
// again, or its release has built it again, or it is named.
func exact(before, w *World) error {
	p, b := w.ended(before)
	if b == nil {
		return nil
	}
	l := &w.Ledgers[p]
	if l.Active != b.Tenure {
		return fmt.Errorf("tenure %d is active", l.Active)
	}
	k := w.tenure(b.K)
	was, known := l.asOf[b.K]
	for part := range Partitions {
		for o := range Outputs {
			at := slotOf(part, o)
			s := l.Slots[part][o]
			g, isLive := l.Live(part, o)
			origin := originOf(s)
			switch {
			case b.Left[at]:
			case b.Target.Owner != "":
				if origin.Owner == b.Target.Owner && origin.Kind == turnback.KindPublish {
					return fmt.Errorf("%s %s: %d of %s is live still", s.Output, Keys[part], s.Live, b.Target.Owner)
				}
			case isLive && !k.None() && g.Digest == k.Release.Digest:
			case known && s.Live != was[at] && !l.named(at):
				return fmt.Errorf("%s %s: %d is live, and %d was under tenure %d", s.Output, Keys[part], s.Live, was[at], b.K)
			}
		}
	}
	return nil
}

// originOf is the swap that first made live what is live in a slot.
func originOf(s turnback.Slot) turnback.Swap {
	for _, swap := range s.Swaps {
		if swap.To == s.Live {
			return swap
		}
	}
	return turnback.Swap{}
}

// kept holds a turn-back that has just ended against the data that runs brought: what is live was built no earlier than
// what the last run published, unless that run is what was turned back.
func kept(before, w *World) error {
	p, b := w.ended(before)
	if b == nil || w.tenure(b.K).None() {
		return nil
	}
	l := &w.Ledgers[p]
	for part := range Partitions {
		for o := range Outputs {
			s := l.Slots[part][o]
			if l.named(slotOf(part, o)) {
				continue
			}
			live := l.built(s.Live)
			for _, swap := range s.Swaps {
				if f := w.flow(swap.Owner); f.Kind == Run && swap.Kind == turnback.KindPublish && swap.Owner != b.Target.Owner && l.built(swap.To) > live {
					return fmt.Errorf("%s %s: the data of run %s is lost", s.Output, Keys[part], swap.Owner)
				}
			}
		}
	}
	return nil
}

// built is the time of a generation's build.
func (l *Ledger) built(id int64) int {
	for i, g := range l.Generations {
		if g.ID == id {
			return i
		}
	}
	return -1
}

func (w *World) flow(owner string) *Flow {
	for i := range w.Flows {
		if w.Flows[i].Owner == owner {
			return &w.Flows[i]
		}
	}
	return &Flow{}
}

func attested(before, w *World) error {
	for p := range w.Bounds.Pipelines {
		l := &w.Ledgers[p]
		if len(l.Attested) == len(before.Ledgers[p].Attested) {
			continue
		}
		if t := l.Attested[len(l.Attested)-1]; t != l.Active || l.open() != nil || w.tenure(t).Kind != release.ByDeployment {
			return fmt.Errorf("tenure %d was attested while %d is active", t, l.Active)
		}
	}
	return nil
}

// unmixed holds a world without steps to what readers see: of what a deployment has built all is swapped in by one transaction, which
// makes its tenure the active one, or nothing is; and a turn-back leaves nothing that goes back to a later transaction.
func unmixed(before, w *World) error {
	if w.Bounds.Steps {
		return nil
	}
	for i := range w.Flows {
		f := &w.Flows[i]
		if f.Kind != Deploy || f.Tenure == 0 {
			continue
		}
		swapped, l := w.Ledgers[f.Pipeline].swapped(f.Owner, f.Tenure), &w.Ledgers[f.Pipeline]
		if swapped != 0 && (swapped != Partitions || !w.tenure(f.Tenure).Activated) {
			return fmt.Errorf("%s has published %d partitions, and its tenure is active: %t", f.Owner, swapped, l.Active == f.Tenure)
		}
	}
	for p := range w.Bounds.Pipelines {
		l := &w.Ledgers[p]
		for i := range l.Backs {
			b := &l.Backs[i]
			if moved := l.swapped("", b.Tenure); moved == 0 || i >= len(before.Ledgers[p].Backs) || before.Ledgers[p].swapped("", b.Tenure) != 0 {
				continue // it has not begun, or had before
			}
			for part := range Partitions {
				d := w.decide(p, *b, part)
				if d.Changes() && d.Action != turnback.Rebuild {
					return fmt.Errorf("%s goes back later than the others, under tenure %d", Keys[part], b.Tenure)
				}
			}
		}
	}
	return nil
}

// swapped counts the partitions that were swapped under a tenure, by an owner or by anybody.
func (l *Ledger) swapped(owner string, tenure int64) int {
	n := 0
	for part := range Partitions {
		for o := range Outputs {
			if slices.ContainsFunc(l.Slots[part][o].Swaps, func(s turnback.Swap) bool {
				return s.Tenure == tenure && (owner == "" || s.Owner == owner)
			}) {
				n++
				break
			}
		}
	}
	return n
}

func quiet(_, w *World) error {
	for p := range w.Bounds.Pipelines {
		l := &w.Ledgers[p]
		if l.open() != nil || l.Crossing != "" {
			return fmt.Errorf("turn-back open: %t, crossing: %q", l.open() != nil, l.Crossing)
		}
	}
	return nil
}

func active(_, w *World) error {
	return w.slots(func(p, part, o int, s turnback.Slot) error {
		l := &w.Ledgers[p]
		g, isLive := l.Live(part, o)
		now := w.tenure(l.Active)
		if !isLive || l.named(slotOf(part, o)) || g.Digest == now.Release.Digest {
			return nil
		}
		origin := originOf(s)
		led := w.ancestors(p, l.Active)
		for tenure := range led {
			if w.tenure(tenure).Release.Digest == g.Digest {
				return nil
			}
		}
		if !led[origin.Tenure] {
			return fmt.Errorf("%s %s: %s of tenure %d is live, and tenure %d is active", s.Output, Keys[part], versionOf(p, g), origin.Tenure, l.Active)
		}
		return nil
	})
}
