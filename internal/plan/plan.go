package plan

import (
	"time"

	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Rebuild is the scope of a deployment: which partitions the new release builds anew.
type Rebuild struct {
	// Mode is none (only partitions without a live generation and the canary's), last, since or all. Default none.
	Mode  RebuildMode   `json:"mode"`
	Last  int           `json:"last,omitempty"`
	Since partition.Key `json:"since,omitempty"`
}

// RebuildMode is the kind of a Rebuild.
type RebuildMode string

// The scopes. In each of them the canary partitions and those without a live generation are built.
const (
	RebuildNone  RebuildMode = "none"
	RebuildLast  RebuildMode = "last"
	RebuildSince RebuildMode = "since"
	RebuildAll   RebuildMode = "all"
)

// Slice is a step of the work: its partitions are built one after another, and published in one transaction, at least.
type Slice struct {
	Items []generation.Item `json:"items"`
	// Reused says that a shadow of the canary is promoted here instead of built again.
	Reused bool `json:"reused,omitempty"`
}

// SchemaClass is how a release changes an output's columns.
type SchemaClass string

// The classes of schema change. A destructive one is refused: it needs a migration.
const (
	SchemaSame        SchemaClass = "same"
	SchemaCreate      SchemaClass = "create"
	SchemaAdditive    SchemaClass = "additive"
	SchemaDestructive SchemaClass = "destructive"
)

// SchemaChange is what a release does to one output's columns in one environment.
type SchemaChange struct {
	Table string      `json:"table"`
	Class SchemaClass `json:"class"`
	// Before are the parent's columns when the plan was made; none where the table is created.
	Before []generation.Column `json:"before,omitempty"`
	// Added are the columns that the parent gains, nullable; all of them where the table is created.
	Added []generation.Column `json:"added,omitempty"`
	// LeftOut are nullable columns of the parent that the SELECT does not return; they stay, and are NULL.
	LeftOut []string `json:"left_out,omitempty"`
	// Conflicts say, for a destructive change, what cannot be done and why.
	Conflicts []string `json:"conflicts,omitempty"`
}

// Watch is the window after a publish, as this environment runs it.
type Watch struct {
	For       time.Duration `json:"for"`
	Every     time.Duration `json:"every"`
	Freshness time.Duration `json:"freshness,omitempty"`
	OnBreach  string        `json:"on_breach"` // rollback or ask
	Checks    []string      `json:"checks,omitempty"`
}

// Rollback states what a rollback would do, and until when.
type Rollback struct {
	To      *release.Release `json:"to,omitempty"` // nil: nothing was active before
	Horizon time.Duration    `json:"horizon"`      // how long retired generations are kept
	Steps   []string         `json:"steps"`
}

// Step is a line of the sequence that people read; ID names it in status and in effect keys.
type Step struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// The IDs of an environment's steps, in their order. A step that has nothing to do there is not in its plan.
const (
	StepPreflight     = "preflight"
	StepSmoke         = "smoke"
	StepCanary        = "canary"
	StepApproval      = "approval"
	StepExpand        = "expand"
	StepPublishCanary = "publish-canary"
	StepPublishRest   = "publish-rest"
	StepAgree         = "agree"      // to a cut-over that readers would notice
	StepBuildRest     = "build-rest" // aside
	StepPublish       = "publish"    // the cut-over
	StepWatch         = "watch"
	StepAttest        = "attest"
)

// Environment is what a deployment does in one environment. Everything in it is covered by the plan's digest,
// except Shown.
type Environment struct {
	Name         string           `json:"name"`
	Schema       string           `json:"schema"`
	ConfigDigest string           `json:"config_digest"`
	PolicyDigest string           `json:"policy_digest"`
	Active       *release.Release `json:"active,omitempty"`
	Fingerprint  string           `json:"fingerprint"` // of the outputs as observed: Fingerprint
	Changes      []SchemaChange   `json:"changes"`
	Smoke        []partition.Key  `json:"smoke"`
	SmokeMax     time.Duration    `json:"smoke_max"`
	Canary       []partition.Key  `json:"canary"`
	// Aside is what smoke builds to be audited, and nobody publishes.
	Aside  []generation.Item `json:"aside,omitempty"`
	Slices []Slice           `json:"slices"` // the first publishes what canary and smoke have built
	Lanes  int               `json:"lanes"`  // slices that are built at the same time
	// Batch is how many neighbouring partitions one statement may build; 0: one.
	Batch int `json:"batch,omitempty"`
	// WriteMode is how rows that are live stay; empty: they do not.
	WriteMode pipeline.WriteMode `json:"write_mode,omitempty"`
	Cutover   Cutover            `json:"cutover,omitzero"`
	Checks    []string           `json:"checks"` // "fct_orders: unique(order_id)"
	Budgets   []string           `json:"budgets"`
	Approval  gate.Approval      `json:"approval"`
	// Compensate says what is taken back when it is rejected or fails here.
	Compensate pipeline.Compensate `json:"compensate,omitempty"`
	Requires   []string            `json:"requires,omitempty"`
	Watch      Watch               `json:"watch"`
	// Schedule is when it runs by itself from then on, in words with everything that they decide; empty: never.
	Schedule string    `json:"schedule,omitempty"`
	Rollback Rollback  `json:"rollback"`
	Steps    []Step    `json:"steps"`
	Problems []Problem `json:"problems,omitempty"`
	Shown    Shown     `json:"shown,omitzero"`
}

// Shown are facts that inform and may move without making the plan stale; the digest leaves them out.
type Shown struct {
	Rows       int64          `json:"rows"`              // estimate of the rows to build
	Duration   time.Duration  `json:"duration"`          // estimate of the build time; 0 is unknown
	Rewrite    int64          `json:"rewrite,omitempty"` // bytes of live generations that stay, and are written again
	Pause      time.Duration  `json:"pause,omitempty"`   // how long readers are expected to wait for a transaction; 0 is unknown
	Live       map[string]int `json:"live"`              // output -> live generations; nil where nothing is shown
	Stays      map[string]int `json:"stays,omitempty"`   // version of another release -> live generations of it that are not built anew
	OpenRuns   []string       `json:"open_runs,omitempty"`
	Dependents []string       `json:"dependents,omitempty"`
	Schedule   string         `json:"schedule,omitempty"` // of what is active
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
}

// Plan is pure data: what a deployment will do. Its digest is what approvals and applies name.
type Plan struct {
	Digest       string          `json:"digest,omitempty"` // of Canonical, by Seal
	Release      release.Release `json:"release"`
	Owner        string          `json:"owner"`
	Description  string          `json:"description,omitempty"`
	Rebuild      Rebuild         `json:"rebuild"`
	Environments []Environment   `json:"environments"`
}
