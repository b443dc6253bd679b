package turnback

import (
	"slices"

	"drawbridge/internal/partition"
)

// Action is what turning a partition of an output back takes.
type Action string

// The actions, from the weakest to the strongest.
const (
	Keep     Action = "keep"    // it is as the target has it
	Leave    Action = "leave"   // it is not, stays, and is reported
	SwapBack Action = "swap"    // a retired generation goes live again
	Detach   Action = "detach"  // nothing is live afterwards; the table stays for the horizon
	Rebuild  Action = "rebuild" // the target's release builds it again
)

func (a Action) strength() int {
	switch a {
	case Leave:
		return 1
	case SwapBack:
		return 2
	case Detach:
		return 3
	case Rebuild:
		return 4
	case Keep:
		return 0
	default: // never decided
		return 0
	}
}

// Item is what one output of a partition takes, and why.
type Item struct {
	Output string `json:"output"`
	Action Action `json:"action"`
	// Case is the rule that applied, 1 to 8; 0: none fits, and it is left.
	Case int   `json:"case"`
	From int64 `json:"from"`         // what is live; the swap's compare-and-swap
	To   int64 `json:"to,omitempty"` // what goes live again; 0 for a rebuild (not built yet) and a detach
	// Open marks what is left although it is not as the target has it: a person has to act, and the turn-back is stuck.
	Open bool `json:"open,omitempty"`
	// Newer is what another workflow has published over a backfill, and could be taken back with it: why it is left, or what going back
	// discards.
	Newer  int64  `json:"newer,omitempty"`
	Reason string `json:"reason"`
}

// Decision is what a partition takes: all items in one transaction, those of a rebuild after it was built. A partition is
// never split.
type Decision struct {
	Partition partition.Key `json:"partition"`
	// Action is the strongest of the items.
	Action Action `json:"action"`
	Items  []Item `json:"items"`
}

// Changes says that the decision takes an effect.
func (d Decision) Changes() bool { return d.Action.strength() > Leave.strength() }

// Open says that an output stays as the target does not have it, and a person has to act.
func (d Decision) Open() bool {
	for _, it := range d.Items {
		if it.Open {
			return true
		}
	}
	return false
}

// newer says that an output has what another workflow has published over a backfill.
func (d Decision) newer() bool {
	return slices.ContainsFunc(d.Items, func(it Item) bool { return it.Newer != 0 })
}

func (d *Decision) add(it Item) {
	d.Items = append(d.Items, it)
	if it.Action.strength() > d.Action.strength() {
		d.Action = it.Action
	}
}

// Decide says what turning back one partition takes; slots are all outputs that the ledger knows there. One rebuild
// rebuilds all outputs that the target's release has, so that they are of one release and of one time; what is left, and
// what a person detached, is not touched by that.
func Decide(f Facts, key partition.Key, slots []Slot) Decision {
	d := Decision{Partition: key, Action: Keep}
	p := newPath(f)
	for _, s := range slots {
		it := view{Facts: f, path: p, Slot: s, all: key == partition.AllKey}.decide()
		it.Output, it.From = s.Output, s.Live
		d.add(it)
	}
	if d.Action != Rebuild {
		return d
	}
	for i := range d.Items {
		it := &d.Items[i]
		if it.Case != 8 && f.builds(it.Output) && (it.Action == Keep || it.Action == SwapBack) {
			it.Action, it.To = Rebuild, 0
			it.Reason += "; it is built again with the other outputs of the partition"
		}
	}
	return d
}

// builds says that the target's release can build the output.
func (f Facts) builds(output string) bool { return !f.K.None() && f.Outputs[output] }
