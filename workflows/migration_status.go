package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"drawbridge/internal/migrate"
	"drawbridge/workflows/conduct"
)

// MigrationStatus is a migration as status shows it.
type MigrationStatus struct {
	Name  string `json:"name"`
	Table string `json:"table"`
	Why   string `json:"why,omitempty"`
	// Phases are those in which there is anything to do, in order.
	Phases []PhaseStatus `json:"phases,omitempty"`
	// Rows are those that the backfill has looked at, Total about how many there are; -1: unknown.
	Rows  int64 `json:"rows,omitempty"`
	Total int64 `json:"total,omitempty"`
	// RowSpeed is an exponential average: what was done last counts most. Left is how long the rest will take at that speed.
	RowSpeed float64 `json:"rows_per_second,omitempty"`
	Left     string  `json:"left,omitempty"`
	// Batch is how many rows a transaction takes.
	Batch int `json:"batch,omitempty"`
	// Lanes is how many of them go on at the same time.
	Lanes int `json:"lanes,omitempty"`
	// Throttled is why it waits for the warehouse, or for its window.
	Throttled string            `json:"throttled,omitempty"`
	Proved    []migrate.Checked `json:"proved,omitempty"`
	// Until is until when both shapes are kept at the least.
	Until *time.Time `json:"until,omitempty"`
	// Blocked is who or what keeps the old shape from being taken away.
	Blocked   []string      `json:"blocked,omitempty"`
	Consumers []string      `json:"consumers,omitempty"`
	MustAck   []string      `json:"must_ack,omitempty"`
	Acks      []migrate.Ack `json:"acks,omitempty"`
	// Brownout is how the trial of contract stands, where it has begun; Refuses says what is refused meanwhile.
	Brownout *migrate.Tried `json:"brownout,omitempty"`
	Refuses  string         `json:"refuses,omitempty"`
	// Approved is who has approved contract while it waits, and Looks when it looks again.
	Approved string     `json:"approved,omitempty"`
	Looks    *time.Time `json:"looks,omitempty"`
	// Committed says that it is past its point of no return.
	Committed bool `json:"committed,omitempty"`
	// Next is the first migration of the release that is not done there, when this one is; empty: all are.
	Next string `json:"next,omitempty"`
	// Plan is that of a dry run. Open is how it stands where it has begun already, Lacks why it could not begin now.
	Plan  *migrate.Summary  `json:"plan,omitempty"`
	Open  *migrate.Standing `json:"open,omitempty"`
	Lacks string            `json:"lacks,omitempty"`
}

// PhaseStatus is a phase of a migration.
type PhaseStatus struct {
	Phase migrate.Phase `json:"phase"`
	// State is done, now, ahead or undone.
	State string `json:"state"`
	Steps int    `json:"steps,omitempty"`
	Begun int    `json:"begun,omitempty"`
}

// The states of a phase.
const (
	PhaseDone   = "done"
	PhaseNow    = "now"
	PhaseAhead  = "ahead"
	PhaseUndone = "undone"
)

func (m *migrating) shown() *MigrationStatus {
	s := m.state
	if s.Plan.Name == "" {
		return nil
	}
	out := &MigrationStatus{
		Name: s.Plan.Name, Table: s.Plan.Table, Why: s.Plan.Why, Phases: s.phases(m.over && m.Header().Stage == StageDone, m.undoing),
		Rows: s.Filled.Rows, Total: s.Filled.Total, Batch: s.Filled.Batch, RowSpeed: s.RowSpeed, Throttled: s.Load.Why, Proved: s.Proved,
		Blocked: s.Blocked.Why, Consumers: s.Plan.Consumers, MustAck: s.Plan.MustAck, Acks: m.acks(), Committed: s.committed(), Next: m.next,
	}
	if left := s.Filled.Total - s.Filled.Rows; s.Phase == migrate.Backfill && left > 0 && s.RowSpeed > 0 && !s.Filled.Done && !m.held() {
		out.Left = max(time.Second, time.Duration(float64(left)/s.RowSpeed*float64(time.Second)).Round(time.Second)).String()
	}
	if s.Plan.Fills {
		out.Lanes = s.Load.narrow(m.lanes())
	}
	if !s.Until.IsZero() {
		out.Until = &s.Until
	}
	if !s.Brownout.Since.IsZero() {
		out.Brownout, out.Refuses = &s.Brownout, s.Plan.Refuses
	}
	if s.Approved != "" && !s.committed() && !m.undoing {
		out.Approved = s.Approved
		if !s.Looks.IsZero() {
			out.Looks = &s.Looks
		}
	}
	if m.in.DryRun {
		out.Plan, out.Lacks = &s.Plan, m.planned.Lacks
		if m.planned.Open.Owner != "" {
			out.Open = &m.planned.Open
		}
	}
	return out
}

// acks are the words of consumers, with those that are not in the ledger yet: they have no time there.
func (m *migrating) acks() []migrate.Ack {
	all := slices.Clone(m.state.Acks)
	for _, said := range m.Untaken() {
		of := func(a migrate.Ack) bool { return a.Consumer == said.Items[0] }
		switch {
		case said.Kind == conduct.Withdraw:
			all = slices.DeleteFunc(all, of)
		case !slices.ContainsFunc(all, of):
			all = append(all, migrate.Ack{Consumer: said.Items[0], By: said.By, Reason: said.Reason})
		}
	}
	return all
}

// held says that nothing goes on until a person says so: then nobody knows how long the rest takes.
func (m *migrating) held() bool {
	stage := m.Header().Stage
	return stage == StageWaiting || stage == StagePaused
}

// phases are those in which there is anything to do. What is undone is undone last first, so that a phase without steps of its own is
// undone as soon as anything is.
func (s *MigrationState) phases(done, undoing bool) []PhaseStatus {
	var out []PhaseStatus
	for _, phase := range migrate.Phases() {
		if !s.Plan.Has(phase) {
			continue
		}
		steps := len(s.Plan.Of(phase))
		p := PhaseStatus{Phase: phase, State: PhaseAhead, Steps: steps, Begun: min(steps, max(0, s.Begun-(s.Plan.Until(phase)-steps)))}
		switch {
		case undoing && !s.Phase.Before(phase) && p.Begun == 0:
			p.State = PhaseUndone
		case undoing && !s.Phase.Before(phase) && p.Begun < steps:
			p.State = PhaseNow
		case done, s.Open && phase.Before(s.Phase):
			p.State, p.Begun = PhaseDone, steps
		case s.Open && phase == s.Phase:
			p.State = PhaseNow
		}
		out = append(out, p)
	}
	return out
}

// Status implements conduct.Face.
func (m *migrating) Status(h conduct.Header) any { return Status{Header: h, Migration: m.shown()} }

// Details implements conduct.Face.
func (m *migrating) Details() []string {
	s := m.shown()
	if s == nil {
		return nil
	}
	lines := []string{fmt.Sprintf("**%s** changes `%s`", s.Name, s.Table), "", "| phase | state | steps |", "|---|---|---|"}
	for _, p := range s.Phases {
		lines = append(lines, fmt.Sprintf("| %s | %s | %d of %d |", words(p.Phase), p.State, p.Begun, p.Steps))
	}
	lines = append(lines, "")
	if s.Rows > 0 {
		lines = append(lines, fmt.Sprintf("**%d of about %d rows** brought over; %.0f rows/s; %s left", s.Rows, s.Total, s.RowSpeed, cmp.Or(s.Left, "nothing, or nobody knows how long is")), "")
	}
	if window := m.Window(); window != "" {
		lines = append(lines, "**Window:** "+conduct.Cell(window), "")
	}
	if s.Throttled != "" {
		lines = append(lines, "**Throttled:** "+conduct.Cell(s.Throttled), "")
	}
	if s.Until != nil {
		lines = append(lines, "Both shapes are kept until "+s.Until.UTC().Format("2006-01-02 15:04:05 MST")+", at the least.", "")
	}
	if s.Brownout != nil && s.Brownout.On() {
		lines = append(lines, "**Brownout** since "+s.Brownout.Since.UTC().Format("2006-01-02 15:04:05 MST")+": "+conduct.Cell(s.Refuses), "")
	}
	for _, why := range s.Blocked {
		lines = append(lines, "- "+conduct.Cell(why))
	}
	return append(lines, "")
}
