package alter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// ledgerWait bounds what one statement may take in the ledger, and a look at the server's catalog.
const ledgerWait = 5 * time.Second

// Tables are the tables of a schema that are changed in place. It is safe for concurrent use.
type Tables struct {
	pool   *postgres.Pool
	ledger catalog.Ledger
	schema string
}

// On are the tables of a schema, over sessions that are open already.
func On(pool *postgres.Pool, schema string) *Tables {
	return &Tables{pool: pool, ledger: catalog.New(schema), schema: schema}
}

// name is a table's, quoted.
func (t *Tables) name(table string) string { return pgx.Identifier{t.schema, table}.Sanitize() }

// relation finds the table of a plan. It is fault.Conflict where there is none any more.
func (t *Tables) relation(ctx context.Context, q catalog.Querier, table string) (postgres.Relation, error) {
	r := postgres.Relation{Name: t.name(table)}
	err := q.QueryRow(ctx, `
		SELECT c.oid
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, t.schema, table).Scan(&r.OID)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fault.Newf(fault.Conflict, "change", t.schema+"."+table, "look who dropped or renamed it; bring it back, and go on",
			"there is no such table any more")
	}
	if err != nil {
		return r, fmt.Errorf("look for %s: %w", table, err)
	}
	return r, nil
}

// readOnly runs do in one snapshot that changes nothing, and waits for nobody for long.
func (t *Tables) readOnly(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, t.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, ledgerWait); err != nil {
			return err
		}
		return do(tx)
	})
}

// object is what errors call a migration.
func object(p migrate.Plan) string { return p.Migration.Name + " of " + p.Migration.Table }
