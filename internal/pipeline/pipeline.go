// Package pipeline reads pipeline.yaml, config.<env>.yaml and policy.<env>.yaml, strictly: every key is
// either carried out or refused by name, with file, line and column, all problems at once.
package pipeline

import (
	"time"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/contract"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
)

// Pipeline is a parsed folder: what a release promises, the same in every environment.
type Pipeline struct {
	Name        string `json:"name"`
	Version     string `json:"version"` // strict semver, from pipeline.yaml
	Owner       string `json:"owner"`
	Description string `json:"description,omitempty"`
	// Runbook is where people read what to do when something is wrong: what they are told has it.
	Runbook string `json:"runbook,omitempty"`
	// Environments are those with a config, in the order in which a deployment crosses them.
	Environments []string         `json:"environments,omitempty"`
	Partition    partition.Scheme `json:"partition"`
	// Batch is how many neighbouring partitions one statement may build; 0: one.
	Batch   int        `json:"batch,omitempty"`
	Loads   []Load     `json:"loads,omitempty"`
	Outputs []Output   `json:"outputs"`
	Smoke   Smoke      `json:"smoke"`
	Canary  Canary     `json:"canary"`
	Watch   Watch      `json:"watch"`
	Pack    Pack       `json:"pack,omitzero"`
	Tests   []UnitTest `json:"tests,omitempty"`
	// Migrations are changes of tables that others read and write, in the order in which they are done.
	Migrations []migrate.Migration `json:"migrations,omitempty"`
	// Config is the environment's config that Parse selected; it is not part of what a release promises.
	Config Config `json:"-"`
}

// Column is a name and a Postgres type.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Output is a table that the pipeline produces.
type Output struct {
	Table     string           `json:"table"`
	Partition partition.Scheme `json:"partition"` // the pipeline's, or `all` where the output says so
	SQLFile   string           `json:"sql_file"`
	SQL       string           `json:"sql"` // one SELECT, as written
	Key       []string         `json:"key,omitempty"`
	KeyScope  KeyScope         `json:"key_scope,omitempty"`
	Indexes   [][]string       `json:"indexes,omitempty"`
	Checks    []check.Check    `json:"checks"`
	// VersionColumn says which of two rows of a key is newer, where an environment merges; empty: the one that came last.
	VersionColumn string `json:"version_column,omitempty"`
	// DeleteWhen is a boolean expression over the SELECT's columns: a row for which it is true takes its key away where an environment
	// merges.
	DeleteWhen string `json:"delete_when,omitempty"`
	// NotRepeatable is why the SELECT need not give the same rows twice; empty: it has to.
	NotRepeatable string `json:"not_repeatable,omitempty"`
	// Lint are rules that are silent about the SELECT, with the reasons.
	Lint map[string]string `json:"lint,omitempty"`
	// Contract is what readers were promised; nil: nothing but the columns that are there.
	Contract *contract.Contract `json:"contract,omitempty"`
}

// KeyScope is where a key is unique; empty is KeyOfPartition.
type KeyScope string

// The scopes of a key.
const (
	KeyOfPartition KeyScope = "partition"
	KeyOfOutput    KeyScope = "output"
)

// Smoke says which partitions are built first, and how long that may take.
type Smoke struct {
	Latest     int           `json:"latest"`
	MaxRuntime time.Duration `json:"max_runtime"`
}

// Canary says which partitions are compared with the live ones, and the budgets of the comparison.
type Canary struct {
	Latest int            `json:"latest"`
	Expect canary.Budgets `json:"expect"`
}

// Watch is the window after a publish in which cross-partition checks are evaluated.
type Watch struct {
	For       time.Duration  `json:"for"`
	Every     time.Duration  `json:"every"`
	Freshness time.Duration  `json:"freshness,omitempty"` // 0: not watched; late data alerts and asks, it never rolls back
	OnBreach  OnBreach       `json:"on_breach"`
	Checks    []check.Metric `json:"checks,omitempty"` // SQL over the published tables: one row, one number
}

// OnBreach says what follows a failed watch check.
type OnBreach string

// What follows a failed watch check: compensation at once, or a person's decision.
const (
	BreachRollback OnBreach = "rollback"
	BreachAsk      OnBreach = "ask"
)

// Pack lists globs of files over 10 MiB that may be packed.
type Pack struct {
	Allow []string `json:"allow,omitempty"`
}

// UnitTest is given rows and expected rows, run in a real Postgres by validate.
type UnitTest struct {
	File      string           `json:"file"`
	Name      string           `json:"name"`
	Partition partition.Key    `json:"partition"`
	Given     map[string][]Row `json:"given"`  // relation -> rows
	Expect    map[string][]Row `json:"expect"` // output -> rows, compared on the listed columns as multisets
}

// Row maps column to value: string, bool, int64, float64 or nil as YAML has it.
type Row map[string]any
