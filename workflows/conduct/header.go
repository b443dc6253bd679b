package conduct

import (
	"time"

	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

// Stage is where a workflow is, in the words of search attributes and of the CLI.
type Stage string

// The stages. A workflow moves through the first ones, and ends in one of the last.
const (
	StagePlanning     Stage = "planning"
	StageValidating   Stage = "validating"
	StageCrossing     Stage = "crossing" // building, comparing, publishing
	StageWatching     Stage = "watching"
	StageCompensating Stage = "compensating"
	StageDone         Stage = "done"
	StageRefused      Stage = "refused"     // said no, and nothing that readers see has changed
	StageRolledBack   Stage = "rolled_back" // was visible, and was turned back
	StageStuck        Stage = "stuck"       // turned back in part; a person was asked and left it so
)

// The stages that no workflow moves to: they follow from an open gate, and from a command.
const (
	StageWaiting Stage = "waiting" // for a person
	StagePaused  Stage = "paused"  // by a person
)

// Finished says whether nothing more will happen.
func (s Stage) Finished() bool {
	return s == StageDone || s == StageRefused || s == StageRolledBack || s == StageStuck
}

// Event is a line of the story that status tells.
type Event struct {
	At          time.Time `json:"at"`
	Environment string    `json:"environment,omitempty"`
	Step        string    `json:"step,omitempty"`
	Lane        int       `json:"lane,omitempty"` // counted from 1; 0 is no lane's
	Text        string    `json:"text"`
}

// Header is the part of a status that every workflow has. It is the answer of a query, the result when the workflow ends,
// and what is carried across continue-as-new.
type Header struct {
	Kind     string          `json:"kind"` // deployment, run, scheduled, backfill, migration, rollback, recovery
	Pipeline string          `json:"pipeline"`
	Release  release.Release `json:"release"`
	Plan     string          `json:"plan,omitempty"` // digest
	By       string          `json:"by,omitempty"`
	Stage    Stage           `json:"stage"`
	// Environment and Step say where it is; Sentence says why.
	Environment string `json:"environment,omitempty"`
	Step        string `json:"step,omitempty"`
	Sentence    string `json:"sentence"`
	// Hint is what a person does next, where the cause of the end says so.
	Hint   string  `json:"hint,omitempty"`
	Paused *Paused `json:"paused,omitempty"`
	// Lanes is how many lanes a person set; 0 leaves it to the plan.
	Lanes int `json:"lanes,omitempty"`
	// Window is when a person lets it work; empty: whenever the environment does.
	Window string `json:"window,omitempty"`
	// Gates are the open ones first, then the last decided ones, which keep no evidence.
	Gates []gate.Gate `json:"gates,omitempty"`
	// Asked counts the gates that were ever opened.
	Asked int `json:"asked,omitempty"`
	// RefusedDecisions are signals that could not count, and why.
	RefusedDecisions []string `json:"refused_decisions,omitempty"`
	// Events are the last ones, oldest first.
	Events []Event `json:"events,omitempty"`
}

// Open returns the gate that has waited longest for a person, if any.
func (h Header) Open() (gate.Gate, bool) {
	for _, g := range h.Gates {
		if g.Decided == "" {
			return g, true
		}
	}
	return gate.Gate{}, false
}

// Scope is where something happens.
type Scope struct {
	Environment string
	Step        string
	Lane        int // counted from 1; 0 is no lane's
}

// In returns the scope of a lane.
func (s Scope) In(lane int) Scope {
	s.Lane = lane
	return s
}

// At returns the scope of another step of the same environment.
func (s Scope) At(step string) Scope {
	s.Step = step
	return s
}
