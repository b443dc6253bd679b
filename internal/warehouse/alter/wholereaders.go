package alter

import (
	"context"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// wholeReaders are found by what depends on anything of a relation: views on views at any depth, functions whose dependencies Postgres keeps,
// publications, and foreign keys of other tables. What belongs to the table itself goes with it, and is no reader. A function whose text has the
// table's name is only guessed.
func (t *Tables) wholeReaders(ctx context.Context, tx pgx.Tx, relation postgres.Relation) ([]migrate.Reader, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE views AS (
		  SELECT r.ev_class AS view
		  FROM pg_depend dep
		  JOIN pg_rewrite r ON r.oid = dep.objid
		  WHERE dep.classid = 'pg_rewrite'::regclass AND dep.refclassid = 'pg_class'::regclass AND dep.refobjid = $1 AND r.ev_class <> $1
		  UNION
		  SELECT r.ev_class
		  FROM views v
		  JOIN pg_depend dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = v.view AND dep.classid = 'pg_rewrite'::regclass
		  JOIN pg_rewrite r ON r.oid = dep.objid
		),
		read AS (SELECT $1::oid AS relation UNION SELECT view FROM views),
		found AS (
		  SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' WHEN 'v' THEN 'view' ELSE 'rule on' END AS kind, c.oid::regclass::text AS reader, c.relowner AS owner, false AS guessed
		  FROM views v
		  JOIN pg_class c ON c.oid = v.view
		  UNION
		  SELECT 'function', p.oid::regprocedure::text, p.proowner, false
		  FROM read
		  JOIN pg_depend dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = read.relation AND dep.classid = 'pg_proc'::regclass
		  JOIN pg_proc p ON p.oid = dep.objid
		  UNION
		  SELECT 'publication', b.pubname::text, b.pubowner, false
		  FROM pg_publication_rel m
		  JOIN pg_publication b ON b.oid = m.prpubid
		  WHERE m.prrelid = $1
		  UNION
		  SELECT 'foreign key', o.conname || ' of ' || o.conrelid::regclass, c.relowner, false
		  FROM pg_constraint o
		  JOIN pg_class c ON c.oid = o.conrelid
		  WHERE o.confrelid = $1 AND o.contype = 'f' AND o.conrelid <> $1
		  UNION
		  SELECT 'function', p.oid::regprocedure::text, p.proowner, true
		  FROM pg_proc p
		  JOIN pg_namespace n ON n.oid = p.pronamespace
		  WHERE p.prokind IN ('f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND right(n.nspname, 8) <> '__ledger'
		    AND p.prosqlbody IS NULL
		    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
		    AND EXISTS (
		      SELECT
		      FROM read
		      JOIN pg_class c ON c.oid = read.relation
		      WHERE lower(p.prosrc) ~ ('\m' || regexp_replace(lower(c.relname), '\W', '\\\&', 'g') || '\M'))
		)
		SELECT (SELECT relname::text FROM pg_class WHERE oid = $1), f.kind, f.reader, pg_get_userbyid(f.owner), f.guessed
		FROM found f
		ORDER BY f.guessed, f.kind, f.reader`, relation.OID)
	return collectReaders(rows, err)
}
