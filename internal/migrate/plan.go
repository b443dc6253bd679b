package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"drawbridge/internal/release"
)

// Input is everything that a plan is computed from.
type Input struct {
	Migration   Migration
	Release     release.Release
	Config      string
	Environment string
	Table       Table
	// Outputs are the tables that the migration's own pipeline makes, whether they are there yet or not.
	Outputs []string
}

// Plan is a migration as it was decided upon. Its digest covers everything here, and approvals name it.
type Plan struct {
	Migration   Migration       `json:"migration"`
	Release     release.Release `json:"release"`
	Config      string          `json:"config,omitempty"`
	Environment string          `json:"environment"`
	Schema      string          `json:"schema"`
	// Steps are in the order in which they are done, phase by phase. They are undone in the other order.
	Steps   []Step   `json:"steps"`
	Filling *Filling `json:"filling,omitempty"`
	Proofs  []Proof  `json:"proofs,omitempty"`
	// Old are the columns that are taken away at contract: those of which reads are looked for.
	Old []string `json:"old,omitempty"`
	// New are the columns that it makes: while somebody reads one, nothing is undone.
	New []NewColumn `json:"new,omitempty"`
	// Brownout is the trial of contract, where its author wants one.
	Brownout *Brownout `json:"brownout,omitempty"`
	// Blocking are the readers of them that the catalog knows now: contract waits until they are gone.
	Blocking []Reader `json:"blocking,omitempty"`
	// Warnings are for those who approve.
	Warnings []string `json:"warnings,omitempty"`
}

// NewColumn is a column that a migration makes, by the name with which it is made, and the one that it has from the switch on.
type NewColumn struct {
	Made  string `json:"made"`
	Named string `json:"named"`
}

// Canonical is the plan as it is kept and digested.
func Canonical(p Plan) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic("migrate: " + err.Error()) // it holds nothing that cannot be written
	}
	return body
}

// Digest names a plan.
func Digest(p Plan) string {
	sum := sha256.Sum256(Canonical(p))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Of are the plan's steps of a phase, in order.
func (p Plan) Of(phase Phase) []Step {
	var steps []Step
	for _, s := range p.Steps {
		if s.Phase == phase {
			steps = append(steps, s)
		}
	}
	return steps
}

// Estimate is how much work it is, as far as the size of the table says. It informs, and is not digested.
type Estimate struct {
	Rows  int64         `json:"rows"` // -1: unknown
	Bytes int64         `json:"bytes"`
	Took  time.Duration `json:"took"` // of the backfill and of what reads the whole table
}
