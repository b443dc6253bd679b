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
	Newer int64 `json:"newer,omitempty"`
	// Away says that another turn-back has taken away what a backfill published, and has made something else live than what was before it:
	// that is decided, and stays.
	Away bool `json:"away,omitempty"`
	// Remnant says that what goes live again is of a workflow that was turned back, which had left it there.
	Remnant bool   `json:"remnant,omitempty"`
	Reason  string `json:"reason"`
}

// Decision is what a partition takes: all items in one transaction, those of a rebuild after it was built. A partition is
// never split: where an output of it cannot go back, none does.
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

// away says that another turn-back has decided about an output since a backfill published it.
func (d Decision) away() bool {
	return slices.ContainsFunc(d.Items, func(it Item) bool { return it.Away })
}

// remnant says that what an earlier turn-back had left goes live again in an output.
func (d Decision) remnant() bool {
	return slices.ContainsFunc(d.Items, func(it Item) bool { return it.Remnant })
}

func (d *Decision) add(it Item) {
	d.Items = append(d.Items, it)
	if it.Action.strength() > d.Action.strength() {
		d.Action = it.Action
	}
}

// hold leaves all of a partition where an output that holds the others is left: readers never see a part of it as it was, and the rest
// as it is.
func (d *Decision) hold(holds func(Item) bool) {
	var by, last *Item // last is one that no word of a person moves
	for i := range d.Items {
		it := &d.Items[i]
		if it.Action != Leave || !holds(*it) {
			continue
		}
		if by == nil || it.Open && !by.Open {
			by = it
		}
		if it.Newer == 0 {
			last = it
		}
	}
	if by == nil {
		return
	}
	d.Action = Keep
	items := d.Items
	d.Items = nil
	for _, it := range items {
		if it.Action.strength() > Leave.strength() {
			it.Action, it.To, it.Remnant, it.Open = Leave, 0, false, by.Open
			it.Reason = "left with " + by.Output + ": " + by.Reason
		}
		if last != nil {
			it.Newer = 0
		}
		d.add(it)
	}
}

// holds says that an output that is left keeps the others of its partition where they are. One that the target's release does not have
// is no part of what is gone back to. What others have published since leaves a deployment's other outputs alone, as a later release
// may have dropped them; a backfill has published all that its release has.
func (f Facts) holds(it Item) bool {
	return f.Target.Refills() || it.Open && (f.K.None() || f.Outputs[it.Output])
}

// builds says that the target's release can build the output.
func (f Facts) builds(output string) bool { return !f.K.None() && f.Outputs[output] }
