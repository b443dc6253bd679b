package main

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/singleflight"

	"drawbridge/activities"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/secret"
	"drawbridge/internal/source"
	"drawbridge/internal/warehouse"
)

// warehouses are the sessions of this worker: one pool per environment and login, which all schemas share, kept until the
// worker stops. However many schemas there are, an environment has as many sessions as its activities need. A server that
// does not answer holds up nobody but those who ask for it.
type warehouses struct {
	conns    int32
	resolver secret.Resolver
	opening  singleflight.Group

	mu   sync.Mutex
	open map[opened]*postgres.Pool
}

// opened names a pool. The logins hold secrets: they stay in this process.
type opened struct {
	logins
	environment string
}

// key is what two callers who mean the same pool have in common.
func (o opened) key() string { return strings.Join([]string{o.own, o.author, o.environment}, "\x00") }

// sessionsPerActivity is what one activity needs at most: its own session, and one that looks at it.
const sessionsPerActivity = 2

func newWarehouses(builds int, resolver secret.Resolver) *warehouses {
	return &warehouses{
		conns: int32(sessionsPerActivity * (controls + builds)), resolver: resolver, open: map[opened]*postgres.Pool{},
	}
}

// opener opens the warehouse that a config means, if the environment's policy has it, with that connection's credentials.
func (w *warehouses) opener(policy pipeline.Policy, files source.Files) func(context.Context, pipeline.Config) (activities.Warehouse, error) {
	return func(ctx context.Context, cfg pipeline.Config) (activities.Warehouse, error) {
		name, err := policy.ConnectionName(cfg)
		if err != nil {
			return nil, err
		}
		pool, err := w.get(ctx, policy, name)
		if err != nil {
			return nil, err
		}
		on, err := warehouse.On(pool, cfg.WarehouseSchema, policy.Connections[name].Schemas.Read...)
		if err != nil {
			return nil, err
		}
		return &site{Warehouse: on.Zoned(cfg.Timezone), files: files, cfg: cfg}, nil
	}
}

// ledgers lists the schemas behind a connection of the policy whose ledger is the environment's, and those that do not say, with
// why.
func (w *warehouses) ledgers(policy pipeline.Policy) func(ctx context.Context, connection string) ([]string, map[string]error, error) {
	return func(ctx context.Context, connection string) ([]string, map[string]error, error) {
		pool, err := w.get(ctx, policy, connection)
		if err != nil {
			return nil, nil, err
		}
		return warehouse.Ledgers(ctx, pool, policy.Environment)
	}
}

// get hands out the sessions of a connection's login, or opens them: once for all who ask meanwhile, and without keeping from
// theirs those who ask for others. Who gives up waiting leaves the others to it.
func (w *warehouses) get(ctx context.Context, policy pipeline.Policy, connection string) (*postgres.Pool, error) {
	as, err := resolve(w.resolver, policy.Connections[connection])
	if err != nil {
		return nil, err
	}
	id := opened{logins: as, environment: policy.Environment}
	if have, ok := w.have(id); ok {
		return have, have.Reach(ctx)
	}
	answer := w.opening.DoChan(id.key(), func() (any, error) {
		if have, ok := w.have(id); ok {
			return have, nil
		}
		fresh, err := postgres.Open(context.WithoutCancel(ctx), postgres.Options{ // bounds itself
			URL: as.own, AuthorURL: as.author, Object: "connection " + connection, Application: "drawbridge/" + policy.Environment, MaxConns: w.conns,
		})
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
		return r.Val.(*postgres.Pool), nil
	}
}

func (w *warehouses) have(id opened) (*postgres.Pool, bool) {
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
