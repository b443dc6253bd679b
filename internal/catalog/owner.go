package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
	"drawbridge/internal/postgres"
)

// BindEnvironment gives the ledger to the environment that first writes it; another one is fault.Refused, so that no
// config of one environment reaches what readers of another one see.
func (l Ledger) BindEnvironment(ctx context.Context, q Querier, environment string) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.environment (name)
		VALUES ($1)
		ON CONFLICT DO NOTHING`), environment); err != nil {
		return fmt.Errorf("bind the ledger to %s: %w", environment, err)
	}
	name, err := l.Environment(ctx, q)
	if err != nil {
		return err
	}
	if name != environment {
		return fault.Newf(fault.Refused, "use schema", l.of(), "give config."+environment+".yaml a warehouse_schema of its own",
			fmt.Sprintf("it belongs to the environment %s, and this is %s", name, environment))
	}
	return nil
}

// Environment is the environment that the ledger belongs to; empty while nobody has written it.
func (l Ledger) Environment(ctx context.Context, q Querier) (name string, err error) {
	err = l.together(ctx, q, readEnvironment(&name))
	return name, err
}

func readEnvironment(name *string) statement {
	return statement{what: "read the ledger's environment", sql: `SELECT name FROM ledger.environment`, into: []any{name}}
}

// OfEnvironment lists the schemas of the database whose ledger belongs to an environment. Only ledgers count that belong to the
// session's own role, or to one whose rights it has: what anybody else calls a ledger could run SQL of theirs when it is read. Each
// is waited for by itself: unread are the schemas of those that somebody has locked, and why; they may be the environment's.
func OfEnvironment(ctx context.Context, q beginner, environment string) (schemas []string, unread map[string]error, err error) {
	rows, err := q.Query(ctx, `
		SELECT n.nspname
		FROM pg_namespace n
		JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'environment' AND c.relkind = 'r'
		WHERE right(n.nspname, length($1)) = $1
		  AND pg_has_role(n.nspowner, 'USAGE')
		  AND pg_has_role(c.relowner, 'USAGE')
		ORDER BY n.nspname`, suffix)
	if err != nil {
		return nil, nil, fmt.Errorf("list ledgers: %w", err)
	}
	ledgers, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, nil, fmt.Errorf("list ledgers: %w", err)
	}
	unread = map[string]error{}
	for _, name := range ledgers {
		l := Ledger{schema: name}
		var of string
		err := pgx.BeginTxFunc(ctx, q, postgres.ReadOnly(), func(tx pgx.Tx) (err error) {
			if err = postgres.Bound(ctx, tx, ledgerLook); err == nil {
				of, err = l.Environment(ctx, tx)
			}
			return err
		})
		switch pg, _ := errors.AsType[*pgconn.PgError](err); {
		case pg != nil && pg.Code == pgerrcode.UndefinedTable: // dropped meanwhile
		case pg != nil && (pg.Code == pgerrcode.LockNotAvailable || pg.Code == pgerrcode.QueryCanceled):
			unread[l.of()] = err
		case err != nil:
			return nil, nil, err
		case of == environment:
			schemas = append(schemas, l.of())
		}
	}
	return schemas, unread, nil
}

// ledgerLook bounds how long one ledger is waited for that somebody has locked.
const ledgerLook = time.Second

// beginner runs statements, and begins transactions.
type beginner interface {
	Querier
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

// Epoch tells this ledger from a copy of it and from one that was restored to an earlier point.
func (l Ledger) Epoch(ctx context.Context, q Querier) (string, error) {
	var epoch string
	if err := q.QueryRow(ctx, l.sql(`SELECT coalesce(max(epoch::text), '') FROM ledger.environment`)).Scan(&epoch); err != nil {
		return "", fmt.Errorf("read the ledger's epoch: %w", err)
	}
	return epoch, nil
}

// claimOutputs gives outputs that nobody has published to a pipeline.
func claimOutputs(pipeline string, outputs []string) statement {
	return statement{what: "claim outputs of " + pipeline, sql: `
		INSERT INTO ledger.output (output, pipeline)
		SELECT unnest($1::text[]), $2
		ON CONFLICT DO NOTHING`, args: []any{outputs, pipeline}}
}

// owned refuses outputs that are not a pipeline's own.
func owned(pipeline string, outputs []string, owners map[string]string) error {
	for _, output := range outputs {
		if owner := owners[output]; owner != pipeline {
			return fault.Newf(fault.Refused, "publish", output, "give the output another name, or another warehouse_schema",
				fmt.Sprintf("the table belongs to the pipeline %s, and this is %s", owner, pipeline))
		}
	}
	return nil
}

// Owners are the pipelines that outputs belong to; an output that nobody has published is missing.
func (l Ledger) Owners(ctx context.Context, q Querier, outputs []string) (map[string]string, error) {
	owners := map[string]string{}
	err := l.together(ctx, q, readOwners(outputs, owners))
	return owners, err
}

func readOwners(outputs []string, owners map[string]string) statement {
	var output, pipeline string
	return statement{
		what: "read owners of outputs", sql: `SELECT output, pipeline FROM ledger.output WHERE output = ANY($1)`, args: []any{outputs},
		into: []any{&output, &pipeline}, each: func() error {
			owners[output] = pipeline
			return nil
		},
	}
}

// keepOwners lets nobody change whose outputs are until the transaction ends.
func keepOwners(outputs []string) statement {
	return statement{
		what: "keep the owners of outputs", sql: `SELECT FROM ledger.output WHERE output = ANY($1) ORDER BY output FOR SHARE`, args: []any{outputs},
	}
}

// OutputsOf lists all the outputs that a pipeline ever published here, whatever its releases say today.
func (l Ledger) OutputsOf(ctx context.Context, q Querier, pipeline string) ([]string, error) {
	rows, err := q.Query(ctx, l.sql(`SELECT output FROM ledger.output WHERE pipeline = $1 ORDER BY output`), pipeline)
	if err != nil {
		return nil, fmt.Errorf("list outputs of %s: %w", pipeline, err)
	}
	outputs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list outputs of %s: %w", pipeline, err)
	}
	return outputs, nil
}
