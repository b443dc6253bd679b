package backfill

import (
	"drawbridge/internal/effect"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
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

// Meets is a partition of the span that a deployment's plan builds too; empty: there is none.
func (o Open) Meets(scheme partition.Scheme, builds plan.Environment) partition.Key {
	for _, s := range builds.Slices {
		for _, it := range s.Items {
			if it.Partition != partition.AllKey && scheme.Compare(o.First, it.Partition) <= 0 && scheme.Compare(it.Partition, o.Last) <= 0 {
				return it.Partition
			}
		}
	}
	return ""
}
