package alter

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// ReadersOf are the readers of some columns of a table that the server's catalog knows, or whose text mentions one of them. Without columns they
// are those of anything of it, and it may be a view.
func (t *Tables) ReadersOf(ctx context.Context, table string, columns []string) (readers []migrate.Reader, err error) {
	err = t.readOnly(ctx, func(tx pgx.Tx) error {
		if columns == nil {
			r, err := t.named(ctx, tx, table)
			if err == nil {
				readers, err = t.wholeReaders(ctx, tx, r)
			}
			return err
		}
		r, err := t.relation(ctx, tx, table)
		if err != nil {
			return err
		}
		readers, err = t.readers(ctx, tx, r.OID, columns)
		return err
	})
	return readers, postgres.Classify("look for readers of", t.schema+"."+table, err)
}

// readers are found by what depends on a column: views on views at any depth, by the column of the table that the first of them reads. A function's
// text is only searched for the words of the column's name and that of the table, or of a view on it, where Postgres keeps no dependencies of
// it, and a trigger's arguments for the column's name. What a ledger brings along is ours. Whoever reads a partition reads its table.
func (t *Tables) readers(ctx context.Context, tx pgx.Tx, relation uint32, columns []string) ([]migrate.Reader, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE own AS MATERIALIZED (
		  SELECT $1::oid AS relation
		  UNION
		  SELECT relid::oid FROM pg_partition_tree($1::oid)
		),
		a AS (
		  SELECT attrelid AS relation, attnum, attname::text AS name
		  FROM pg_attribute
		  WHERE attrelid IN (SELECT relation FROM own) AND attname = ANY($2) AND attnum > 0 AND NOT attisdropped
		),
		uses AS (
		  SELECT a.relation, a.name, dep.classid, dep.objid, dep.objsubid
		  FROM a
		  JOIN pg_depend dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = a.relation AND dep.refobjsubid = a.attnum
		),
		views AS (
		  SELECT u.name, r.ev_class AS view
		  FROM uses u
		  JOIN pg_rewrite r ON r.oid = u.objid
		  WHERE u.classid = 'pg_rewrite'::regclass AND r.ev_class NOT IN (SELECT relation FROM own)
		  UNION
		  SELECT v.name, r.ev_class
		  FROM views v
		  JOIN pg_depend dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = v.view AND dep.classid = 'pg_rewrite'::regclass
		  JOIN pg_rewrite r ON r.oid = dep.objid
		),
		found AS (
		  SELECT v.name AS "column", CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS kind,
		         c.oid::regclass::text AS reader, c.relowner AS owner, false AS guessed
		  FROM views v
		  JOIN pg_class c ON c.oid = v.view
		  UNION
		  SELECT u.name, 'generated column', c.attname::text, (SELECT relowner FROM pg_class WHERE oid = $1), false
		  FROM uses u
		  LEFT JOIN pg_attrdef d ON u.classid = 'pg_attrdef'::regclass AND d.oid = u.objid
		  JOIN pg_attribute c ON c.attrelid = u.relation AND c.attgenerated <> '' AND c.attname <> u.name
		    AND c.attnum = CASE WHEN u.classid = 'pg_class'::regclass AND u.objid = u.relation THEN u.objsubid ELSE d.adnum END
		  UNION
		  SELECT u.name, 'policy', p.polname::text, (SELECT relowner FROM pg_class WHERE oid = $1), false
		  FROM uses u
		  JOIN pg_policy p ON u.classid = 'pg_policy'::regclass AND p.oid = u.objid
		  UNION
		  SELECT u.name, 'trigger', g.tgname::text, (SELECT relowner FROM pg_class WHERE oid = $1), false
		  FROM uses u
		  JOIN pg_trigger g ON u.classid = 'pg_trigger'::regclass AND g.oid = u.objid AND NOT g.tgisinternal
		  JOIN pg_proc p ON p.oid = g.tgfoid AND p.pronamespace IS DISTINCT FROM (SELECT oid FROM pg_namespace WHERE nspname = $3)
		  UNION
		  SELECT u.name, 'publication', b.pubname::text, b.pubowner, false
		  FROM uses u
		  JOIN pg_publication_rel m ON u.classid = 'pg_publication_rel'::regclass AND m.oid = u.objid
		  JOIN pg_publication b ON b.oid = m.prpubid
		  UNION
		  SELECT u.name, 'function', p.oid::regprocedure::text, p.proowner, false
		  FROM uses u
		  JOIN pg_proc p ON u.classid = 'pg_proc'::regclass AND p.oid = u.objid
		  UNION
		  SELECT v.name, 'function', p.oid::regprocedure::text, p.proowner, false
		  FROM views v
		  JOIN pg_depend dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = v.view AND dep.classid = 'pg_proc'::regclass
		  JOIN pg_proc p ON p.oid = dep.objid
		  UNION
		  SELECT a.name, 'trigger', g.tgname::text, (SELECT relowner FROM pg_class WHERE oid = $1), true
		  FROM a
		  JOIN pg_trigger g ON g.tgrelid = a.relation AND NOT g.tgisinternal
		    AND encode(convert_to(a.name, getdatabaseencoding()), 'escape') = ANY(string_to_array(encode(g.tgargs, 'escape'), '\000'))
		  UNION
		  SELECT a.name, 'function', p.oid::regprocedure::text, p.proowner, true
		  FROM a, pg_proc p
		  JOIN pg_namespace n ON n.oid = p.pronamespace
		  WHERE p.prokind IN ('f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND right(n.nspname, 8) <> '__ledger'
		    AND p.prosqlbody IS NULL
		    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
		    AND (EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = a.relation AND g.tgfoid = p.oid) OR EXISTS (
		      SELECT
		      FROM pg_class c
		      WHERE (c.oid = a.relation OR c.oid IN (SELECT v.view FROM views v WHERE v.name = a.name))
		        AND lower(p.prosrc) ~ ('\m' || regexp_replace(lower(c.relname), '\W', '\\\&', 'g') || '\M')))
		    AND lower(p.prosrc) ~ ('\m' || regexp_replace(lower(a.name), '\W', '\\\&', 'g') || '\M')
		)
		SELECT f."column", f.kind, f.reader, pg_get_userbyid(f.owner), f.guessed
		FROM found f
		ORDER BY f.guessed, f.kind, f.reader, f."column"`, relation, columns, t.ledger.Schema())
	return collectReaders(rows, err)
}

// collectReaders reads what a query has found: column, kind, name, owner, and whether it is guessed.
func collectReaders(rows pgx.Rows, err error) ([]migrate.Reader, error) {
	if err == nil {
		var readers []migrate.Reader
		if readers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r migrate.Reader, err error) {
			err = row.Scan(&r.Column, &r.Kind, &r.Name, &r.Owner, &r.Guessed)
			return r, err
		}); err == nil {
			return readers, nil
		}
	}
	return nil, fmt.Errorf("look for readers: %w", err)
}

// workflowOf is the workflow of an owner; empty: of none.
func workflowOf(owner string) string {
	if owner == "" {
		return ""
	}
	return effect.Owner(owner).Workflow()
}
