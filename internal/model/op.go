package model

import (
	"errors"
	"fmt"
	"strconv"

	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// What is what happens next in a world.
type What string

// What may happen. Each is one effect, or one fault.
const (
	Start  What = "start"
	Do     What = "step"
	Lose   What = "lose"   // the effect commits, and nobody is told: it is tried again
	Cancel What = "cancel" // at the next edge
	Kill   What = "kill"   // terminated: one activity of it may still be under way
	Zombie What = "zombie" // and is
	Drop   What = "drop"   // housekeeping
)

// Op is one thing that happens: to a flow, or a start of one.
type Op struct {
	What     What
	Flow     int // of all but Start and Drop
	Kind     Kind
	Pipeline int
	Release  int
	Part     int
	To       string
	Of       int // flow that is recovered
}

// String prints an op as a trace does.
func (o Op) String() string {
	switch o.What {
	case Start:
		switch o.Kind {
		case Deploy:
			return fmt.Sprintf("start deploy %s", Version(o.Pipeline, o.Release))
		case Run:
			return fmt.Sprintf("start run %s %s", Version(o.Pipeline, o.Release).Pipeline, Keys[o.Part])
		case Rollback:
			return fmt.Sprintf("start rollback %s --to %q", Version(o.Pipeline, 0).Pipeline, o.To)
		case Recover:
			return fmt.Sprintf("start recover %d", o.Of)
		}
	case Drop:
		return "drop what is retired of " + Version(o.Pipeline, 0).Pipeline
	case Do, Lose, Cancel, Kill, Zombie:
	}
	return fmt.Sprintf("%s %d", o.What, o.Flow)
}

// Possible lists everything that may happen next.
func (w *World) Possible() (ops []Op) {
	for i := range w.Flows {
		f := &w.Flows[i]
		if f.killed && f.Step != StepOver {
			ops = append(ops, Op{What: Zombie, Flow: i})
		}
		if !f.alive() {
			continue
		}
		ops = append(ops, Op{What: Do, Flow: i})
		if w.faults >= w.Bounds.Faults {
			continue
		}
		if !f.lost {
			ops = append(ops, Op{What: Lose, Flow: i})
		}
		if !f.stopping && f.Of != f.Owner && f.Step != StepLeave {
			ops = append(ops, Op{What: Cancel, Flow: i})
		}
		ops = append(ops, Op{What: Kill, Flow: i})
	}
	if len(w.Flows) < w.Bounds.Flows {
		for p := range w.Bounds.Pipelines {
			ops = append(ops, w.starts(p)...)
		}
	}
	if w.faults < w.Bounds.Faults {
		for p := range w.Bounds.Pipelines {
			if w.Ledgers[p].open() == nil && w.Ledgers[p].retired() {
				ops = append(ops, Op{What: Drop, Pipeline: p})
			}
		}
	}
	return ops
}

// starts lists the workflows that somebody may start. Turn-backs of a pipeline have one ID, so one runs at a time; runs are
// of the first partition and of the last, which stand for a step of a deployment each.
func (w *World) starts(p int) (ops []Op) {
	for r := range Releases {
		ops = append(ops, Op{What: Start, Kind: Deploy, Pipeline: p, Release: r})
	}
	for _, part := range []int{0, Partitions - 1} {
		ops = append(ops, Op{What: Start, Kind: Run, Pipeline: p, Part: part})
	}
	for i := range w.Flows {
		if f := &w.Flows[i]; f.Pipeline == p && f.alive() && f.Step >= StepOpen {
			return ops
		}
	}
	if l := &w.Ledgers[p]; l.open() == nil {
		for _, t := range w.tenuresOf(p) {
			if t.Activated && t.Number != l.Active {
				ops = append(ops, Op{What: Start, Kind: Rollback, Pipeline: p, To: strconv.FormatInt(t.Number, 10)})
			}
		}
		if t := w.tenure(l.Active); t.Number != 0 && t.Kind == release.ByTurnBack {
			ops = append(ops, Op{What: Start, Kind: Rollback, Pipeline: p, To: strconv.FormatInt(t.Number, 10)})
		}
	}
	if w.Ledgers[p].open() != nil {
		ops = append(ops, Op{What: Start, Kind: Rollback, Pipeline: p})
	}
	for i := range w.Flows {
		if f := &w.Flows[i]; f.Pipeline == p && !f.alive() && w.Ledgers[p].Crossing == f.Owner && w.Ledgers[p].open() == nil {
			ops = append(ops, Op{What: Start, Kind: Recover, Pipeline: p, Of: i})
		}
	}
	return ops
}

// Next is the world after an op. refused says why an effect was not admitted, which is no fault of the world's.
func (w World) Next(o Op) (next World, refused error) {
	next = w.clone()
	switch o.What {
	case Start:
		next.start(o)
		return next, nil
	case Drop:
		next.faults++
		next.drop(o.Pipeline)
		return next, nil
	case Do:
		refused = next.try(o.Flow)
		next.advance(&next.Flows[o.Flow], refused)
		return next, refused
	case Lose:
		next.faults++
		refused = next.try(o.Flow)
		next.Flows[o.Flow].lost = true
		return next, refused
	case Cancel:
		next.faults++
		next.cancel(&next.Flows[o.Flow])
		return next, nil
	case Kill:
		next.faults++
		f := &next.Flows[o.Flow]
		f.killed = true
		if f.Step == StepLeave || f.Kind != Deploy && f.Step < StepOpen && f.Step != StepPublish {
			f.end("gone") // nothing that it has under way changes what anybody sees
		}
		return next, nil
	case Zombie:
		refused = next.try(o.Flow)
		next.Flows[o.Flow].end("gone")
		return next, refused
	}
	return next, nil
}

// try has the effect of a flow's step; a refused one leaves the ledger as it was.
func (w *World) try(flow int) error {
	before := w.clone()
	err := w.effect(&w.Flows[flow])
	if err != nil {
		*w = before
	}
	return err
}

func (w *World) start(o Op) {
	f := Flow{Kind: o.Kind, Pipeline: o.Pipeline, Release: o.Release, Part: o.Part, To: o.To, number: len(w.Flows) + 1}
	f.Owner = fmt.Sprintf("%s/%s/%d", o.Kind, Version(o.Pipeline, 0).Pipeline, f.number)
	if o.Kind == Recover {
		f.Of = w.Flows[o.Of].Owner
	}
	if o.Kind == Rollback || o.Kind == Recover {
		f.Step = StepOpen
	}
	w.Flows = append(w.Flows, f)
}

// cancel stops a flow at its next edge. Before its first effect it ends at once.
func (w *World) cancel(f *Flow) {
	f.stopping = true
	if !f.lost && (f.Step == StepEnter || f.Step == StepOpen) {
		f.end("refused")
	}
}

func (l *Ledger) retired() bool {
	for _, g := range l.Generations {
		if g.State == "retired" {
			return true
		}
	}
	return false
}

// Settle lets every flow that lives go on to its end, recovers what was abandoned, and finishes what is open: what a person
// would do after the last fault. Every step of it is held to the promises, and its end to those of a settled world. known
// may say that a world on the way has been settled before; nil: none has.
func (w World) Settle(known func(*World) bool) (World, error) {
	w.Bounds.Flows += Pipelines * 3
	for range 200 {
		if known != nil && known(&w) {
			return w, nil
		}
		o, more := w.settling()
		if !more {
			return w, Broken(Settled(), nil, &w)
		}
		next, _ := w.Next(o)
		if err := Broken(Promises(), &w, &next); err != nil {
			return w, fmt.Errorf("settling, %s: %w", o, err)
		}
		w = next
	}
	return w, errors.New("it comes to no end")
}

// Alive says that a worker still runs a flow.
func (w *World) Alive() bool {
	for i := range w.Flows {
		if w.Flows[i].alive() {
			return true
		}
	}
	return false
}

func (w *World) settling() (Op, bool) {
	for i := range w.Flows {
		if w.Flows[i].alive() {
			return Op{What: Do, Flow: i}, true
		}
	}
	for p := range w.Bounds.Pipelines {
		for _, o := range w.starts(p) {
			if o.Kind == Recover || o.Kind == Rollback && w.Ledgers[p].open() != nil {
				return o, true
			}
		}
	}
	return Op{}, false
}

// Ended says whether a turn-back of the last op's flow has just ended, and which.
func (w *World) ended(before *World) (p int, b *Back) {
	for p := range w.Ledgers {
		for i := range w.Ledgers[p].Backs {
			b := &w.Ledgers[p].Backs[i]
			if b.State != turnback.Open && (i >= len(before.Ledgers[p].Backs) || before.Ledgers[p].Backs[i].State == turnback.Open) {
				return p, b
			}
		}
	}
	return 0, nil
}
