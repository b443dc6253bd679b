package alter

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// Sizes are those of the tables and materialized views of the schema that have one of the names, and the schema. Of what has another name,
// or is of another schema, it says nothing, not even that it is there.
func (t *Tables) Sizes(ctx context.Context, names []string) (schema string, sizes []migrate.Size, err error) {
	err = t.readOnly(ctx, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, describeWait); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			WITH RECURSIVE part AS (
			  SELECT c.oid AS root, c.oid AS relation
			  FROM pg_class c
			  JOIN pg_namespace n ON n.oid = c.relnamespace
			  WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p', 'm')
			  UNION ALL
			  SELECT p.root, i.inhrelid
			  FROM part p
			  JOIN pg_inherits i ON i.inhparent = p.relation
			)
			SELECT r.relname::text,
			       CASE WHEN bool_or(c.reltuples < 0 AND c.relkind <> 'p') THEN -1 ELSE coalesce(sum(c.reltuples) FILTER (WHERE c.relkind <> 'p'), 0) END::bigint,
			       coalesce(sum(pg_table_size(c.oid)), 0)::bigint
			FROM part p
			JOIN pg_class c ON c.oid = p.relation
			JOIN pg_class r ON r.oid = p.root
			GROUP BY r.oid, r.relname
			ORDER BY r.relname`, t.schema, names)
		if err != nil {
			return fmt.Errorf("read sizes: %w", err)
		}
		sizes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[migrate.Size])
		return err
	})
	return t.schema, sizes, postgres.Classify("measure", "tables of "+t.schema, err)
}
