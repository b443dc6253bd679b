package warehouse

import (
	"context"
	"fmt"

	"drawbridge/internal/catalog"
	"drawbridge/internal/postgres"
	"drawbridge/internal/warehouse/alter"
)

// Options say which warehouse to open. The URLs hold credentials and are never shown.
type Options struct {
	URL         string
	AuthorURL   string   // the login under which authors' SQL runs; empty: the same
	Schema      string   // what readers see; its siblings are __data, __ledger and __shadow
	Read        []string // schemas whose tables authors' SQL finds by their plain names, after Schema
	Application string   // application_name of sessions that no run owns
	MaxConns    int32    // 0 is 8
}

// Warehouse is one schema of one Postgres. It is safe for concurrent use.
type Warehouse struct {
	*alter.Tables
	pool   *postgres.Pool
	names  names
	ledger catalog.Ledger
}

// Open connects. A URL or a login that can never work is fault.Invalid; a server that does not answer is transient.
func Open(ctx context.Context, o Options) (*Warehouse, error) {
	if err := checkSchemaName(o.Schema); err != nil {
		return nil, err
	}
	pool, err := postgres.Open(ctx, postgres.Options{
		URL: o.URL, AuthorURL: o.AuthorURL, Object: object(o.Schema), Application: o.Application, MaxConns: o.MaxConns,
	})
	if err != nil {
		return nil, err
	}
	return On(pool, o.Schema, o.Read...)
}

// On is a schema over sessions that are open already, and that other schemas may share. Authors' SQL finds the tables of read
// by their plain names, after those of the schema.
func On(pool *postgres.Pool, schema string, read ...string) (*Warehouse, error) {
	if err := checkSchemaName(schema); err != nil {
		return nil, err
	}
	pool = pool.In(object(schema), append([]string{schema}, read...)...)
	return &Warehouse{Tables: alter.On(pool, schema), pool: pool, names: names{schema: schema}, ledger: catalog.New(schema)}, nil
}

// Zoned is the same warehouse for a pipeline whose SQL runs in sessions of a timezone; empty is UTC.
func (w *Warehouse) Zoned(zone string) *Warehouse {
	zoned := *w
	zoned.pool = w.pool.Zoned(zone)
	return &zoned
}

// object is what errors call a warehouse.
func object(schema string) string { return "warehouse " + schema }

// Ledgers lists the schemas of a database whose ledger belongs to an environment and is the login's own; unread are those that do not
// say, and why.
func Ledgers(ctx context.Context, pool *postgres.Pool, environment string) (schemas []string, unread map[string]error, err error) {
	schemas, unread, err = catalog.OfEnvironment(ctx, pool, environment)
	for schema, why := range unread {
		unread[schema] = fmt.Errorf("its ledger is locked, and does not say whose it is: %w", postgres.Classify("look at", schema, why))
	}
	return schemas, unread, postgres.Classify("look for ledgers of", environment, err)
}

// Close waits for the sessions in use, and closes all, also those that other schemas share.
func (w *Warehouse) Close() { w.pool.Close() }

// Schema is what readers see.
func (w *Warehouse) Schema() string { return w.names.schema }
