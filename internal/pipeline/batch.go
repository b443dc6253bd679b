package pipeline

import (
	"slices"

	"drawbridge/internal/partition"
	"drawbridge/internal/strictyaml"
)

// batch reads how many partitions one statement may build. What is loaded for one partition, or named by its key, is nothing that
// a range could be built from.
func (b *builder) batch(v strictyaml.Value, p *Pipeline) {
	if !v.OK() {
		return
	}
	p.Batch = int(strictyaml.As[int64](v))
	if p.Partition.By == partition.All {
		b.problems.Add(v.At, "the pipeline is one partition", "leave batch out")
	}
	if p.Partition.By == partition.List {
		b.problems.Add(v.At, "a batch is of a range, and the partitions of a list are none", "leave batch out")
		return
	}
	for _, l := range p.Loads {
		if l.Partitioned() {
			b.problems.Add(v.At, "a batch is built from files of many partitions, and "+l.Name+" has a file per partition", "leave batch out")
			return
		}
	}
	for _, o := range p.Outputs {
		if o.Partition.By != partition.All && o.NotRepeatable != "" {
			b.problems.Add(v.At, "a batch is held against its partitions one by one, and "+o.Table+" is not the same twice", "leave batch out")
		}
		if _, params := Bind(o.SQL); o.Partition.By != partition.All && slices.Contains(params, PartitionParam) {
			b.problems.Add(v.At, "a batch is of a range, and "+o.SQLFile+" asks for @partition, which is one key", "compare with @partition_start and @partition_end, or leave batch out")
		}
	}
}
