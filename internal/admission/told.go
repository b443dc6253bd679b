package admission

import (
	"fmt"

	"drawbridge/internal/effect"
)

// Told is what a ledger has told a workflow: whatever happens to the warehouse, the ledger that it goes on with has to know it.
type Told struct {
	Pipeline string
	Owner    effect.Owner
	Tenure   int64
	Epoch    string // of the ledger; empty: it was not told
	Swaps    int    // that the owner has made under the tenure
}

// Memory is what a ledger knows of what it has told.
type Memory struct {
	Epoch string
	Known bool // the tenure is there
	Swaps int
}

// LostError says that the ledger lacks what it has told a workflow: the warehouse was restored to an earlier point, or a
// failover lost its last commits. What is there now only a person can say.
type LostError struct{ Reason string }

func (l LostError) Error() string {
	return "the ledger has gone back: " + l.Reason + "; was the warehouse restored, or did a failover lose commits?"
}

// Remembers holds a ledger to what it has told. What it lacks is a LostError.
func (t Told) Remembers(m Memory) error {
	switch {
	case t.Epoch != "" && m.Epoch != t.Epoch:
		return LostError{Reason: "it was bound anew since"}
	case !m.Known:
		return LostError{Reason: fmt.Sprintf("it does not know tenure %d of %s", t.Tenure, t.Pipeline)}
	case m.Swaps < t.Swaps:
		return LostError{Reason: fmt.Sprintf("it knows %d of the %d swaps that were made under tenure %d of %s", m.Swaps, t.Swaps, t.Tenure, t.Pipeline)}
	}
	return nil
}
