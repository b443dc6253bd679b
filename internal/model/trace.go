package model

import "math/rand/v2"

// Traced is one op of a trace, and what came of it.
type Traced struct {
	Op Op
	// Admitted says that the op's effect happened; of a start, a cancel and a kill it is true.
	Admitted bool
	// World is the ledger afterwards: what tables and ledger of a real database have to equal.
	World World
}

// Trace draws one way through a world: the same seed gives the same trace. It goes on for at most steps ops, and then
// settles, so that it ends in a world in which nothing is under way.
func Trace(w World, seed uint64, steps int) []Traced {
	draw := rand.New(rand.NewPCG(seed, seed))
	var trace []Traced
	next := func(o Op) {
		var err error
		w, err = w.Next(o)
		trace = append(trace, Traced{Op: o, Admitted: err == nil, World: w})
	}
	for range steps {
		ops := w.Possible()
		if len(ops) == 0 {
			break
		}
		next(drawn(draw, ops))
	}
	w.Bounds.Flows += Pipelines * 3
	for {
		o, more := w.settling()
		if !more || len(trace) > steps+200 {
			return trace
		}
		next(o)
	}
}

// drawn draws an op. Half of them go on with a workflow, so that others come upon it half way; of the rest every kind is as
// likely as any other, however many there are of it.
func drawn(draw *rand.Rand, ops []Op) Op {
	steps, others := []Op{}, map[string][]Op{}
	var kinds []string
	for _, o := range ops {
		if o.What == Do {
			steps = append(steps, o)
			continue
		}
		kind := string(o.What) + string(o.Kind)
		if others[kind] == nil {
			kinds = append(kinds, kind)
		}
		others[kind] = append(others[kind], o)
	}
	if len(kinds) == 0 || len(steps) > 0 && draw.IntN(2) == 0 {
		return steps[draw.IntN(len(steps))]
	}
	of := others[kinds[draw.IntN(len(kinds))]]
	return of[draw.IntN(len(of))]
}
