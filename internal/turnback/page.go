package turnback

import "drawbridge/internal/partition"

// Page is what a turn-back takes for some partitions, in the byte order of their keys.
type Page struct {
	Decisions []Decision `json:"decisions"`
	// Last is the last partition that was looked at; empty after the last of all.
	Last partition.Key `json:"last,omitempty"`
}

// Output is one that the release to go back to has; All says that it is one partition, and Keeps that its runs keep rows that are live.
type Output struct {
	Table string `json:"table"`
	All   bool   `json:"all,omitempty"`
	Keeps bool   `json:"keeps,omitempty"`
}

// LeftOver is one output's partition that a turn-back left as it is. Stuck says that it should have gone back.
type LeftOver struct {
	Output    string        `json:"output" db:"output"`
	Partition partition.Key `json:"partition" db:"partition"`
	Stuck     bool          `json:"stuck" db:"stuck"`
	Reason    string        `json:"reason" db:"reason"`
}
