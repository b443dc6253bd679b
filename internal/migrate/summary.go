package migrate

import (
	"slices"
	"time"

	"drawbridge/internal/release"
)

// Summary is a plan as workflows carry it and screens show it: what is done, in order, and none of its SQL.
type Summary struct {
	Digest  string          `json:"digest"`
	Release release.Release `json:"release"`
	Config  string          `json:"config,omitempty"`
	Name    string          `json:"name"`
	Table   string          `json:"table"` // with its schema
	Why     string          `json:"why,omitempty"`
	Steps   []Brief         `json:"steps"`
	// Fills says that rows are brought over, Proofs how many things are proved of them then.
	Fills  bool `json:"fills,omitempty"`
	Proofs int  `json:"proofs,omitempty"`
	// Lanes is how many batches of rows are written at the same time.
	Lanes int `json:"lanes,omitempty"`
	// Rebuilds says that it waits for generations that give what is new.
	Rebuilds bool `json:"rebuilds,omitempty"`
	// Old are the columns that contract takes away.
	Old []string `json:"old,omitempty"`
	// Kept is what the table is called from the switch until it is dropped; empty: it is not.
	Kept string `json:"kept,omitempty"`
	// Consumers may say that they are ready, and MustAck of them have to.
	Consumers []string      `json:"consumers,omitempty"`
	MustAck   []string      `json:"must_ack,omitempty"`
	Window    time.Duration `json:"window,omitempty"`
	// Brownout is how long contract is tried before; Refuses says what is refused meanwhile.
	Brownout time.Duration `json:"brownout,omitempty"`
	Refuses  string        `json:"refuses,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
	Estimate Estimate      `json:"estimate,omitzero"`
}

// Brief is a step without its SQL.
type Brief struct {
	ID    string `json:"id"`
	Phase Phase  `json:"phase"`
	Title string `json:"title"`
	// Undo says that there is a way back.
	Undo bool `json:"undo,omitempty"`
	// Risk is what a step that has no way back breaks.
	Risk string `json:"risk,omitempty"`
}

// Summarize sums a plan up.
func Summarize(p Plan, e Estimate) Summary {
	s := Summary{
		Digest: Digest(p), Release: p.Release, Config: p.Config, Name: p.Migration.Name, Table: p.Schema + "." + p.Migration.Table, Why: p.Migration.Why,
		Fills: p.Filling != nil, Proofs: len(p.Proofs), Old: p.Old, Window: p.Migration.Deprecate.Window, Warnings: p.Warnings, Estimate: e,
	}
	if p.Drops {
		s.Kept = p.Renamed
	}
	if b := p.Brownout; b != nil {
		s.Brownout, s.Refuses = b.For, b.Refuses()
	}
	s.Rebuilds = p.Given != nil && len(p.Given.New) > 0
	for _, step := range p.Steps {
		b := Brief{ID: step.ID, Phase: step.Phase, Title: step.Title, Undo: len(step.Undo) > 0}
		if step.Phase == Contract {
			b.Risk = step.Risk
		}
		s.Steps = append(s.Steps, b)
	}
	for _, c := range p.Migration.Consumers {
		s.Consumers = append(s.Consumers, c.Name)
		if c.MustAck {
			s.MustAck = append(s.MustAck, c.Name)
		}
	}
	return s
}

// Of are the steps of a phase, in order.
func (s Summary) Of(phase Phase) []Brief {
	var steps []Brief
	for _, b := range s.Steps {
		if b.Phase == phase {
			steps = append(steps, b)
		}
	}
	return steps
}

// Has says whether there is anything to do in a phase.
func (s Summary) Has(phase Phase) bool {
	switch phase {
	case Backfill:
		return s.Fills || s.Rebuilds || len(s.Of(phase)) > 0
	case Verify:
		return s.Proofs > 0 || len(s.Of(phase)) > 0
	case Deprecating:
		return len(s.Of(phase)) > 0 || len(s.Of(Contract)) > 0
	case DualWrite, Switch:
		return s.Rebuilds || len(s.Of(phase)) > 0
	case Expand, Contract:
	}
	return len(s.Of(phase)) > 0
}

// Until is how many steps there are up to the end of a phase.
func (s Summary) Until(phase Phase) int {
	n := 0
	for _, b := range s.Steps {
		if !phase.Before(b.Phase) {
			n++
		}
	}
	return n
}

// Before says that a phase comes before another.
func (p Phase) Before(other Phase) bool {
	return slices.Index(Phases(), p) < slices.Index(Phases(), other)
}

// Missing are the consumers who have to say that they are ready, and have not.
func Missing(mustAck []string, acks []Ack) []string {
	var missing []string
	for _, name := range mustAck {
		if !slices.ContainsFunc(acks, func(a Ack) bool { return a.Consumer == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}
