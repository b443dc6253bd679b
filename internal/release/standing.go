package release

import "time"

// Standing is how the ledger of a schema stands: whose it is, what is live in it, who changes what, and whether it is held.
type Standing struct {
	Environment string     `json:"environment,omitempty"` // empty: nobody has published there
	Hold        *Hold      `json:"hold,omitempty"`
	Pipelines   []Pipeline `json:"pipelines,omitempty"`
}

// Hold is why nothing is published for now.
type Hold struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}

// Pipeline is how a pipeline stands in an environment.
type Pipeline struct {
	Name   string `json:"name"`
	Active string `json:"active,omitempty"` // version; empty: nothing is active
	Tenure int64  `json:"tenure,omitempty"`
	// Crossing and TurnBack are the workflows that change it; Watching are those that could turn it back.
	Crossing string   `json:"crossing,omitempty"`
	TurnBack string   `json:"turn_back,omitempty"`
	Watching []string `json:"watching,omitempty"`
}
