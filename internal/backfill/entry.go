package backfill

import (
	"drawbridge/internal/effect"
	"drawbridge/internal/partition"
)

// Entry is a backfill that is to begin in an environment.
type Entry struct {
	Plan    Plan
	Scheme  partition.Scheme
	Outputs []string
	// Beside is the owner of the crossing that was looked at, and builds nothing of the span; empty: nobody crosses.
	Beside     string
	By, Reason string
}

// Open is a backfill as the ledger has it.
type Open struct {
	Owner  effect.Owner
	Plan   string // digest; empty: there is none
	Tenure int64
	First  partition.Key
	Last   partition.Key
	// Asks says that people have to approve its plan before anything of it is built.
	Asks  bool
	Ended bool
}

// Has says whether a key is in the span.
func (o Open) Has(scheme partition.Scheme, key partition.Key) bool {
	return scheme.Compare(o.First, key) <= 0 && scheme.Compare(key, o.Last) <= 0
}
