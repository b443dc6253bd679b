package turnback

import (
	"fmt"
	"slices"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

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
	d.hold(f.holds)
	if d.Action != Rebuild || f.Keeps {
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

// view is one slot under the facts: the eight cases are decided here.
type view struct {
	Facts
	Slot
	path path
	all  bool // the slot is a whole output
}

// before is the state to go back to, E: what was live, and where the swap log says so.
type before struct {
	generation int64
	at         int  // index of the swap that made it live; -1: the log begins later
	detached   bool // nothing was live, because a person had detached it
}

func (v view) decide() Item {
	e, touched := v.before()
	if !touched {
		return Item{Action: Keep, Case: 1, Reason: "the workflow published nothing here"}
	}
	by, away := v.away(e)
	if v.Live == e.generation {
		it := Item{Action: Keep, Case: 1, Reason: "it is as it was: " + says(v.Live)}
		if e.detached {
			it.Case, it.Reason = 8, "it is as it was: a person had detached it"
		}
		if away {
			it.Reason += ", and " + v.took(by)
		}
		return it
	}
	made := v.last(v.Live, len(v.Swaps))
	if made < 0 {
		return Item{Action: Leave, Open: true, Reason: fmt.Sprintf("the swap log does not say how it came that %s; look with drawbridge history", says(v.Live))}
	}
	first := v.first(v.Live)
	if away && first <= by && v.Swaps[made].Kind == KindTurnBack {
		return Item{Action: Keep, Case: 1, Away: true, Reason: v.took(by) + ": " + says(v.Live) + ", and stays"}
	}
	origin := v.Swaps[first]
	mine := v.Target.Owner != "" && v.path.owned(origin)
	live := v.Generations[v.Live]
	switch {
	case v.Live != 0 && v.Target.Refills() && !mine && origin.Kind == KindPublish:
		return v.published(e, origin, away)
	case v.Live != 0 && !v.K.None() && live.Digest == v.K.Release.Digest && live.Config == v.K.Config && made > e.at &&
		(v.Target.Owner == "" || origin.Kind != KindPublish || origin.Owner != v.Target.Owner):
		return Item{Action: Keep, Case: 2, Reason: fmt.Sprintf("generation %d is of %s already", v.Live, v.K.Release.Version)}
	case v.Live == 0 && v.Swaps[made].Kind == KindDetach:
		return Item{Action: Leave, Reason: "a person has detached it since"}
	case v.Target.Owner != "" && !mine:
		return Item{Action: Leave, Case: 3, Reason: fmt.Sprintf("%s by another workflow since", says(v.Live))}
	case e.generation != 0:
		return v.toGeneration(e)
	}
	return v.toNothing(e)
}

// published is what becomes of what another workflow has published over a backfill: it stays, unless a person wants what was there
// before all the same. What was published after the backfill went back here is nobody's to discard.
func (v view) published(e before, by Swap, away bool) Item {
	since := fmt.Sprintf("%s, published by %s since", says(v.Live), effect.Owner(by.Owner).Workflow())
	if away {
		return Item{Action: Leave, Case: 3, Reason: since + " it went back"}
	}
	if !v.Snapshot {
		it := Item{Action: Leave, Case: 3, Newer: v.Live, Reason: since}
		if gone := v.gone(e.generation); e.generation != 0 && gone != "" {
			it.Newer, it.Reason = 0, since+"; "+gone
		}
		return it
	}
	it := v.toNothing(e)
	if e.generation != 0 {
		it = v.toGeneration(e)
	}
	if it.Action == Leave {
		it.Reason = since + "; " + it.Reason
		return it
	}
	it.Newer, it.Reason = v.Live, it.Reason+"; "+since+", is discarded"
	return it
}

// away finds the turn-back, whoever's, that has taken away what a backfill published here, as an index of the log. A turn-back goes
// back to where the log was when what it makes live was live: where that is after the backfill's publish, nothing of it is taken away.
func (v view) away(e before) (by int, ok bool) {
	if !v.Target.Refills() {
		return -1, false
	}
	last := len(v.Swaps) - 1
	for !v.path.owned(v.Swaps[last]) {
		last--
	}
	by = -1
	for i := len(v.Swaps) - 1; i >= 0; {
		switch s := v.Swaps[i]; {
		case v.path.owned(s):
			return -1, false
		case i < last:
			return by, true
		case s.Kind != KindTurnBack:
			i--
		default:
			by = i
			if s.To == e.generation {
				return by, true
			}
			i = v.last(s.To, i)
		}
	}
	return by, true
}

// took is the sentence of the turn-back that has taken away what a backfill published.
func (v view) took(by int) string {
	return effect.Owner(v.Swaps[by].Owner).Workflow() + " has taken away what the backfill published here"
}

// toGeneration goes back to a generation: by a swap (4), or by a rebuild where newer data would be lost or it is gone (5).
func (v view) toGeneration(e before) Item {
	gone := v.gone(e.generation)
	newer := v.newer(e.generation)
	if gone == "" && (newer == 0 || v.Snapshot) {
		it := Item{Action: SwapBack, Case: 4, To: e.generation, Reason: fmt.Sprintf("generation %d was live", e.generation)}
		if newer != 0 {
			it.Case, it.Reason = 5, it.Reason+fmt.Sprintf("; the newer data of generation %d is lost", newer)
		}
		if made := e.at; v.Target.Refills() && made >= 0 && v.Swaps[made].Kind == KindPublish && v.TurnedBack[v.Swaps[made].Owner] != 0 {
			it.Remnant, it.Reason = true, it.Reason+", which an earlier rollback of "+effect.Owner(v.Swaps[made].Owner).Workflow()+" had left"
		}
		return it
	}
	why := gone
	if newer != 0 {
		why = fmt.Sprintf("generation %d was published by a later run: its data is newer than what is retained", newer)
	}
	if v.Target.Refills() { // the same release would build the same again
		return Item{Action: Leave, Case: 5, Open: true, Reason: why + "; put its files back as they were, and run it"}
	}
	if v.builds(v.Output) && v.Keeps {
		return Item{Action: Leave, Case: 5, Open: true, Reason: why + "; " + v.kept(gone == "")}
	}
	if v.builds(v.Output) {
		if v.all {
			why += "; it will be newer than the other partitions"
		}
		return Item{Action: Rebuild, Case: 5, Reason: why}
	}
	if gone == "" {
		why += "; --data snapshot goes back to what is retained"
	}
	return Item{Action: Leave, Case: 5, Open: true, Reason: why + "; " + v.cannot()}
}

// toNothing goes back to a state in which nothing was live. Nobody's data vanishes unless a person said so.
func (v view) toNothing(e before) Item {
	switch {
	case v.K.None() && v.ByPerson:
		return Item{Action: Detach, Case: 6, Reason: "no release was active, and nothing was live"}
	case v.K.None():
		return Item{Action: Leave, Case: 6, Open: true, Reason: "no release was active before: a first release is detached by a person only"}
	case v.Target.Refills() && v.ByPerson:
		return Item{Action: Detach, Case: 6, Reason: "nothing was live before the backfill"}
	case e.detached:
		return Item{Action: Detach, Case: 8, Reason: "a person had detached what was there"}
	case v.builds(v.Output) && v.Snapshot:
		return Item{Action: Detach, Case: 6, Reason: fmt.Sprintf("nothing was live; the data of generation %d is lost", v.Live)}
	case v.builds(v.Output) && v.Keeps && v.newer(0) != 0:
		return Item{Action: Leave, Case: 6, Open: true, Reason: "nothing was live; " + v.kept(true)}
	case v.builds(v.Output):
		return Item{Action: Rebuild, Case: 6, Reason: "nothing was live"}
	case v.DetachNewOutputs:
		return Item{Action: Detach, Case: 7, Reason: v.cannot()}
	}
	return Item{Action: Leave, Case: 7, Reason: v.cannot() + "; --detach-new-outputs detaches it"}
}

// before finds the state to go back to. touched is false where the target workflow has nothing here.
func (v view) before() (e before, touched bool) {
	if v.Target.Owner != "" {
		return v.beforeWorkflow()
	}
	for i, s := range slices.Backward(v.Swaps) {
		if v.counts(s) {
			return before{generation: s.To, at: i, detached: v.detached(i, func(s Swap) bool { return !v.counts(s) })}, true
		}
	}
	return before{at: -1}, true
}

// beforeWorkflow follows what the workflow published back to what it replaced, over everything that is its own, its
// tenure's, turned back, or off the path to K. What a turn-back has brought to life again counts as never turned back.
func (v view) beforeWorkflow() (before, bool) {
	at := len(v.Swaps) - 1
	for at >= 0 && !v.path.owned(v.Swaps[at]) {
		at--
	}
	if at < 0 {
		return before{}, false
	}
	undone := func(s Swap) bool {
		if v.Target.Refills() { // back to what readers saw, also where a turn-back had left it there, but to nothing that was turned back since
			return v.path.owned(s) || s.Kind == KindPublish && v.TurnedBack[s.Owner] > v.Swaps[at].Tenure
		}
		return s.Kind == KindPublish && (v.path.owned(s) || v.TurnedBack[s.Owner] != 0 || !v.counts(s))
	}
	e := v.Swaps[at].From
	for e != 0 {
		made := v.last(e, at)
		if made < 0 || !undone(v.Swaps[made]) {
			return before{generation: e, at: made}, true
		}
		at, e = made, v.Generations[e].Replaced
	}
	return before{at: -1, detached: v.detached(at-1, undone)}, true
}

// detached says that nothing was live after the swap at an index because a person had detached it, also where a turn-back
// restored that. The swaps that are ignored were turned back.
func (v view) detached(at int, ignored func(Swap) bool) bool {
	for ; at >= 0; at-- {
		switch s := v.Swaps[at]; {
		case ignored(s):
		case s.To != 0:
			return false
		case s.Kind == KindDetach:
			return true
		}
	}
	return false
}

// newer is the generation whose data would be lost by going back to e: what is live, or what it replaced on the way from
// e, was published by a later run, which was not turned back itself, under what is not gone back to. 0: none.
func (v view) newer(e int64) int64 {
	g := v.Live
	for range v.Swaps {
		if g == 0 || g == e {
			return 0
		}
		if i := v.first(g); i >= 0 && v.path.later(v.Swaps[i]) && v.TurnedBack[v.Swaps[i].Owner] == 0 {
			return g
		}
		g = v.Generations[g].Replaced
	}
	return 0
}

// gone says why a generation cannot go live again; empty when it can.
func (f Facts) gone(id int64) string {
	g, known := f.Generations[id]
	switch {
	case !known:
		return fmt.Sprintf("generation %d, which was live, is not in the ledger", id)
	case g.NotReattachable != "":
		return fmt.Sprintf("generation %d, which was live, cannot be re-attached: %s", id, g.NotReattachable)
	case g.State != generation.Retired:
		return fmt.Sprintf("generation %d, which was live, is %s", id, g.State)
	}
	return ""
}

// kept says why rows that several runs have brought are not built again, and what is done where they are kept still.
func (v view) kept(retained bool) string {
	why := "its runs keep rows that earlier ones brought, and " + v.K.Release.Version + " can build only those of its files again"
	if retained {
		why += "; --data snapshot goes back to what was live, and what later runs brought has to be run again"
	}
	return why
}

// cannot says why the target's release does not build the output.
func (v view) cannot() string {
	if v.K.None() {
		return "no release is active afterwards that could build it again"
	}
	return v.K.Release.Version + " has no such output"
}

func (v view) counts(s Swap) bool { return v.path.counts(s, v.Generations[s.To]) }

// first is the index of the swap that published a generation; -1: none did.
func (v view) first(id int64) int {
	for i, s := range v.Swaps {
		if s.To == id {
			return i
		}
	}
	return -1
}

// last is the index of the swap before an index that made a generation live, or 0 nothing; -1: none did.
func (v view) last(id int64, before int) int {
	for i := before - 1; i >= 0; i-- {
		if v.Swaps[i].To == id {
			return i
		}
	}
	return -1
}

// says is the sentence of a live generation, or of none.
func says(id int64) string {
	if id == 0 {
		return "nothing is live"
	}
	return fmt.Sprintf("generation %d is live", id)
}
