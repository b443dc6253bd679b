package generation

import (
	"fmt"

	"drawbridge/internal/partition"
)

// Batch is what a generation has added to the one that it was built over.
type Batch struct {
	Output     string        `json:"output"`
	Partition  partition.Key `json:"partition"`
	Name       string        `json:"name"`
	Generation int64         `json:"generation"`
}

// TooLarge says why a live partition of so many bytes is not written again where an environment allows fewer, and what is done about
// it; empty: it is. 0 is no bound.
func TooLarge(size, most int64) (why, remedy string) {
	if most == 0 || size <= most {
		return "", ""
	}
	return fmt.Sprintf("rows that are live stay, and %d bytes of them would be written again: max_rewrite_bytes is %d", size, most),
		"cut the output into finer partitions, or let the policy of the environment raise publish.max_rewrite_bytes"
}

// String says which it is.
func (b Batch) String() string { return fmt.Sprintf("%s of %s[%s]", b.Name, b.Output, b.Partition) }
