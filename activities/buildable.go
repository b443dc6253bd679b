package activities

import (
	"context"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// buildable are the partitions that can be built: the load files name them, or else the data does.
func (s *Site) buildable(ctx context.Context, p *pipeline.Pipeline, w Warehouse) (plan.Sources, error) {
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
