package workflows

import (
	"fmt"
	"slices"
	"time"

	"drawbridge/internal/gate"
	"drawbridge/workflows/conduct"
)

// The words of a status that every workflow has, as the CLI reads them.
type (
	// Stage is where a workflow is.
	Stage = conduct.Stage
	// Event is a line of the story.
	Event = conduct.Event
)

// The stages.
const (
	StagePlanning     = conduct.StagePlanning
	StageValidating   = conduct.StageValidating
	StageCrossing     = conduct.StageCrossing
	StageWaiting      = conduct.StageWaiting
	StagePaused       = conduct.StagePaused
	StageWatching     = conduct.StageWatching
	StageCompensating = conduct.StageCompensating
	StageDone         = conduct.StageDone
	StageRefused      = conduct.StageRefused
	StageRolledBack   = conduct.StageRolledBack
	StageStuck        = conduct.StageStuck
)

// Status is the answer of StatusQuery, and what a workflow's result repeats when it ends.
type Status struct {
	conduct.Header
	Crossings []Crossing       `json:"crossings,omitempty"` // of a deployment
	Backfill  *BackfillStatus  `json:"backfill,omitempty"`
	Migration *MigrationStatus `json:"migration,omitempty"`
}

// plain is the face of a workflow that adds nothing to its header.
type plain struct{}

func (plain) Status(h conduct.Header) any { return Status{Header: h} }

func (plain) Details() []string { return nil }

// Crossing is one environment of a deployment as status shows it.
type Crossing struct {
	Environment string `json:"environment"`
	// Step is the last step begun there; empty before the first.
	Step string `json:"step,omitempty"`
	// State is waiting, crossing, watching, live, turned_back or refused.
	State    string        `json:"state"`
	Verdicts []GateVerdict `json:"verdicts,omitempty"`
	// Slices and SlicesDone count the slices of the work: those that are published, or built where there is a cut-over.
	Slices     int `json:"slices,omitempty"`
	SlicesDone int `json:"slices_done,omitempty"`
	// Transactions are those of the cut-over, which comes when all is built; 0: each slice is published as it is built.
	Transactions int `json:"transactions,omitempty"`
	Lanes        int `json:"lanes,omitempty"` // the plan's, unless a person set others
	// Throttled is why its builds wait for the warehouse.
	Throttled  string     `json:"throttled,omitempty"`
	WatchUntil *time.Time `json:"watch_until,omitempty"`
	NextLook   *time.Time `json:"next_look,omitempty"`
	// Looks counts the looks of the watch.
	Looks int `json:"looks,omitempty"`
}

// GateVerdict is a gate that was passed, or was not.
type GateVerdict struct {
	Gate    string       `json:"gate"`
	Verdict gate.Verdict `json:"verdict"`
	At      time.Time    `json:"at"`
	// Times counts how often in a row it said the same.
	Times int `json:"times,omitempty"`
}

// Evidence and verdicts in a status stay within a payload that histories and screens bear.
const (
	evidenceLimit = 40
	verdictLimit  = 12
)

// note keeps a verdict. One that a gate repeats takes the place of the one before: a breach that persists is one line.
func (x *Crossing) note(v GateVerdict) {
	v.Times = 1
	v.Verdict.Evidence = worstFirst(v.Verdict.Evidence)
	if last := len(x.Verdicts) - 1; last >= 0 && x.Verdicts[last].Gate == v.Gate && x.Verdicts[last].Verdict.Outcome == v.Verdict.Outcome {
		v.Times += x.Verdicts[last].Times
		x.Verdicts[last] = v
		return
	}
	x.Verdicts = append(x.Verdicts, v)
	x.Verdicts = x.Verdicts[max(0, len(x.Verdicts)-verdictLimit):]
}

// worstFirst keeps the first of the evidence, and what did not pass before what did.
func worstFirst(all []gate.Evidence) []gate.Evidence {
	kept := slices.Clone(all)
	slices.SortStableFunc(kept, func(a, b gate.Evidence) int { return rank(a.Outcome) - rank(b.Outcome) })
	return kept[:min(len(kept), evidenceLimit)]
}

func rank(o gate.Outcome) int {
	switch o {
	case gate.Fail:
		return 0
	case gate.Pass:
		return 2
	case gate.Inconclusive, gate.None:
	}
	return 1
}

// verdict returns the newest verdict of a gate.
func (x *Crossing) verdict(name string) gate.Verdict {
	for _, v := range slices.Backward(x.Verdicts) {
		if v.Gate == name {
			return v.Verdict
		}
	}
	return gate.Verdict{Outcome: gate.Inconclusive, Reason: "nothing was measured"}
}

// verdictTable is a deployment's gates in the Web UI.
func verdictTable(crossings []Crossing) []string {
	lines := []string{"| environment | gate | verdict | why |", "|---|---|---|---|"}
	for _, x := range crossings {
		for _, v := range x.Verdicts {
			lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |", x.Environment, v.Gate, v.Verdict.Outcome, conduct.Cell(v.Verdict.Reason)))
		}
	}
	return append(lines, "")
}

// count is a number of things, in words that fit one and many.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
