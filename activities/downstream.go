package activities

import (
	"context"

	"drawbridge/internal/backfill"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Downstreams tells who reads what a backfill builds, and how much that is.
type Downstreams interface {
	// ReadersOf are the pipelines of the same ledger whose active releases read some outputs, but for the pipeline whose those are, each
	// with what is live of it; and what is active of each, which knows how it is cut.
	ReadersOf(ctx context.Context, pipeline string, outputs []string) ([]backfill.Reader, []release.Tenure, error)
	// SizeOf is how many bytes the live partitions of outputs have, about, and how many those are.
	SizeOf(ctx context.Context, outputs []string) (bytes, partitions int64, err error)
}

// downstreamMost bounds how many readers are looked at: readers of readers too.
const downstreamMost = 20

// downstream finds who reads a pipeline's outputs, and who reads theirs. What it cannot read of one, it takes for one partition.
func (a *Filling) downstream(ctx context.Context, t Target, p *pipeline.Pipeline, w Warehouse) ([]backfill.Reader, error) {
	seen := map[string]bool{p.Name: true}
	var found []backfill.Reader
	for name, outputs := p.Name, p.Tables(); len(outputs) > 0 && len(found) < downstreamMost; {
		readers, active, err := w.ReadersOf(ctx, name, outputs)
		if err != nil {
			return nil, err
		}
		outputs = nil
		for i, r := range readers {
			if seen[r.Pipeline] || len(found) == downstreamMost {
				continue
			}
			seen[r.Pipeline] = true
			of := t
			of.Release, of.Config = active[i].Release, active[i].Config
			r.Scheme = partition.Scheme{By: partition.All}
			if theirs, err := a.Site.Pipeline(ctx, of); err == nil {
				r.Scheme = theirs.Partition
				outputs = append(outputs, theirs.Tables()...)
			}
			found = append(found, r)
		}
	}
	return found, nil
}
