package generation

// Rebound is what binding a ledger to a restored warehouse came to.
type Rebound struct {
	Generations int      `json:"generations"` // that were looked at
	Bound       int      `json:"bound"`       // to another table than before
	Left        int      `json:"left"`        // that have no table as recorded
	Lines       []string `json:"lines,omitempty"`
}
