package activities

import (
	"context"
	"slices"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// buildable are the partitions that can be built: the load files name them, or else the data does. Those of a legacy partition are none.
func (s *Site) buildable(ctx context.Context, p *pipeline.Pipeline, w Warehouse) (plan.Sources, error) {
	found, err := s.named(ctx, p, w)
	if err != nil {
		return found, err
	}
	first, err := w.FirstBuilt(ctx, p)
	if err != nil || first == "" {
		return found, err
	}
	found.Keys = slices.DeleteFunc(slices.Clone(found.Keys), func(key partition.Key) bool { return p.Partition.Compare(key, first) < 0 })
	return found, nil
}

// named are the partitions that files or the data name.
func (s *Site) named(ctx context.Context, p *pipeline.Pipeline, w Warehouse) (plan.Sources, error) {
	found, err := s.Sources.Partitions(p.Config, p)
	if err != nil || found.Named {
		return found, err
	}
	if p.Partition.By == partition.All {
		return plan.Sources{Keys: []partition.Key{partition.AllKey}}, nil
	}
	found.Keys, err = w.Discover(ctx, p)
	return found, err
}
