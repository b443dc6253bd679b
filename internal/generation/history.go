package generation

import (
	"time"

	"drawbridge/internal/release"
)

// Event is one change of what readers see, or of the active release.
type Event struct {
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind"` // publish, turn_back, detach, activate
	Tenure   int64           `json:"tenure"`
	Release  release.Release `json:"release"`
	Workflow string          `json:"workflow"` // workflow ID
	By       string          `json:"by,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Text     string          `json:"text"`
}

// History is what happened to a pipeline in an environment, newest first.
type History struct {
	Active *release.Tenure `json:"active,omitempty"`
	Events []Event         `json:"events"`
	// Oldest is when the oldest generation that can be gone back to was retired; nil when there is none.
	Oldest *time.Time `json:"oldest,omitempty"`
	// Horizon is until when that one is kept.
	Horizon *time.Time `json:"horizon,omitempty"`
	// Pending are batches that were appended and then taken away by turning back: to be live again they have to be run again.
	Pending []Batch `json:"pending,omitempty"`
}
