// Package notice is what people are told: the events, who wants to hear of which, and how they read.
package notice

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"drawbridge/internal/fault"
)

// Kind is what has happened.
type Kind string

// The kinds.
const (
	GateOpened   Kind = "gate_opened"
	GateReminded Kind = "gate_reminded" // it is open still
	GateExpiring Kind = "gate_expiring" // soon nobody can decide it any more
	GateDecided  Kind = "gate_decided"

	DeploymentLive       Kind = "deployment_live"
	DeploymentRefused    Kind = "deployment_refused"
	DeploymentRolledBack Kind = "deployment_rolled_back"
	DeploymentStuck      Kind = "deployment_stuck"

	WatchBreached      Kind = "watch_breached"
	WatchStillBreached Kind = "watch_still_breached"

	RunFailed      Kind = "run_failed"
	ScheduleMissed Kind = "schedule_missed" // not all that was due at one of its times is there

	BackfillStarted  Kind = "backfill_started"
	BackfillStalled  Kind = "backfill_stalled"
	BackfillFailures Kind = "backfill_failures" // more have failed than may
	BackfillEnded    Kind = "backfill_ended"

	MigrationStarted    Kind = "migration_started"
	MigrationDeprecates Kind = "migration_deprecates" // the old shape goes, when everybody is ready
	MigrationBrownout   Kind = "migration_brownout"   // who still needs the old shape is refused for a while, as a trial
	MigrationEnded      Kind = "migration_ended"

	ConsumerInformed Kind = "consumer_informed" // what a migration means for one consumer of its table
	ConsumerAsked    Kind = "consumer_asked"    // it is to say that it is ready
	ConsumerReminded Kind = "consumer_reminded" // it has not said so yet
	ConsumerOverdue  Kind = "consumer_overdue"  // its time is over, and it has not
	ConsumerReady    Kind = "consumer_ready"    // it has

	WorkflowAbandoned Kind = "workflow_abandoned"
	HoldSet           Kind = "hold_set"

	// Test is what nobody waits for: every receiver gets it, whatever it wants to hear of.
	Test Kind = "test"
)

// Kinds are those that a receiver chooses among, in the order in which people read them.
func Kinds() []Kind {
	return []Kind{
		GateOpened, GateReminded, GateExpiring, GateDecided,
		DeploymentLive, DeploymentRefused, DeploymentRolledBack, DeploymentStuck,
		WatchBreached, WatchStillBreached, RunFailed, ScheduleMissed,
		BackfillStarted, BackfillStalled, BackfillFailures, BackfillEnded,
		MigrationStarted, MigrationDeprecates, MigrationBrownout, MigrationEnded,
		ConsumerInformed, ConsumerAsked, ConsumerReminded, ConsumerOverdue, ConsumerReady,
		WorkflowAbandoned, HoldSet,
	}
}

// Severity is how much it matters that somebody looks.
type Severity string

// The severities.
const (
	Info     Severity = "info"     // nothing to do
	Warning  Severity = "warning"  // somebody is waited for, or something was refused
	Critical Severity = "critical" // what readers see is wrong, was wrong, or stays as it should not
)

// Severities are all, the lowest first.
func Severities() []Severity { return []Severity{Info, Warning, Critical} }

// Severity of a kind.
func (k Kind) Severity() Severity {
	switch k {
	case GateDecided, DeploymentLive, BackfillStarted, BackfillEnded, MigrationStarted, MigrationEnded, ConsumerInformed, ConsumerReady, Test:
		return Info
	case GateOpened, GateReminded, DeploymentRefused, BackfillStalled, BackfillFailures, MigrationDeprecates, MigrationBrownout, ConsumerAsked, ConsumerReminded, HoldSet:
		return Warning
	case GateExpiring, DeploymentRolledBack, DeploymentStuck, WatchBreached, WatchStillBreached, RunFailed, ScheduleMissed, ConsumerOverdue, WorkflowAbandoned:
	}
	return Critical
}

// words are a kind as people read it.
func (k Kind) words() string { return strings.ReplaceAll(string(k), "_", " ") }

// Schema names the version of an event's JSON. A version only gains keys.
const Schema = "drawbridge.event.v1"

// Event is something that has happened. Its texts hold no row's values and no secret.
type Event struct {
	Schema   string    `json:"schema"`
	ID       string    `json:"id"` // the same however often it is told
	Kind     Kind      `json:"kind"`
	Severity Severity  `json:"severity"`
	At       time.Time `json:"at"`

	Environment string `json:"environment"`
	Pipeline    string `json:"pipeline,omitempty"`
	Owner       string `json:"owner,omitempty"` // of the pipeline
	Release     string `json:"release,omitempty"`
	Plan        string `json:"plan,omitempty"` // digest
	Workflow    string `json:"workflow,omitempty"`
	Gate        string `json:"gate,omitempty"`
	// Consumer is the one consumer of a migrated table that it is about, and Notice what that is told, in Markdown.
	Consumer string `json:"consumer,omitempty"`
	Notice   string `json:"notice,omitempty"`

	What    string   `json:"what"`
	Why     string   `json:"why,omitempty"`
	Numbers []Number `json:"numbers,omitempty"`
	// By is who asked for what it is about.
	By string `json:"by,omitempty"`
	// Deadline is until when somebody can decide.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Reminder counts how often it was reminded of.
	Reminder int      `json:"reminder,omitempty"`
	Runbook  string   `json:"runbook,omitempty"`
	Commands []string `json:"commands,omitempty"`
}

// Number is something that was measured or counted.
type Number struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Limit   string `json:"limit,omitempty"`
	Outcome string `json:"outcome,omitempty"`
}

const (
	// numbersShown and commandsShown bound what one event carries.
	numbersShown  = 12
	commandsShown = 8
	// noticeShown is in bytes: chats take no more of a message.
	noticeShown = 6000
)

// Tidy is the event with its texts on one line each, without what is no text, and bounded, after each was changed.
func (e Event) Tidy(change func(string) string) Event {
	tidy := func(text *string) { *text = fault.Bound(strings.Map(graphic, change(*text))) }
	e.Numbers = slices.Clone(e.Numbers[:min(len(e.Numbers), numbersShown)])
	e.Commands = slices.Clone(e.Commands[:min(len(e.Commands), commandsShown)])
	for _, text := range []*string{&e.Pipeline, &e.Owner, &e.Release, &e.Workflow, &e.Gate, &e.Consumer, &e.What, &e.Why, &e.By, &e.Runbook} {
		tidy(text)
	}
	for i := range e.Numbers {
		n := &e.Numbers[i]
		for _, text := range []*string{&n.Name, &n.Value, &n.Limit, &n.Outcome} {
			tidy(text)
		}
	}
	for i := range e.Commands {
		tidy(&e.Commands[i])
	}
	e.Notice = document(change(e.Notice))
	return e
}

// document is a text of several lines, bounded at the end of one.
func document(text string) string {
	lines := strings.Split(text, "\n")
	length := 0
	for i, line := range lines {
		lines[i] = strings.Map(graphic, line)
		if length += len(lines[i]) + 1; length > noticeShown {
			return strings.Join(append(lines[:i:i], "…"), "\n")
		}
	}
	return strings.Join(lines, "\n")
}

func graphic(r rune) rune {
	if unicode.IsGraphic(r) {
		return r
	}
	return ' '
}

// Filter says which events somebody wants to hear of. The zero Filter is all.
type Filter struct {
	Owners   []string `json:"owners,omitempty"` // of pipelines; what nobody is known to own is for everybody
	Kinds    []Kind   `json:"kinds,omitempty"`
	Severity Severity `json:"severity,omitempty"` // at least
	// Consumers have only what is about one of them told.
	Consumers []string `json:"consumers,omitempty"`
}

// Wants says whether an event passes.
func (f Filter) Wants(e Event) bool {
	return (len(f.Owners) == 0 || e.Owner == "" || slices.Contains(f.Owners, e.Owner)) &&
		(len(f.Consumers) == 0 || slices.Contains(f.Consumers, e.Consumer)) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		slices.Index(Severities(), e.Severity) >= slices.Index(Severities(), f.Severity)
}

// Owed is an event that a receiver is owed, as the ledger keeps it.
type Owed struct {
	Event    Event
	Receiver string
	// Owner is the workflow whose event it is.
	Owner string
	// Question is the gate that it reminds of: it is owed only while that is open. Empty: it is owed in any case.
	Question string
	Due      time.Time
	// Tries counts those that have failed.
	Tries int
}

// Debt is what one receiver is owed and could not be told.
type Debt struct {
	Receiver string    `json:"receiver"`
	Owed     int       `json:"owed"`
	Since    time.Time `json:"since"` // the oldest of them
	Failure  string    `json:"failure,omitempty"`
}
