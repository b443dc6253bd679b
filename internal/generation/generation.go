// Package generation is the noun of published data: one built version of one partition of one output, how it goes live,
// and what holds that up. It crosses every boundary and knows no server.
package generation

import (
	"time"

	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

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
	ID        int64           `json:"id"`
	Output    string          `json:"output"`
	Partition partition.Key   `json:"partition"`
	State     State           `json:"state"`
	Release   release.Release `json:"release"`
	// Config is the digest of the config that replaced the packed one when it was built.
	Config string `json:"config,omitempty"`
	Rows   int64  `json:"rows"`
	// Checksum is the sum of row hashes over the recorded, ordered columns, as decimal text.
	Checksum string `json:"checksum,omitempty"`
	// Inputs is the digest of what was loaded; empty when it is unknown (the SQL read more than the loads).
	Inputs string `json:"inputs,omitempty"`
	// NotReattachable says why a retired generation cannot be made live again; empty when it can.
	NotReattachable string    `json:"not_reattachable,omitempty"`
	Began           time.Time `json:"began,omitzero"` // when its build did
	At              time.Time `json:"at"`             // when it reached State
}
