package catalog

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Querier is a session, a transaction or a pool.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Ledger is the ledger of one warehouse schema. The zero Ledger is of no schema: use New.
type Ledger struct{ schema string }

// suffix is what a ledger's schema is called after that of its warehouse.
const suffix = "__ledger"

// New names the ledger of a warehouse schema. It does not look whether it is there.
func New(schema string) Ledger { return Ledger{schema: schema + suffix} }

// Schema is the name of the ledger's own schema.
func (l Ledger) Schema() string { return l.schema }

// of is the schema whose ledger it is.
func (l Ledger) of() string { return strings.TrimSuffix(l.schema, suffix) }

// sql puts the ledger's schema into a static statement, which writes it `ledger.`.
func (l Ledger) sql(text string) string {
	return strings.ReplaceAll(text, "ledger.", pgx.Identifier{l.schema}.Sanitize()+".")
}

// Version is the newest migration that the ledger has; 0 when there is no ledger.
func (l Ledger) Version(ctx context.Context, q Querier) (int, error) {
	var there bool
	if err := q.QueryRow(ctx, `
		SELECT EXISTS (
		  SELECT
		  FROM pg_class
		  WHERE relname = 'version'
		    AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1))`, l.schema).Scan(&there); err != nil {
		return 0, fmt.Errorf("look for the ledger: %w", err)
	}
	if !there {
		return 0, nil
	}
	var version int
	if err := q.QueryRow(ctx, l.sql(`SELECT coalesce(max(version), 0) FROM ledger.version`)).Scan(&version); err != nil {
		return 0, fmt.Errorf("read the ledger's version: %w", err)
	}
	return version, nil
}

// Prepare keeps all others from making the ledger or its schema, or bringing it forward, until the transaction ends.
func (l Ledger) Prepare(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "drawbridge ledger "+l.schema); err != nil {
		return fmt.Errorf("lock the ledger: %w", err)
	}
	return nil
}

// Latest is the newest migration that this binary knows.
func Latest() int { return len(migrationNames()) }

// Migrate brings the ledger forward to Latest, in tx, one migration after the other. Two migrators wait for each
// other, and the second finds nothing to do. A ledger newer than this binary is left alone: its tables only gain.
func (l Ledger) Migrate(ctx context.Context, tx pgx.Tx) error {
	if err := l.Prepare(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, l.sql(`CREATE TABLE IF NOT EXISTS ledger.version (
		version int PRIMARY KEY,
		applied_at timestamptz NOT NULL DEFAULT now())`)); err != nil {
		return fmt.Errorf("create the ledger's version table: %w", err)
	}
	have, err := l.Version(ctx, tx)
	if err != nil {
		return err
	}
	for i, name := range migrationNames() {
		if i+1 <= have {
			continue
		}
		text, err := migrations.ReadFile("migrations/" + name)
		if err != nil {
			return fmt.Errorf("read migration %s: %w", name, err)
		}
		if _, err := tx.Conn().PgConn().Exec(ctx, l.sql(string(text))).ReadAll(); err != nil {
			return fmt.Errorf("apply migration %s: %w", name, err)
		}
		if _, err := tx.Exec(ctx, l.sql(`INSERT INTO ledger.version (version) VALUES ($1)`), i+1); err != nil {
			return fmt.Errorf("record migration %s: %w", name, err)
		}
	}
	return nil
}

// migrationNames lists the embedded migrations in order; the version of each is its place, from 1.
func migrationNames() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic("catalog: " + strconv.Quote(err.Error())) // the pattern is a constant
	}
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, "migrations/")
	}
	slices.Sort(names)
	return names
}
