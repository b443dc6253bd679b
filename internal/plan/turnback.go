package plan

import (
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// TurnBack asks for data and active release to go back. The zero value goes back to the release that was active before.
type TurnBack struct {
	// Key narrows to what one workflow published: compensation and recovery. Empty: whatever is live.
	Key string `json:"key,omitempty"`
	// Version is the release to go back to; empty is the one that was active before the present one (or before Key's).
	Version string `json:"version,omitempty"`
	// Output and Partition narrow to one partition; then Generation names the one to go back to, 0 the last good one.
	Output     string        `json:"output,omitempty"`
	Partition  partition.Key `json:"partition,omitempty"`
	Generation int64         `json:"generation,omitempty"`
	// Snapshot goes back to the retained data even where it was rebuilt since, or detaches what had none before.
	Snapshot bool `json:"snapshot,omitempty"`
}

// UndoKind is what turning one partition back takes.
type UndoKind string

// The kinds of undo, by the per-partition rules of a compensation.
const (
	UndoSwapBack UndoKind = "swap_back" // live is ours: the predecessor goes live again
	UndoRebuild  UndoKind = "rebuild"   // the previous release builds the partition again
	UndoDetach   UndoKind = "detach"    // nothing was live before, and no release could rebuild it
	UndoLeave    UndoKind = "leave"     // live is newer, by another release: left, and reported
)

// UndoItem is what turning one partition of one output back takes, and why.
type UndoItem struct {
	Kind      UndoKind      `json:"kind"`
	Output    string        `json:"output"`
	Partition partition.Key `json:"partition"`
	Live      int64         `json:"live"`         // generation that is live now
	To        int64         `json:"to,omitempty"` // generation that goes live again; 0: none
	Reason    string        `json:"reason"`
}

// Undo is a whole turn-back, computed from the ledger.
type Undo struct {
	// To is the release that becomes active; nil: none was active before.
	To *release.Release `json:"to,omitempty"`
	// From is the release that is active now.
	From  *release.Release `json:"from,omitempty"`
	Items []UndoItem       `json:"items"`
}
