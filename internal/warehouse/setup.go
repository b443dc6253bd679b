package warehouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/postgres"
)

// EnsureLedger creates the schemas and brings the ledger forward, where something is missing. Where the role may not,
// it is fault.Refused with the statements that a person with the right runs once.
func (w *Warehouse) EnsureLedger(ctx context.Context) error {
	return postgres.Classify("prepare ledger of", w.names.schema, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		missing, err := w.missingSchemas(ctx, tx)
		if err != nil {
			return err
		}
		var mayCreate bool
		if err := tx.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE')`).Scan(&mayCreate); err != nil {
			return err
		}
		if len(missing) > 0 && !mayCreate {
			var role string
			if err := tx.QueryRow(ctx, `SELECT current_user`).Scan(&role); err != nil {
				return err
			}
			statements := make([]string, len(missing))
			for i, schema := range missing {
				statements[i] = fmt.Sprintf("CREATE SCHEMA %s AUTHORIZATION %s", postgres.Ident(schema), postgres.Ident(role))
			}
			return fault.Newf(fault.Refused, "prepare ledger of", w.names.schema, "as a role that may: "+strings.Join(statements, "; "),
				"the role may not create schemas in this database")
		}
		if len(missing) > 0 { // two workers may start at once: the second finds it there
			if err := w.ledger.Prepare(ctx, tx); err != nil {
				return err
			}
		}
		for _, schema := range missing {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+postgres.Ident(schema)); err != nil {
				return err
			}
		}
		have, err := w.ledger.Version(ctx, tx)
		if err != nil || have >= catalog.Latest() {
			return err
		}
		return w.ledger.Migrate(ctx, tx)
	}))
}

func (w *Warehouse) missingSchemas(ctx context.Context, q catalog.Querier) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT wanted
		FROM unnest($1::text[]) WITH ORDINALITY AS t (wanted, position)
		WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = wanted)
		ORDER BY position`, w.names.all())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
