package main

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/singleflight"

	"drawbridge/activities"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/secret"
	"drawbridge/internal/source"
	"drawbridge/internal/warehouse"
)

// warehouses are the open warehouses of this worker: one per login and schema, kept until it stops. One that does not
// answer holds up nobody but those who ask for it.
type warehouses struct {
	conns    int32
	resolver secret.Resolver
	opening  singleflight.Group

	mu   sync.Mutex
	open map[opened]*warehouse.Warehouse
}

// opened names a warehouse. The logins hold secrets: they stay in this process.
type opened struct {
	logins
	schema, read string
}

// key is what two callers who mean the same warehouse have in common.
func (o opened) key() string {
	return strings.Join([]string{o.own, o.author, o.schema, o.read}, "\x00")
}

// sessionsPerActivity is what one activity needs at most: its own session, and one that looks at it.
const sessionsPerActivity = 2

func newWarehouses(builds int, resolver secret.Resolver) *warehouses {
	return &warehouses{
		conns: int32(sessionsPerActivity * (controls + builds)), resolver: resolver, open: map[opened]*warehouse.Warehouse{},
	}
}

// opener opens the warehouse that a config means, if the environment's policy has it, with that connection's credentials.
func (w *warehouses) opener(policy pipeline.Policy, files source.Files) func(context.Context, pipeline.Config) (activities.Warehouse, error) {
	return func(ctx context.Context, cfg pipeline.Config) (activities.Warehouse, error) {
		connection, err := policy.Connection(cfg)
		if err != nil {
			return nil, err
		}
		as, err := resolve(w.resolver, connection)
		if err != nil {
			return nil, err
		}
		read := connection.Schemas.Read
		shared, err := w.get(ctx, opened{logins: as, schema: cfg.WarehouseSchema, read: strings.Join(read, " ")}, warehouse.Options{
			URL: as.own, AuthorURL: as.author, Schema: cfg.WarehouseSchema, Read: read, Application: "drawbridge/" + cfg.Environment, MaxConns: w.conns,
		})
		if err != nil {
			return nil, err
		}
		return &site{Warehouse: shared, files: files, cfg: cfg}, nil
	}
}

// get hands out an open warehouse, or opens it: once for all who ask meanwhile, and without keeping from theirs those who
// ask for another. Who gives up waiting leaves the others to it.
func (w *warehouses) get(ctx context.Context, id opened, o warehouse.Options) (*warehouse.Warehouse, error) {
	if have, ok := w.have(id); ok {
		return have, have.Reach(ctx)
	}
	answer := w.opening.DoChan(id.key(), func() (any, error) {
		if have, ok := w.have(id); ok {
			return have, nil
		}
		fresh, err := warehouse.Open(context.WithoutCancel(ctx), o) // bounds itself
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open[id] = fresh
		return fresh, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-answer:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*warehouse.Warehouse), nil
	}
}

func (w *warehouses) have(id opened) (*warehouse.Warehouse, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found, ok := w.open[id]
	return found, ok
}

func (w *warehouses) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.open {
		o.Close()
	}
}
