package e2e_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"drawbridge/internal/catalog"
)

// shapeSQL is all that the catalog says of the relations of a schema whose names match: columns, constraints, indexes, triggers, views, and
// what others than the owner may do with them.
const shapeSQL = `
	WITH mine AS (SELECT * FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname ~ $2),
	lines AS (
	  SELECT format('%s is a relation of the kind %s', relname, relkind) AS line FROM mine
	  UNION ALL
	  SELECT format('column %s.%s %s, not null %s, default %s, statistics %s: %s', relname, attname, format_type(atttypid, atttypmod), attnotnull,
	                pg_get_expr(adbin, adrelid), coalesce(attstattarget, -1), col_description(attrelid, attnum))
	  FROM mine
	  JOIN pg_attribute ON attrelid = mine.oid AND attnum > 0 AND NOT attisdropped
	  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	  WHERE relkind NOT IN ('i', 'I')
	  UNION ALL
	  SELECT format('constraint %s of %s: %s', conname, relname, pg_get_constraintdef(k.oid)) FROM mine JOIN pg_constraint k ON conrelid = mine.oid WHERE contype <> 'n'
	  UNION ALL
	  SELECT format('index valid %s, %s', indisvalid, pg_get_indexdef(indexrelid)) FROM mine JOIN pg_index ON indrelid = mine.oid
	  UNION ALL
	  SELECT format('trigger %s of %s', tgname, relname) FROM mine JOIN pg_trigger ON tgrelid = mine.oid WHERE NOT tgisinternal
	  UNION ALL
	  SELECT format('view %s: %s', relname, pg_get_viewdef(oid)) FROM mine WHERE relkind = 'v'
	  UNION ALL
	  SELECT format('%s may %s %s, and give it %s', coalesce(pg_get_userbyid(nullif(grantee, 0)), 'everybody'), privilege_type, relname, is_grantable)
	  FROM mine, aclexplode(relacl) WHERE grantee <> relowner
	  UNION ALL
	  SELECT format('%s may %s %s.%s, and give it %s', coalesce(pg_get_userbyid(nullif(grantee, 0)), 'everybody'), privilege_type, relname, attname, is_grantable)
	  FROM mine JOIN pg_attribute ON attrelid = mine.oid AND NOT attisdropped, aclexplode(attacl) WHERE grantee <> relowner
	)
	SELECT replace(line, $1 || '.', '') FROM lines`

// names matches what a kind's relations are called.
func (k chaosKind) names() string { return "^(" + strings.Join(k.tables(), "|") + ")" }

// shape is what the catalog says of a kind's table in a schema.
func (k chaosKind) shape(ctx context.Context, q catalog.Querier, schema string) ([]string, error) {
	rows, err := q.Query(ctx, shapeSQL, schema, k.names())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// model is what Postgres itself makes of a turn's SQL, in a schema that nobody sees.
func (k chaosKind) model(ctx context.Context, db *pgxpool.Pool, turn chaosTurn) ([]string, error) {
	const schema = "as_it_has_to_be"
	tx, err := db.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	for _, sql := range append([]string{`CREATE SCHEMA ` + schema, `SET LOCAL search_path = ` + schema}, turn.model...) {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	if _, err := tx.Exec(ctx, `SET LOCAL search_path = pg_catalog`); err != nil { // the names of schemas are shown
		return nil, err
	}
	return k.shape(ctx, tx, schema)
}

// leftSQL finds what is called as migrations call what they make for a while.
const leftSQL = `
	WITH here AS (SELECT oid FROM pg_namespace WHERE nspname IN ('rides_dev', 'rides_dev__ledger')),
	called AS (
	  SELECT 'relation ' || relname AS what, relname AS name FROM pg_class WHERE relnamespace IN (SELECT oid FROM here)
	  UNION ALL SELECT 'column ' || attname || ' of ' || relname, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace IN (SELECT oid FROM here) AND NOT attisdropped
	  UNION ALL SELECT 'constraint ' || conname, conname FROM pg_constraint WHERE connamespace IN (SELECT oid FROM here)
	  UNION ALL SELECT 'trigger ' || tgname, tgname FROM pg_trigger
	  UNION ALL SELECT 'function ' || proname, proname FROM pg_proc WHERE pronamespace IN (SELECT oid FROM here)
	  UNION ALL SELECT 'statistics ' || stxname, stxname FROM pg_statistic_ext WHERE stxnamespace IN (SELECT oid FROM here)
	)
	SELECT what FROM called WHERE name ~ '^zz_drawbridge|^drawbridge_.*_not_null$|__(new|old)$|__dropped_'
	UNION ALL SELECT 'brownout of ' || name FROM rides_dev__ledger.migration WHERE brownout_since IS NOT NULL AND brownout_until IS NULL
	UNION ALL SELECT 'right that was taken by ' || owner FROM rides_dev__ledger.migration_right`
