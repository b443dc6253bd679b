// Package model is an abstract ledger and the workflows that change it, small enough that every interleaving of their
// effects can be tried. What is admitted is decided by admission, what turning back takes by turnback: the model has no
// rules of its own, so that it tests the product's. Only tests use it.
//
//	Op (start, step, lost commit, cancel, kill, zombie, drop) ─ World.Do ─→ next World, checked by Broken
//
// An effect is a transaction of the ledger. Between any two, anybody else may have one, a worker may die, and a commit may
// be lost and tried again.
package model

import (
	"maps"
	"slices"

	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// The size of the world.
const (
	Pipelines  = 2
	Releases   = 3
	Partitions = 3
	Outputs    = 2
)

// environment is the only one.
const environment = "prod"

// Keys are the partitions.
var Keys = [Partitions]partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"} //nolint:gochecknoglobals // an array cannot be a constant

// Bounds says how much may happen in a world.
type Bounds struct {
	Pipelines int // that take part
	Flows     int // workflows that may be started
	Faults    int // cancels, kills, lost commits and drops
	// Steps has deployments and turn-backs become visible group by group; else all of one does in one transaction.
	Steps bool
	// Sourceless are the partitions that no turn-back can build again: their files are gone.
	Sourceless [Partitions]bool
}

// World is a ledger and its workflows at one moment. It is a value: Do returns the next one, and leaves it as it is.
type World struct {
	Bounds  Bounds
	Tenures []release.Tenure // the number is the index + 1
	Ledgers [Pipelines]Ledger
	Flows   []Flow
	faults  int
}

// Ledger is what the ledger has of one pipeline.
type Ledger struct {
	Active      int64 // tenure
	Crossing    string
	Slots       [Partitions][Outputs]turnback.Slot
	Generations []turnback.Generation // in the order of their builds
	Fenced      []string              // owners
	Backs       []Back
	Attested    []int64 // tenures

	asOf   map[int64]state // what was live under a tenure, as its swaps and its activation left it
	before map[int64]int64 // tenure that was active before one was activated
}

// state is what is live, by slot.
type state [Partitions * Outputs]int64

// Back is a turn-back in the ledger.
type Back struct {
	Tenure   int64
	Target   turnback.Target
	K        int64 // the tenure that is active afterwards; 0: none
	ByPerson bool
	Driver   string // the flow that goes on with it
	State    turnback.State
	Tally    turnback.Tally
	Left     [Partitions * Outputs]bool // named, by rule or because they could not
	// opened is how much of each slot's log there was when it began.
	opened [Partitions * Outputs]int
	tried  [Partitions]bool
}

// Slot numbers a partition of an output.
func slotOf(part, output int) int { return part*Outputs + output }

// New is a world in which nothing has happened.
func New(b Bounds) World {
	w := World{Bounds: b}
	for p := range w.Ledgers {
		l := &w.Ledgers[p]
		l.asOf, l.before = map[int64]state{}, map[int64]int64{}
		for part := range Partitions {
			for o := range Outputs {
				l.Slots[part][o].Output = Table(p, o)
			}
		}
	}
	return w
}

// Table names an output of a pipeline.
func Table(pipeline, output int) string {
	return [Pipelines][Outputs]string{{"ta", "tb"}, {"ua", "ub"}}[pipeline][output]
}

// Version is a release of a pipeline.
func Version(pipeline, r int) release.Release {
	v := [Releases]string{"1.0.0", "1.1.0", "1.2.0"}[r]
	name := [Pipelines]string{"shop", "rides"}[pipeline]
	return release.Release{Pipeline: name, Version: v, Digest: "sha256:" + name + v}
}

// Has says whether a release has an output: the last one drops the second.
func Has(version string, output int) bool { return output == 0 || version != "1.2.0" }

// Live is what is live in a slot; false: nothing is.
func (l Ledger) Live(part, output int) (turnback.Generation, bool) {
	return l.generation(l.Slots[part][output].Live)
}

func (l Ledger) generation(id int64) (turnback.Generation, bool) {
	at := slices.IndexFunc(l.Generations, func(g turnback.Generation) bool { return g.ID == id })
	if at < 0 {
		return turnback.Generation{}, false
	}
	return l.Generations[at], true
}

func (l Ledger) live() (s state) {
	for part := range Partitions {
		for o := range Outputs {
			s[slotOf(part, o)] = l.Slots[part][o].Live
		}
	}
	return s
}

// open is the turn-back that is open; nil: none is.
func (l *Ledger) open() *Back {
	for i := range l.Backs {
		if l.Backs[i].State == turnback.Open {
			return &l.Backs[i]
		}
	}
	return nil
}

// change is the turn-back of a tenure, to be changed; nil: it is not open any more.
func (l *Ledger) change(tenure int64) *Back {
	l.Backs = slices.Clone(l.Backs)
	if b := l.open(); b != nil && b.Tenure == tenure {
		return b
	}
	return nil
}

// tenure reads a tenure; an unknown one is of no release.
func (w *World) tenure(number int64) release.Tenure {
	if number == 0 {
		return release.Tenure{}
	}
	return w.Tenures[number-1]
}

// reserve enters a tenure.
func (w *World) reserve(t release.Tenure) int64 {
	t.Number = int64(len(w.Tenures)) + 1
	w.Tenures = append(w.Tenures, t)
	return t.Number
}

// activate makes a tenure the active one.
func (w *World) activate(p int, number int64) {
	l := &w.Ledgers[p]
	l.before, l.asOf, w.Tenures = cloned(l.before), cloned(l.asOf), slices.Clone(w.Tenures)
	l.before[number] = l.Active
	l.Active = number
	w.Tenures[number-1].Activated = true
	l.asOf[number] = l.live()
}

// clone is a world of its own. What both hold in common is never written: who changes an element copies the list first,
// and an append copies because no list has room.
func (w World) clone() World {
	w.Tenures, w.Flows = slices.Clip(w.Tenures), slices.Clone(w.Flows)
	for p := range w.Bounds.Pipelines {
		l := &w.Ledgers[p]
		l.Generations, l.Backs = slices.Clip(l.Generations), slices.Clip(l.Backs)
		l.Fenced, l.Attested = slices.Clip(l.Fenced), slices.Clip(l.Attested)
		for part := range Partitions {
			for o := range Outputs {
				l.Slots[part][o].Swaps = slices.Clip(l.Slots[part][o].Swaps)
			}
		}
	}
	return w
}

func cloned[V any](m map[int64]V) map[int64]V {
	out := make(map[int64]V, len(m)+1)
	maps.Copy(out, m)
	return out
}
