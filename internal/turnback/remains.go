package turnback

import "drawbridge/internal/release"

// Remains is what a ledger has of a workflow that cannot speak.
type Remains struct {
	// Known says that the ledger has heard of the pipeline; else nothing of the workflow is there.
	Known bool `json:"known,omitempty"`
	// Open says that something has to end: its crossing, its watch, what it has built or loaded, or a turn-back.
	Open bool `json:"open,omitempty"`
	// Live is the tenure by which its release is active, where it had published all of it: that stays.
	Live release.Tenure `json:"live,omitzero"`
	// Watched says that it watched that, and looks no more.
	Watched bool `json:"watched,omitempty"`
	// Before says that a rollback goes back to what was active before that.
	Before bool `json:"before,omitempty"`
}
