package migrate

import (
	"strings"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
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
	// PhaseSince is when it has come to its phase, whichever of its workflow's starts that was in.
	PhaseSince time.Time `json:"phase_since"`
	// Back says that its steps are undone: none is done any more.
	Back   bool      `json:"back,omitempty"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Ended is how it ended: Done, RolledBack; empty: it is open.
	Ended    string `json:"ended,omitempty"`
	Brownout Tried  `json:"brownout,omitzero"`
	Acks     []Ack  `json:"acks,omitempty"`
}

// How a migration ends.
const (
	Done       = "done"
	RolledBack = "rolled_back"
)

// Ack is a consumer's word that it is ready.
type Ack struct {
	Consumer string    `json:"consumer"`
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
}

// Pace is how much of a backfill is done at once, and for how long.
type Pace struct {
	// For is for about how long it goes on, and Lanes how many work at the same time; 0 is one.
	For   time.Duration
	Lanes int
	// Stop is asked between two batches whether it is enough; nil: it never is. Beat is told what there is after each, and while the table is
	// vacuumed; nil: nobody is. No two calls of either happen at the same time.
	Stop func() bool
	Beat func(Filled)
}

// Filled is what a piece of a backfill has come to.
type Filled struct {
	Rows int64 `json:"rows"` // that it has looked at, in all, since the backfill began
	// Total is about how many there are; -1: unknown.
	Total int64 `json:"total"`
	Done  bool  `json:"done"`
	// Batch is how many rows one transaction takes next.
	Batch int `json:"batch"`
	// Held is why nothing changes for now: a hold.
	Held string `json:"held,omitempty"`
}

// Checked is what a proof has found.
type Checked struct {
	Proof  string `json:"proof"`
	Rows   int64  `json:"rows"`
	Broken int64  `json:"broken"`
	// Samples is the statement with which a person reads keys of broken rows, in the warehouse; empty: none is broken.
	Samples string `json:"samples,omitempty"`
	// Again is the command that builds the partitions with broken rows again, where releases make the table.
	Again string `json:"again,omitempty"`
}

// StepSpec asks for a step of a migration to be done, or undone.
type StepSpec struct {
	Owner effect.Owner `json:"owner"`
	Key   effect.Key   `json:"key"`
	Plan  Plan         `json:"plan"`
	Step  Step         `json:"step"` // named by its ID; what it does is what the plan says
	Undo  bool         `json:"undo,omitempty"`
	// LockBudget bounds what is waited for locks in all, of which WaitedLocks is over.
	LockBudget  time.Duration `json:"lock_budget"`
	WaitedLocks time.Duration `json:"waited_locks"`
	Application string        `json:"application"`
}

// BrownoutSpec asks for the brownout of a migration to begin, or to end.
type BrownoutSpec struct {
	Owner       effect.Owner `json:"owner"`
	Key         effect.Key   `json:"key"`
	Plan        Plan         `json:"plan"`
	On          bool         `json:"on,omitempty"`
	Application string       `json:"application"`
}

// StepResult is what a step has come to.
type StepResult struct {
	Done bool `json:"done"`
	// Blocked are sessions that are in the way, and More how many there are besides.
	Blocked []generation.Session `json:"blocked,omitempty"`
	More    int                  `json:"more,omitempty"`
	// Held is why nothing changes for now, where nobody is in the way: a hold.
	Held string `json:"held,omitempty"`
}

// Typed is an expression of an author, and what the server is asked about it.
type Typed struct {
	Expression string
	// Type is what its value must be assignable to; empty: the type of the column that it is about.
	Type string
	// Of is the column that it is about; empty: none.
	Of string
	// As is the type that Of has where the expression reads it; empty: the one that it has now.
	As string
}

// Key finds the server's answer among those of a table.
func (t Typed) Key() string { return strings.Join([]string{t.Expression, t.Type, t.Of, t.As}, "\n") }
