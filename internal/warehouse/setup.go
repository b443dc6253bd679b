package warehouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
)

// EnsureLedger creates the schemas and brings the ledger forward, where something is missing. Where the role may not,
// it is fault.Refused with the statements that a person with the right runs once.
func (w *Warehouse) EnsureLedger(ctx context.Context) error {
	return classify("prepare ledger of", w.names.schema, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
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
				statements[i] = fmt.Sprintf("CREATE SCHEMA %s AUTHORIZATION %s", quoteName(schema), quoteName(role))
			}
			return fault.Newf(fault.Refused, "prepare ledger of", w.names.schema, "as a role that may: "+strings.Join(statements, "; "),
				"the role may not create schemas in this database")
		}
		for _, schema := range missing {
			// Two workers may start at once: the second finds it there.
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoteName(schema)); err != nil {
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

// SetupSQL is what an administrator runs once per environment: a role that migrates and owns, a role that the worker
// logs in as, a role that readers are granted, and the schemas. It holds no password.
func SetupSQL(schema string) (string, error) {
	if err := checkSchemaName(schema); err != nil {
		return "", err
	}
	n := names{schema: schema}
	migrator, runner, reader := quoteName(schema+"_migrator"), quoteName(schema+"_runner"), quoteName(schema+"_reader")
	var b strings.Builder
	fmt.Fprintf(&b, `-- Drawbridge, warehouse schema %[1]s. Run once, as a superuser or the database's owner.
-- The migrator owns tables and ledger; the worker logs in as the runner; readers are granted the reader.
CREATE ROLE %[2]s NOLOGIN;
CREATE ROLE %[3]s LOGIN; -- give it a password of your own: \password %[1]s_runner
CREATE ROLE %[4]s NOLOGIN;
GRANT %[2]s TO %[3]s;
ALTER ROLE %[3]s SET role = %[5]s;
GRANT pg_read_all_stats, pg_signal_backend TO %[2]s, %[3]s; -- sees and ends what holds up a publish
`, schema, migrator, runner, reader, quote(schema+"_migrator"))
	for _, s := range n.all() {
		fmt.Fprintf(&b, "CREATE SCHEMA %s AUTHORIZATION %s;\n", quoteName(s), migrator)
	}
	fmt.Fprintf(&b, `GRANT USAGE ON SCHEMA %[1]s TO %[2]s;
ALTER DEFAULT PRIVILEGES FOR ROLE %[3]s IN SCHEMA %[1]s GRANT SELECT ON TABLES TO %[2]s;
`, quoteName(schema), reader, migrator)
	return b.String(), nil
}
