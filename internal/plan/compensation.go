package plan

import (
	"fmt"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Standing says whose the live generation of a partition is, seen from what is turned back.
type Standing string

// The standings.
const (
	Ours        Standing = "ours"        // published by what is turned back, and the only one of its release since
	Republished Standing = "republished" // newer, by the release that is turned back
	Foreign     Standing = "foreign"     // newer, by another release
)

// Held is what the ledger says of one partition that a turn-back concerns.
type Held struct {
	Output    string
	Partition partition.Key
	Standing  Standing
	Live      *generation.Generation // nil: nothing is live now
	Before    *generation.Generation // live before what is turned back; nil: nothing was
}

// Compensation decides, partition by partition, what turning back to a release takes. to is the release that could
// rebuild; nil: there is none. snapshot goes back to the retained data even where data was published since. A partition
// that is back already has no item, so that a second turn-back after half of a first one does the other half.
func Compensation(to *release.Release, held []Held, snapshot bool) []UndoItem {
	var items []UndoItem
	for _, h := range held {
		if h.back(to) {
			continue
		}
		item := UndoItem{Output: h.Output, Partition: h.Partition}
		if h.Live != nil {
			item.Live = h.Live.ID
		}
		item.Kind, item.To, item.Reason = h.decide(to, snapshot)
		items = append(items, item)
	}
	return items
}

// back says that readers see what they would see after the turn-back.
func (h Held) back(to *release.Release) bool {
	if h.Live == nil || h.Before == nil {
		return h.Live == h.Before
	}
	return h.Live.ID == h.Before.ID || h.Standing == Foreign && to != nil && h.Live.Release.Digest == to.Digest
}

func (h Held) decide(to *release.Release, snapshot bool) (kind UndoKind, target int64, reason string) {
	switch {
	case h.Live == nil:
		return UndoLeave, 0, "nothing is live there any more: somebody detached it"
	case h.Standing == Foreign:
		return UndoLeave, 0, fmt.Sprintf("generation %d of %s is newer, and another release's", h.Live.ID, h.Live.Release.Version)
	case h.Standing == Republished && !snapshot:
		return rebuild(to, fmt.Sprintf("generation %d was published since, by the same release: its data is newer than what is retained", h.Live.ID))
	case h.Before == nil && (snapshot || to == nil):
		return UndoDetach, 0, "nothing was live before, and it is detached; its table is kept for the horizon"
	case h.Before == nil:
		return rebuild(to, "nothing was live before")
	case h.Before.State != generation.Retired:
		return rebuild(to, fmt.Sprintf("generation %d, which was live before, is %s", h.Before.ID, h.Before.State))
	case h.Before.NotReattachable != "":
		return rebuild(to, fmt.Sprintf("generation %d, which was live before, cannot be re-attached: %s", h.Before.ID, h.Before.NotReattachable))
	}
	return UndoSwapBack, h.Before.ID, fmt.Sprintf("generation %d of %s was live before", h.Before.ID, h.Before.Release.Version)
}

// rebuild never detaches silently: without a release that could build, the partition is left and reported.
func rebuild(to *release.Release, why string) (UndoKind, int64, string) {
	if to == nil {
		return UndoLeave, 0, why + "; no earlier release could build it again"
	}
	return UndoRebuild, 0, why + "; " + to.Version + " builds it again"
}
