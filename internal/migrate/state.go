package migrate

import (
	"time"

	"drawbridge/internal/effect"
)

// Entry is a migration that is to begin in an environment.
type Entry struct {
	Plan       Plan
	Digest     string
	By, Reason string
}

// Standing is a migration as the ledger has it.
type Standing struct {
	Owner    effect.Owner `json:"owner"`
	Pipeline string       `json:"pipeline"`
	Name     string       `json:"name"` // of the migration
	Table    string       `json:"table"`
	Plan     string       `json:"plan"` // digest
	Phase    Phase        `json:"phase"`
	By       string       `json:"by"`
	Reason   string       `json:"reason"`
	Since    time.Time    `json:"since"`
	// Ended is how it ended: done, rolled_back; empty: it is open.
	Ended string `json:"ended,omitempty"`
	Acks  []Ack  `json:"acks,omitempty"`
}

// Ack is a consumer's word that it is ready.
type Ack struct {
	Consumer string    `json:"consumer"`
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
}

// Filled is what a piece of a backfill has come to.
type Filled struct {
	Rows int64 `json:"rows"` // that it has looked at, in all, since the backfill began
	// Total is about how many there are; -1: unknown.
	Total int64 `json:"total"`
	Done  bool  `json:"done"`
	// Batch is how many rows one transaction took last.
	Batch int `json:"batch"`
}

// Checked is what a proof has found.
type Checked struct {
	Proof  string `json:"proof"`
	Rows   int64  `json:"rows"`
	Broken int64  `json:"broken"`
}
