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

// Load is a step that copies a file into a relation that only the run sees.
type Load struct {
	Name string `json:"name"`
	// File is relative to the config's source_files; "@partition" in it is replaced by the partition key.
	File   string `json:"file"`
	Format Format `json:"format"`
	// Columns give the types of the file's columns by header name; a column that is not listed is text. Without a header they are
	// the file's columns, in their order; of JSON Lines they are the members that are read. Every one has to be in the file.
	Columns []Column `json:"columns,omitempty"`
	// Encoding is the file's, by its Postgres name or that of IANA; empty: UTF-8.
	Encoding string `json:"encoding,omitempty"`
	// Delimiter, Quote and Escape are single characters; empty: a comma, a double quote, and the quote itself. Quote may be QuoteNone.
	Delimiter string `json:"delimiter,omitempty"`
	Quote     string `json:"quote,omitempty"`
	Escape    string `json:"escape,omitempty"`
	// NoHeader says that the first line is a row.
	NoHeader bool `json:"no_header,omitempty"`
	// Null are the unquoted texts that stand for NULL; nil: the empty one.
	Null []string `json:"null,omitempty"`
	// SkipBlankLines says that lines without a character are no rows; else they are refused.
	SkipBlankLines bool `json:"skip_blank_lines,omitempty"`
	// Dates is the order of a day's parts, dmy or mdy; empty: days are written as ISO 8601 does.
	Dates string `json:"dates,omitempty"`
	// Decimal is the character before the decimals of a number; empty: a point.
	Decimal string `json:"decimal,omitempty"`
	// Timezone is the zone of times that are written without an offset; empty: the pipeline's.
	Timezone string `json:"timezone,omitempty"`
	// OnBadRow says what becomes of a row that cannot be read, and MaxRejects how many may be left out.
	OnBadRow   OnBadRow `json:"on_bad_row,omitempty"`
	MaxRejects Limit    `json:"max_rejects,omitzero"`
}

// Format is how a file is written.
type Format string

// The formats.
const (
	CSV       Format = "csv"
	JSONLines Format = "jsonl"
)

// QuoteNone says that no character quotes: every byte between two delimiters is of the value.
const QuoteNone = "none"

// OnBadRow says what becomes of a row that cannot be read.
type OnBadRow string

// What becomes of a row that cannot be read; a failed load is the default.
const (
	FailLoad  OnBadRow = "fail"
	RejectRow OnBadRow = "reject"
)

// Limit is how many rows may be left out: a number, or where it is more than 0, a share of all rows.
type Limit struct {
	Count int64   `json:"count,omitempty"`
	Share float64 `json:"share,omitempty"`
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
