package workflows

import (
	"drawbridge/activities"
	"drawbridge/internal/backfill"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// DeploymentInput starts a Deployment. Exactly one of Source, Release and Plan says what is deployed: a folder (packed
// by the CLI as a source blob), a release that exists, or a plan that was computed before.
type DeploymentInput struct {
	Pipeline     string            `json:"pipeline"`
	Source       string            `json:"source,omitempty"` // digest of the source blob
	Release      release.Release   `json:"release,omitzero"`
	Plan         string            `json:"plan,omitempty"` // digest of a plan to apply
	Environments []string          `json:"environments"`   // in the order of crossing
	Rebuild      plan.Rebuild      `json:"rebuild,omitzero"`
	Configs      map[string]string `json:"configs,omitempty"` // environment -> digest of the config that replaces the packed one
	By           string            `json:"by"`
	Reason       string            `json:"reason,omitempty"`
	// CompensateAll takes the environments that were already crossed back too when a later one fails.
	CompensateAll bool             `json:"compensate_all,omitempty"`
	State         *DeploymentState `json:"state,omitempty"` // carried across continue-as-new
}

// RunInput starts a Run: one partition, all outputs, one release, one environment.
type RunInput struct {
	Pipeline    string          `json:"pipeline"`
	Source      string          `json:"source,omitempty"`
	Release     release.Release `json:"release,omitzero"` // what runs, unless Source says it
	Environment string          `json:"environment"`
	Config      string          `json:"config,omitempty"`
	Partition   partition.Key   `json:"partition"`
	// Batch names what is appended; empty: it is named after its files.
	Batch string `json:"batch,omitempty"`
	By    string `json:"by"`
}

// BackfillInput starts a Backfill: a span of partitions, in one environment, with the release that is active there.
type BackfillInput struct {
	Pipeline    string         `json:"pipeline"`
	Environment string         `json:"environment"`
	Config      string         `json:"config,omitempty"`
	Ask         backfill.Ask   `json:"ask"`
	DryRun      bool           `json:"dry_run,omitempty"`
	By          string         `json:"by"`
	Reason      string         `json:"reason,omitempty"`
	State       *BackfillState `json:"state,omitempty"` // carried across continue-as-new
}

// MigrationInput starts a Migration of one table, in one environment.
type MigrationInput struct {
	Pipeline    string `json:"pipeline"`
	Environment string `json:"environment"`
	Config      string `json:"config,omitempty"`
	// Release is whose migration it is. Without one it is about what its workflow has open there.
	Release release.Release `json:"release,omitzero"`
	Source  string          `json:"source,omitempty"` // digest of a source blob, of which a plan is shown
	// Name is the migration's; empty: the first that is not done there.
	Name   string `json:"name,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	// Rollback takes back what its workflow, which was stopped, has left open.
	Rollback bool `json:"rollback,omitempty"`
	// GiveUp gives up the way back to generations that lack what is new.
	GiveUp bool            `json:"give_up,omitempty"`
	By     string          `json:"by"`
	Reason string          `json:"reason,omitempty"`
	State  *MigrationState `json:"state,omitempty"` // carried across continue-as-new
}

// RollbackInput starts a Rollback of what is finished.
type RollbackInput struct {
	Pipeline    string            `json:"pipeline"`
	Environment string            `json:"environment"`
	Config      string            `json:"config,omitempty"`
	Request     turnback.Request  `json:"request"`
	Verify      activities.Verify `json:"verify,omitempty"`
	DryRun      bool              `json:"dry_run,omitempty"`
	By          string            `json:"by"`
	Reason      string            `json:"reason"`
	State       *RollbackState    `json:"state,omitempty"` // carried across continue-as-new
}

// RecoveryInput finishes what a workflow of any kind left behind.
type RecoveryInput struct {
	Pipeline     string   `json:"pipeline"`
	Workflow     string   `json:"workflow"`     // ID
	Environments []string `json:"environments"` // in the order of crossing
	// Configs are the digests of the configs that replaced the packed one in an environment, in whichever of its starts.
	Configs map[string][]string `json:"configs,omitempty"`
	By      string              `json:"by"`
}

// PlanInput asks for a plan without applying it.
type PlanInput struct {
	Pipeline     string            `json:"pipeline"`
	Source       string            `json:"source,omitempty"`
	Release      release.Release   `json:"release,omitzero"`
	Environments []string          `json:"environments"`
	Rebuild      plan.Rebuild      `json:"rebuild,omitzero"`
	Configs      map[string]string `json:"configs,omitempty"`
	By           string            `json:"by"`
}

// ValidationInput asks an environment's worker to validate a folder or a release.
type ValidationInput struct {
	Pipeline    string          `json:"pipeline"`
	Source      string          `json:"source,omitempty"`
	Release     release.Release `json:"release,omitzero"`
	Environment string          `json:"environment"`
	Config      string          `json:"config,omitempty"`
}
