// Package turnback is the one rule of turning back: from what is live, the swap log and a target it says what goes back,
// how, and what is left. Rollback, compensation and recovery are this. It is pure, and knows no server.
//
//	facts of the ledger + target ─ Decide ─→ per partition: keep | leave | swap | rebuild | detach ─ Tally ─→ done | stuck | refused
//
// Deciding again after any part of it was done gives exactly what is left.
package turnback

import (
	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/release"
)

// What a swap is.
const (
	KindPublish  = "publish"
	KindTurnBack = "turn_back" // rebuilds of a turn-back too
	KindDetach   = "detach"    // a person's
	KindAdopt    = "adopt"     // of a table that was there before
)

// Swap is one entry of the swap log of an output's partition. To 0 is a detach, From 0 means that nothing was live.
type Swap struct {
	ID     int64  `json:"id"`
	Tenure int64  `json:"tenure"`
	Owner  string `json:"owner"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Kind   string `json:"kind"`
}

// Generation is what turning back has to know of a generation.
type Generation struct {
	ID              int64            `json:"id"`
	Digest          string           `json:"digest"`
	Config          string           `json:"config,omitempty"` // digest
	State           generation.State `json:"state"`
	NotReattachable string           `json:"not_reattachable,omitempty"`
	// Replaced is what was live when it was published for the first time. It is written once.
	Replaced int64  `json:"replaced,omitempty"`
	Owner    string `json:"owner"`
}

// Slot is one output's part of a partition: what is live there, and the whole log of how it came so, in ledger order.
type Slot struct {
	Output string `json:"output"`
	Live   int64  `json:"live"`
	Swaps  []Swap `json:"swaps"`
}

// Target is where to: the state of a tenure, or the state without what a workflow, by its owner, published. Exactly one is set.
type Target struct {
	Tenure int64  `json:"tenure,omitempty"`
	Owner  string `json:"owner,omitempty"`
}

// Refills says that it is a backfill's: what that published is of the release that stays active, so only who published it tells
// what goes back from what somebody else has published since.
func (t Target) Refills() bool { return effect.IsBackfill(effect.Owner(t.Owner).Workflow()) }

// Facts is what a turn-back knows besides the partitions themselves. Decide does not change it.
type Facts struct {
	Target Target
	// K is the tenure that is active afterwards. For a workflow: the one that was active before the workflow's.
	K release.Tenure
	// Outputs are those that K's release has.
	Outputs map[string]bool
	// Keeps says that runs of K's release keep rows that are live, in all outputs: what is built again then holds only what its files
	// hold now. So nothing is built in place of rows that came before them, and a rebuild, of what was not there, keeps none.
	Keeps bool
	// Tenures are all of the pipeline and environment, by number, the turn-back's own included. They say who opened
	// which, and which had been turned back when K began.
	Tenures map[int64]release.Tenure
	// Generations are all that the slots name.
	Generations map[int64]Generation
	// TurnedBack are the workflows that were turned back, the target's own included, and the tenure that the last turn-back of each opened.
	TurnedBack map[string]int64
	// Snapshot goes back to the retained data also where newer was published since, and detaches what did not exist. Of a backfill
	// newer is what others have published over it.
	Snapshot bool
	// DetachNewOutputs detaches outputs that K's release does not have.
	DetachNewOutputs bool
	// ByPerson says that a person asked. Without one a first release is never detached.
	ByPerson bool
}
