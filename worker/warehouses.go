package main

import (
	"context"
	"sync"

	"drawbridge/activities"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/secret"
	"drawbridge/internal/warehouse"
)

// warehouses are the open warehouses of this worker: one per connection string and schema, kept until it stops.
type warehouses struct {
	conns int32

	mu   sync.Mutex
	open map[opened]*warehouse.Warehouse
}

// opened names a warehouse. The URL holds a secret: it stays in this process.
type opened struct{ url, schema string }

// sessionsPerActivity is what one activity needs at most: its own session, and one that looks at it.
const sessionsPerActivity = 2

func newWarehouses(builds int) *warehouses {
	return &warehouses{conns: int32(sessionsPerActivity * (controls + builds)), open: map[opened]*warehouse.Warehouse{}}
}

// opener opens the warehouse of a config, its secrets resolved here and now, within the environment's policy.
func (w *warehouses) opener(policy pipeline.Policy, files sources) func(context.Context, pipeline.Config) (activities.Warehouse, error) {
	resolver := secret.NewResolver(secret.Policy{Env: policy.Secrets.Env, Files: policy.Secrets.Files})
	return func(ctx context.Context, cfg pipeline.Config) (activities.Warehouse, error) {
		url, err := resolver.ResolveDSN(cfg.Warehouse)
		if err != nil {
			return nil, err
		}
		shared, err := w.get(ctx, opened{url: url, schema: cfg.WarehouseSchema}, cfg)
		if err != nil {
			return nil, err
		}
		return &site{Warehouse: shared, files: files, cfg: cfg}, nil
	}
}

func (w *warehouses) get(ctx context.Context, id opened, cfg pipeline.Config) (*warehouse.Warehouse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if have, ok := w.open[id]; ok {
		return have, nil
	}
	fresh, err := warehouse.Open(ctx, warehouse.Options{
		URL: id.url, Schema: cfg.WarehouseSchema, Application: "drawbridge/" + cfg.Environment, MaxConns: w.conns,
	})
	if err != nil {
		return nil, err
	}
	w.open[id] = fresh
	return fresh, nil
}

func (w *warehouses) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.open {
		o.Close()
	}
}
