package workflows

import (
	"time"

	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

// Stage is where a workflow is, in the words of search attributes and of the CLI.
type Stage string

// The stages of a deployment; runs, rollbacks and recoveries pass through some of them.
const (
	StagePlanning     Stage = "planning"
	StageValidating   Stage = "validating"
	StageCrossing     Stage = "crossing" // building, comparing, publishing
	StageWaiting      Stage = "waiting"  // for a person
	StageWatching     Stage = "watching"
	StageCompensating Stage = "compensating"
	StageDone         Stage = "done"
	StageRefused      Stage = "refused"     // said no before anything was visible
	StageRolledBack   Stage = "rolled_back" // was visible, and was turned back
	StageStuck        Stage = "stuck"       // turned back in part; a person was asked and left it so
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
	Text        string    `json:"text"`
}

// Crossing is one environment of a deployment as status shows it.
type Crossing struct {
	Environment string `json:"environment"`
	// Step is the last step begun there; empty before the first.
	Step string `json:"step,omitempty"`
	// State is waiting, crossing, watching, live, turned_back or refused.
	State    string        `json:"state"`
	Verdicts []GateVerdict `json:"verdicts,omitempty"`
	// Slices and SlicesDone count the publishing steps.
	Slices     int `json:"slices,omitempty"`
	SlicesDone int `json:"slices_done,omitempty"`
	// Baseline are the watch metrics before the publish.
	Baseline   map[string]float64 `json:"baseline,omitempty"`
	WatchUntil *time.Time         `json:"watch_until,omitempty"`
	NextLook   *time.Time         `json:"next_look,omitempty"`
	// Looks counts the looks of the watch; UnsureLooks those in a row that could not be evaluated.
	Looks       int `json:"looks,omitempty"`
	UnsureLooks int `json:"unsure_looks,omitempty"`
}

// GateVerdict is a gate that was passed, or was not.
type GateVerdict struct {
	Gate    string       `json:"gate"`
	Verdict gate.Verdict `json:"verdict"`
	At      time.Time    `json:"at"`
}

// Status is the answer of StatusQuery, and what a workflow's result repeats when it ends.
type Status struct {
	Kind     string          `json:"kind"` // deployment, run, rollback, recovery
	Pipeline string          `json:"pipeline"`
	Release  release.Release `json:"release"`
	Plan     string          `json:"plan,omitempty"` // digest
	By       string          `json:"by,omitempty"`
	Stage    Stage           `json:"stage"`
	// Environment and Step say where it is; Sentence says why.
	Environment string     `json:"environment,omitempty"`
	Step        string     `json:"step,omitempty"`
	Sentence    string     `json:"sentence"`
	Crossings   []Crossing `json:"crossings,omitempty"`
	// Gates are the open ones first, then the decided.
	Gates []gate.Gate `json:"gates,omitempty"`
	// RefusedDecisions are signals that could not count, and why.
	RefusedDecisions []string `json:"refused_decisions,omitempty"`
	// Events are the last ones, oldest first.
	Events []Event `json:"events,omitempty"`
}

// Open returns the gate that waits for a person, if any.
func (s Status) Open() (gate.Gate, bool) {
	for _, g := range s.Gates {
		if g.Decided == "" {
			return g, true
		}
	}
	return gate.Gate{}, false
}
