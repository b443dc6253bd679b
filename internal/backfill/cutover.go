package backfill

import (
	"fmt"
	"time"

	"drawbridge/internal/cutover"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

// cut cuts what becomes visible as one into as few transactions as readers bear; more than one is above a limit.
func (p *Plan) cut(in Input) {
	tables := map[string]cutover.Table{}
	for _, o := range in.Pipeline.Outputs {
		for _, seen := range in.Observed.Outputs {
			if seen.Table == o.Table {
				tables[o.Table] = cutover.NewTable(o.Partition, o.IndexCount(), seen.Keys())
			}
		}
	}
	units := make([]cutover.Unit, p.items())
	for i := range units {
		for _, it := range p.outputs(in, i) {
			_, live := in.live(it.Output, it.Partition)
			units[i] = append(units[i], cutover.Move{Output: it.Output, Partition: it.Partition, Was: live, Is: true})
		}
	}
	limits := in.Policy.Publish
	cut := cutover.Into(tables, units, in.Observed.Bounds(limits.MaxPause))
	p.Parts = cut.Units
	if n := len(cut.Units); n > 1 {
		p.Over = append(p.Over, fmt.Sprintf("%d transactions to publish all of it within %s each, so that readers may see %d states in between", n, limits.MaxPause, n-1))
	} else if !cut.Fits {
		p.Over = append(p.Over, fmt.Sprintf("readers would wait for about %s, more than %s, or the locks are more than half of the server's", cut.Hold.Round(time.Millisecond), limits.MaxPause))
	}
}

// items is how many things are built.
func (p Plan) items() int {
	if len(p.Whole) > 0 {
		return len(p.Partitions) + 1
	}
	return len(p.Partitions)
}

// outputs are those of an item.
func (p Plan) outputs(in Input, index int) []generation.Item {
	it := p.item(index)
	var items []generation.Item
	for _, o := range in.Pipeline.Outputs {
		if it.Whole == (o.Partition.By == partition.All) {
			items = append(items, generation.Item{Output: o.Table, Partition: it.Partition})
		}
	}
	return items
}

// Part are the items of one transaction of a cut-over.
func (p Plan) Part(part int) []Item {
	first := 0
	for _, n := range p.Parts[:part] {
		first += n
	}
	items := make([]Item, p.Parts[part])
	for i := range items {
		items[i] = p.item(first + i)
	}
	return items
}
