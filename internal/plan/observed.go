// Package plan is the pure planner: from what was observed of every environment, a release and a scope it computes
// what a deployment will do, with a digest that approvals and applies name. It has no clients and no clock.
package plan

import (
	"time"

	"drawbridge/internal/cutover"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
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
	Table   string               `json:"table"`
	Kind    generation.TableKind `json:"kind"`
	Columns []generation.Column  `json:"columns,omitempty"` // of the live parent, in order
	// Scheme is how a managed parent is cut into partitions, as the ledger records it; nil where there is none.
	Scheme *partition.Scheme `json:"scheme,omitempty"`
	// First is the first partition that is built, where the table was adopted: all before it stay in its legacy partition. Empty: any.
	First partition.Key `json:"first,omitempty"`
	// Candidate are the columns that the release's SELECT returns there.
	Candidate []generation.Column     `json:"candidate,omitempty"`
	Live      []generation.Generation `json:"live,omitempty"` // one per live partition, by partition
	// Bytes is how large each live partition is, with its indexes, where runs keep what is live.
	Bytes      map[partition.Key]int64 `json:"bytes,omitempty"`
	Dependents []string                `json:"dependents,omitempty"` // views and functions that read the parent
}

// Keys are its live partitions.
func (o ObservedOutput) Keys() []partition.Key {
	keys := make([]partition.Key, len(o.Live))
	for i, g := range o.Live {
		keys[i] = g.Partition
	}
	return keys
}

// Observed is one environment as found: the input of the planner, and of the check before a plan is applied.
type Observed struct {
	Environment  string           `json:"environment"`
	Schema       string           `json:"schema"`
	ConfigDigest string           `json:"config_digest"`
	PolicyDigest string           `json:"policy_digest"`
	Active       *release.Release `json:"active,omitempty"`
	// Schedule is when what is active runs by itself, in words; empty: never.
	Schedule string           `json:"schedule,omitempty"`
	Outputs  []ObservedOutput `json:"outputs"`
	// Sources are the partitions for which every load file is there, in order.
	Sources  []partition.Key `json:"sources,omitempty"`
	Problems []Problem       `json:"problems,omitempty"`
	OpenRuns []string        `json:"open_runs,omitempty"` // workflow IDs whose generations are building
	// LockSlots is the size of the server's lock table: max_locks_per_transaction × (max_connections + max_prepared).
	LockSlots int64 `json:"lock_slots"`
	// ConstraintPages is the size of the database's catalog of constraints, in pages.
	ConstraintPages int64 `json:"constraint_pages"`
	// SwapSpeed is what the ledger's last publishes took over what was expected of them; 0 when none of them tells.
	SwapSpeed float64 `json:"swap_speed,omitempty"`
	// RowsPerSecond is the median build speed of the ledger's last generations; 0 when there are none.
	RowsPerSecond float64 `json:"rows_per_second,omitempty"`
}

// First is the first partition of which all outputs can be built: what is before it is in the legacy partition of one that was adopted. Empty:
// any.
func (o Observed) First(scheme partition.Scheme) (first partition.Key) {
	for _, out := range o.Outputs {
		if out.First != "" && (first == "" || scheme.Compare(out.First, first) > 0) {
			first = out.First
		}
	}
	return first
}

// Bounds is what one transaction may cost there, where readers may wait that long.
func (o Observed) Bounds(maxPause time.Duration) cutover.Bounds {
	return cutover.Bounds{MaxPause: maxPause, LockSlots: o.LockSlots, ConstraintPages: o.ConstraintPages, Speed: o.SwapSpeed}
}
