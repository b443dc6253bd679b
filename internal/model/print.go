package model

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"slices"
)

// print is what tells worlds apart: two with the same print have the same future.
type print struct {
	b []byte
}

func (p *print) int(n int64) { p.b = binary.AppendVarint(p.b, n) }

func (p *print) text(s string) {
	p.int(int64(len(s)))
	p.b = append(p.b, s...)
}

func (p *print) bit(on bool) {
	if on {
		p.b = append(p.b, 1)
	} else {
		p.b = append(p.b, 0)
	}
}

// Print is the hash of a world under a seed.
func (w *World) Print(seed maphash.Seed, buffer []byte) (uint64, []byte) {
	p := print{b: buffer[:0]}
	p.int(int64(w.faults))
	for _, t := range w.Tenures {
		p.text(t.Release.Version)
		p.text(t.Owner)
		p.text(string(t.Kind))
		p.bit(t.Activated)
		p.int(t.Back)
	}
	for i := range w.Bounds.Pipelines {
		w.Ledgers[i].print(&p)
	}
	for i := range w.Flows {
		w.Flows[i].print(&p)
	}
	return maphash.Bytes(seed, p.b), p.b
}

func (l *Ledger) print(p *print) {
	p.int(l.Active)
	p.text(l.Crossing)
	for part := range Partitions {
		for o := range Outputs {
			s := &l.Slots[part][o]
			p.int(int64(len(s.Swaps)))
			for _, swap := range s.Swaps {
				p.int(swap.Tenure)
				p.text(swap.Owner)
				p.int(swap.To)
				p.text(swap.Kind)
			}
		}
	}
	for _, g := range l.Generations {
		p.int(g.ID)
		p.text(string(g.State))
		p.int(g.Replaced)
	}
	fences := slices.Sorted(slices.Values(l.Fenced))
	for _, owner := range fences {
		p.text(owner)
	}
	for i := range l.Backs {
		b := &l.Backs[i]
		p.int(b.Tenure)
		p.int(b.K)
		p.text(b.Target.Owner)
		p.text(string(b.State))
		p.text(b.Driver)
		p.bit(b.ByPerson)
		p.bit(b.Tally.Flipped)
		p.int(int64(b.Tally.Moved))
		p.int(int64(b.Tally.Open))
		for at := range b.Left {
			p.bit(b.Left[at])
			p.int(int64(b.opened[at]))
		}
		for _, tried := range b.tried {
			p.bit(tried)
		}
	}
	for _, tenure := range slices.Sorted(maps.Keys(l.asOf)) {
		p.int(l.before[tenure])
		for _, g := range l.asOf[tenure] {
			p.int(g)
		}
	}
}

func (f *Flow) print(p *print) {
	p.text(string(f.Kind))
	p.int(int64(f.Pipeline*100 + f.Release*10 + f.Part))
	p.text(f.To)
	p.text(f.Of)
	p.int(int64(f.Step))
	p.int(f.Tenure)
	p.int(int64(f.Round))
	p.int(int64(f.done))
	p.int(f.Back)
	p.bit(f.stopping)
	p.bit(f.killed)
	p.bit(f.lost)
	if f.Step != StepOver {
		for _, from := range f.from {
			p.int(from)
		}
	}
}
