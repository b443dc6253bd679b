package turnback

// Refused ends a turn-back that moved nothing at all. Done is the target state, but for what the rules leave; Stuck is
// that something moved, and something that should have is left.
const Refused State = "refused"

// Tally is what a turn-back did, over all its attempts: counts only, the partitions are ledger rows.
type Tally struct {
	// Flipped says that the active release moved. That is visible to runs, so it is a move.
	Flipped bool `json:"flipped,omitempty"`
	// Stopped says that a fault, a person or a cancel ended it before it had tried everything.
	Stopped bool `json:"stopped,omitempty"`
	Kept    int  `json:"kept,omitempty"`
	Left    int  `json:"left,omitempty"`  // partitions with an output that the rules leave
	Moved   int  `json:"moved,omitempty"` // partitions that went back
	Open    int  `json:"open,omitempty"`  // partitions that should have gone back, and did not wholly
	// Newer are those of the left, and Discarded those of the moved, that somebody has published over a backfill.
	Newer     int `json:"newer,omitempty"`
	Discarded int `json:"discarded,omitempty"`
	// Remnants are those of the moved in which what an earlier turn-back had left is live again.
	Remnants int `json:"remnants,omitempty"`
	// Away are those of which another turn-back has decided about an output since.
	Away int `json:"away,omitempty"`
}

// Add counts a partition that was tried or given up. moved says that the decision's effect committed; of a decision that
// takes none it is ignored.
func (t Tally) Add(d Decision, moved bool) Tally {
	switch {
	case d.Changes() && moved:
		t.Moved++
	case !d.Changes() && d.Action == Keep:
		t.Kept++
	}
	switch {
	case d.Open() || d.Changes() && !moved:
		t.Open++
	case d.left():
		t.Left++
	}
	switch {
	case !d.newer():
	case d.Changes() && moved:
		t.Discarded++
	case !d.Changes():
		t.Newer++
	}
	if d.remnant() && moved {
		t.Remnants++
	}
	if d.away() {
		t.Away++
	}
	return t
}

// Plus joins what two parts of one turn-back did.
func (t Tally) Plus(o Tally) Tally {
	return Tally{
		Flipped: t.Flipped || o.Flipped, Stopped: t.Stopped || o.Stopped,
		Kept: t.Kept + o.Kept, Left: t.Left + o.Left, Moved: t.Moved + o.Moved, Open: t.Open + o.Open,
		Newer: t.Newer + o.Newer, Discarded: t.Discarded + o.Discarded, Remnants: t.Remnants + o.Remnants,
		Away: t.Away + o.Away,
	}
}

// End folds the tally into the end. What the rules leave by intent is reported, and hinders no end.
func (t Tally) End() State {
	switch {
	case t.Open == 0 && !t.Stopped:
		return Done
	case t.Moved > 0 || t.Flipped:
		return Stuck
	}
	return Refused
}

func (d Decision) left() bool {
	for _, it := range d.Items {
		if it.Action == Leave {
			return true
		}
	}
	return false
}
