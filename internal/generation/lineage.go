package generation

import (
	"fmt"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
)

// Batch is what a generation has added to the one that it was built over.
type Batch struct {
	Output     string        `json:"output"`
	Partition  partition.Key `json:"partition"`
	Name       string        `json:"name"`
	Generation int64         `json:"generation"`
}

// Rewrite refuses to write a live partition of an output again that is larger than an environment allows, in bytes; 0 is no bound.
func Rewrite(output string, key partition.Key, size, most int64) error {
	if most == 0 || size <= most {
		return nil
	}
	return fault.Newf(fault.Refused, "build", output+" "+string(key),
		"cut the output into finer partitions, or let the policy of the environment raise publish.max_rewrite_bytes",
		fmt.Sprintf("it keeps what is live, and would write %d bytes of it again: max_rewrite_bytes is %d", size, most))
}
