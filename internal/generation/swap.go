package generation

import (
	"time"

	"drawbridge/internal/partition"
)

// Item is one partition of one output .
type Item struct {
	Output    string        `json:"output"`
	Partition partition.Key `json:"partition"`
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
