package pipeline

import (
	"time"

	"drawbridge/internal/cutover"
	"drawbridge/internal/gate"
	"drawbridge/internal/throttle"
)

// Policy is policy.<env>.yaml: a file of the environment's worker, out of a pipeline author's reach. A pipeline
// can only tighten it.
type Policy struct {
	Environment string        `json:"environment"`
	Approval    gate.Approval `json:"approval"`
	// Requires names the environments whose signed "passed" statement a digest needs before it is published here.
	Requires []string `json:"requires,omitempty"`
	// Connections are the warehouses that a config may name.
	Connections map[string]Connection `json:"connections"`
	Publish     Publish               `json:"publish"`
	Sources     Sources               `json:"sources,omitzero"`
	// KeepRetired is how long a retired generation stays re-attachable: the rollback horizon. Default 7 days.
	KeepRetired time.Duration `json:"keep_retired"`
	// Compensate says what is taken back when a deployment ends here without being done: failed, this environment (default),
	// or all, those that it crossed before too.
	Compensate Compensate `json:"compensate,omitempty"`
	// MaxPartitions bounds what one deployment may rebuild without being planned with a narrower scope; 0 is no bound.
	MaxPartitions int            `json:"max_partitions,omitempty"`
	Backfill      BackfillPolicy `json:"backfill"`
	// Throttle are the limits of the warehouse's signals above which what builds waits, in the order in which they are written.
	Throttle []throttle.Limit `json:"throttle,omitempty"`
	// Notify says who is told what happens here.
	Notify Notify `json:"notify,omitzero"`
	// Windows are when deployments and backfills may build, any of them; none: always.
	Windows []string `json:"windows,omitempty"`
}

// BackfillPolicy says how large a backfill may be without people being asked; 0 is no bound. What the ledger's history cannot
// estimate counts as above a bound.
type BackfillPolicy struct {
	MaxPartitions int           `json:"max_partitions,omitempty"`
	MaxRows       int64         `json:"max_rows,omitempty"`
	MaxTime       time.Duration `json:"max_time,omitempty"`
	// MaxFailures is how many partitions may fail while the others go on; one more holds all of them, and asks. Default 10.
	MaxFailures int `json:"max_failures"`
}

// Sources say where load files may be.
type Sources struct {
	// Roots are folders of the worker's machine that source_files of a config is looked for in; none: the worker's own root.
	Roots []string `json:"roots,omitempty"`
}

// Publish bounds how a swap waits, and how much is built beside each other for it.
type Publish struct {
	// LockBudget is the total time that lock attempts of one publish may take before it parks. Default 30s.
	LockBudget time.Duration `json:"lock_budget"`
	// SnapshotWait is how long a publish waits for snapshots older than the build. Default 10m.
	SnapshotWait time.Duration `json:"snapshot_wait"`
	// OnSnapshotTimeout says whether to ask (default) or to go on.
	OnSnapshotTimeout OnTimeout `json:"on_snapshot_timeout"`
	// Lanes is how many slices of a deployment are built at the same time. Default 2.
	Lanes int `json:"lanes"`
	// Cutover is whether a deployment, and a turn-back, become visible in one transaction (default) or step by step.
	Cutover cutover.Mode `json:"cutover"`
	// MaxPause is how long readers may wait for one transaction: what is expected to take longer is cut, and asks. Default 500ms.
	MaxPause time.Duration `json:"max_pause"`
	// MaxRewriteBytes is how large a live partition of an output may be that a run writes again to merge into it or to append to it; 0 is
	// no bound.
	MaxRewriteBytes int64 `json:"max_rewrite_bytes,omitempty"`
}

// Compensate says which environments of a deployment are taken back.
type Compensate string

// What is taken back.
const (
	CompensateFailed Compensate = "failed"
	CompensateAll    Compensate = "all"
)

// OnTimeout says what follows a wait that ran out.
type OnTimeout string

// What follows a wait that ran out: a person's decision, or going on.
const (
	TimeoutAsk     OnTimeout = "ask"
	TimeoutProceed OnTimeout = "proceed"
)
