// Package plan is the pure planner: from what was observed of every environment, a release and a scope it computes
// what a deployment will do, with a digest that approvals and applies name. It has no clients and no clock.
package plan

import (
	"time"

	"drawbridge/internal/partition"
)

// Release names an immutable artifact: the digest is its identity, pipeline and version are for people.
type Release struct {
	Pipeline string `json:"pipeline"`
	Version  string `json:"version"`
	Digest   string `json:"digest"`
}

// Column is a column of a table, with its type as Postgres prints it, modifiers included: numeric(12,2).
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	NotNull bool   `json:"not_null,omitempty"`
}

// State is where a generation is in its life:
//
//	building → built → (shadow) → live → retired → dropped
//	building | built | shadow → rejected → dropped
type State string

// The states of a generation.
const (
	Building State = "building"
	Built    State = "built"
	Shadow   State = "shadow"
	Live     State = "live"
	Retired  State = "retired"
	Rejected State = "rejected"
	Dropped  State = "dropped"
)

// Generation is one built version of one partition of one output, as the ledger records it.
type Generation struct {
	ID        int64         `json:"id"`
	Output    string        `json:"output"`
	Partition partition.Key `json:"partition"`
	State     State         `json:"state"`
	Release   Release       `json:"release"`
	Rows      int64         `json:"rows"`
	// Checksum is the sum of row hashes over the recorded, ordered columns, as decimal text.
	Checksum string `json:"checksum,omitempty"`
	// Inputs is the digest of what was loaded; empty when it is unknown (the SQL read more than the loads).
	Inputs string `json:"inputs,omitempty"`
	// NotReattachable says why a retired generation cannot be made live again; empty when it can.
	NotReattachable string    `json:"not_reattachable,omitempty"`
	At              time.Time `json:"at"` // when it reached State
}

// TableKind is what stands under an output's name.
type TableKind string

// What may stand under an output's name. Plain is anything that Drawbridge does not manage.
const (
	Absent  TableKind = "absent"
	Managed TableKind = "managed"
	Plain   TableKind = "plain"
)

// Problem is something that a preflight rule found. A blocking one refuses the deployment; the others are risks.
type Problem struct {
	Rule     string `json:"rule"`
	Object   string `json:"object"`
	Text     string `json:"text"`
	Remedy   string `json:"remedy"`
	Blocking bool   `json:"blocking"`
}

// ObservedOutput is one output as one environment has it.
type ObservedOutput struct {
	Table   string    `json:"table"`
	Kind    TableKind `json:"kind"`
	Columns []Column  `json:"columns,omitempty"` // of the live parent, in order
	// Scheme is how a managed parent is cut into partitions, as the ledger records it; nil where there is none.
	Scheme *partition.Scheme `json:"scheme,omitempty"`
	// Candidate are the columns that the release's SELECT returns there.
	Candidate  []Column     `json:"candidate,omitempty"`
	Live       []Generation `json:"live,omitempty"`       // one per live partition, by partition
	Dependents []string     `json:"dependents,omitempty"` // views and functions that read the parent
}

// Observed is one environment as found: the input of the planner, and of the check before a plan is applied.
type Observed struct {
	Environment  string           `json:"environment"`
	Schema       string           `json:"schema"`
	ConfigDigest string           `json:"config_digest"`
	PolicyDigest string           `json:"policy_digest"`
	Active       *Release         `json:"active,omitempty"`
	Outputs      []ObservedOutput `json:"outputs"`
	// Sources are the partitions for which every load file is there, in order.
	Sources  []partition.Key `json:"sources,omitempty"`
	Problems []Problem       `json:"problems,omitempty"`
	OpenRuns []string        `json:"open_runs,omitempty"` // workflow IDs whose generations are building
	// LockSlots is the size of the server's lock table: max_locks_per_transaction × (max_connections + max_prepared).
	LockSlots int64 `json:"lock_slots"`
	// RowsPerSecond is the median build speed of the ledger's last generations; 0 when there are none.
	RowsPerSecond float64 `json:"rows_per_second,omitempty"`
}

// Swap replaces, in one output's partition, the live generation From by the generation To. From 0 means that nothing
// is live; To 0 detaches. A rollback is the same swap with From and To exchanged.
type Swap struct {
	Output    string        `json:"output"`
	Partition partition.Key `json:"partition"`
	From      int64         `json:"from"`
	To        int64         `json:"to"`
}

// Session is a database session that holds up a publish. It carries no query text.
type Session struct {
	PID         int32     `json:"pid"`
	User        string    `json:"user"`
	Application string    `json:"application"`
	Client      string    `json:"client,omitempty"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"` // start of its transaction
	Holds       string    `json:"holds"` // "snapshot" or the relation it has locked
}
