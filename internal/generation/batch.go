package generation

import "drawbridge/internal/partition"

// BatchProof is what a release, under a config, was seen to give for a range of neighbouring partitions, held against what it gives
// for them one by one.
type BatchProof struct {
	Known      bool // it was tried
	Difference string
	Partitions []partition.Key // on which
	// Most is how many partitions a batch may have for the locks that it takes.
	Most int
}

// locksPerChild is how many locks a child takes in the transactions that fill a batch.
const locksPerChild = 8

// MostInBatch is how many partitions a batch may have where the server's lock table is of a size: half of it may be ours.
func MostInBatch(slots int64) int { return int(slots / 2 / locksPerChild) }

// Batch is how many partitions one statement may build where an author asks for so many and some lanes build at the same time; 1: no
// batch is built.
func (p BatchProof) Batch(asked, lanes int) int {
	if !p.Known || p.Difference != "" {
		return 1
	}
	return max(1, min(asked, p.Most/max(1, lanes)))
}
