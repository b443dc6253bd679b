// Package testdb gives each test a schema of its own in a real Postgres. Only tests import it.
package testdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

const (
	// variable is one of its own, so that no test ever meets an exported warehouse.
	variable = "TEST_DATABASE_URL"
	// leftover is the age from which a schema belongs to a crashed run: no test lives that long.
	leftover = time.Hour
	// cleanup bounds what a test waits for the locks of sessions that it forgot to close.
	cleanup = 30 * time.Second
)

// DB is a test's own part of the test server.
type DB struct {
	URL    string        // the server, without a search_path: code under test sets its own
	Pool   *pgxpool.Pool // its search_path is Schema
	Schema string        // empty at first; dropped after the test, with its __data, __ledger and __shadow siblings
}

// New creates a schema in the database of TEST_DATABASE_URL. Where that is unset the test is skipped, or fails when CI
// is set.
func New(tb testing.TB) *DB {
	tb.Helper()
	url := os.Getenv(variable)
	if url == "" {
		if os.Getenv("CI") != "" {
			tb.Fatalf("%s is not set: in CI no database test may be skipped", variable)
		}
		tb.Skipf("%s is not set", variable)
	}
	db := &DB{URL: url, Schema: name(time.Now())}
	config, err := pgxpool.ParseConfig(url)
	require.NoError(tb, err)
	config.ConnConfig.RuntimeParams["search_path"] = db.Schema
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.MaxConns = max(config.MaxConns, 16) // rivals tests hold many sessions at once
	ctx, cancel := context.WithTimeout(context.Background(), cleanup)
	defer cancel()
	db.Pool, err = pgxpool.NewWithConfig(ctx, config)
	require.NoError(tb, err)
	tb.Cleanup(func() { db.drop(tb) })
	if err := sweep(ctx, db.Pool, time.Now().Add(-leftover)); err != nil {
		tb.Logf("drop leftovers of crashed runs: %v", err) // theirs, and perhaps in use by a debugger: not this test's failure
	}
	_, err = db.Pool.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{db.Schema}.Sanitize())
	require.NoError(tb, err)
	return db
}

// Superuser is the URL with which tests make roles and end sessions. Where DRAWBRIDGE_TEST_SUPERUSER_URL is unset the test is
// skipped, or fails where the server is the local stack's, which has one.
func Superuser(tb testing.TB) string {
	tb.Helper()
	url := os.Getenv("DRAWBRIDGE_TEST_SUPERUSER_URL")
	if url != "" {
		return url
	}
	if os.Getenv("CI") != "" && os.Getenv("DRAWBRIDGE_STACK") != "" {
		tb.Fatal("DRAWBRIDGE_TEST_SUPERUSER_URL is not set, although the stack is the local one")
	}
	tb.Skip("DRAWBRIDGE_TEST_SUPERUSER_URL is not set")
	return ""
}

// name carries the time of creation, by which sweep knows leftovers.
func name(now time.Time) string {
	unique := make([]byte, 4)
	_, _ = rand.Read(unique) // crypto/rand never returns an error
	return fmt.Sprintf("test_%010d_%s", now.Unix(), hex.EncodeToString(unique))
}

func (db *DB) drop(tb testing.TB) {
	tb.Helper()
	db.Pool.Close()
	ctx, cancel := context.WithTimeout(context.Background(), cleanup)
	defer cancel()
	conn, err := pgx.Connect(ctx, db.URL)
	require.NoError(tb, err)
	defer func() { _ = conn.Close(ctx) }()
	for _, suffix := range []string{"", "__data", "__ledger", "__shadow"} {
		_, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{db.Schema + suffix}.Sanitize()+" CASCADE")
		require.NoError(tb, err, "drop the test's schema: does a session of the test still hold a lock?")
	}
}

// sweep drops the schemas of tests that began before the given time. One process sweeps at a time; the others go on.
func sweep(ctx context.Context, pool *pgxpool.Pool, before time.Time) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var mine bool
		err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtext('drawbridge testdb sweep'))`).Scan(&mine)
		if err != nil || !mine {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT nspname
			FROM pg_namespace
			WHERE nspname ~ '^test_[0-9]{10}_[0-9a-f]{8}(__data|__ledger|__shadow)?$'
			  AND nspname < 'test_' || lpad($1::bigint::text, 10, '0')`, before.Unix())
		if err != nil {
			return err
		}
		schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
			return err
		}
		for _, schema := range schemas {
			if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE"); err != nil {
				return err
			}
		}
		return nil
	})
}

// Exec runs statements of the arrangement of a test.
func (db *DB) Exec(tb testing.TB, sql string, args ...any) {
	tb.Helper()
	_, err := db.Pool.Exec(tb.Context(), sql, args...)
	require.NoError(tb, err)
}

// Read runs a query whose columns are all text, in a transaction that only reads.
func (db *DB) Read(tb testing.TB, sql string) [][]*string {
	tb.Helper()
	var all [][]*string
	err := pgx.BeginTxFunc(tb.Context(), db.Pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(tb.Context(), sql)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]*string, error) {
			values := make([]*string, len(row.FieldDescriptions()))
			targets := make([]any, len(values))
			for i := range values {
				targets[i] = &values[i]
			}
			return values, row.Scan(targets...)
		})
		return err
	})
	require.NoError(tb, err, sql)
	return all
}
