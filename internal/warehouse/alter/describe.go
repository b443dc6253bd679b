package alter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// describeWait bounds how long the description of a table waits for whoever changes it.
const describeWait = 2 * time.Second

// DescribeTable reads a table of the schema as it is, what the server says of expressions over its columns, without running them, and what
// it makes of what is over columns that are to be replaced. It locks nothing that anybody waits for. A table that is not there has no kind.
func (t *Tables) DescribeTable(ctx context.Context, table string, expressions []migrate.Typed, replaced ...migrate.Replacement) (migrate.Table, error) {
	d := migrate.Table{Schema: t.schema, Name: table}
	err := t.readOnly(ctx, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, describeWait); err != nil {
			return err
		}
		if err := t.describe(ctx, tx, &d); err != nil || d.Kind == "" {
			return err
		}
		for _, read := range []func(context.Context, pgx.Tx, *migrate.Table) error{t.owner, t.columns, t.holds, t.sequences, t.partitions, t.grants, t.tableGrants, t.indexes, t.uniques, t.foreignKeys, t.checks, t.statistics, t.triggers} {
			if err := read(ctx, tx, &d); err != nil {
				return err
			}
		}
		names := make([]string, len(d.Columns))
		for i, c := range d.Columns {
			names[i] = c.Name
		}
		var err error
		d.Readers, err = t.readers(ctx, tx, d.OID, names)
		return err
	})
	ours := d.Kind == migrate.Plain || d.Kind == migrate.Partitioned
	if err == nil && d.Kind == migrate.Partitioned {
		d.LockSlots, err = t.pool.LockSlots(ctx)
	}
	if err == nil && (ours || d.Managed) && len(expressions) > 0 {
		d.Expressions, err = t.examine(ctx, d, expressions)
	}
	if err == nil && ours {
		err = t.carry(ctx, &d, replaced)
	}
	return d, postgres.Classify("describe", t.schema+"."+table, err)
}

// describe reads what the table is, and how large.
func (t *Tables) describe(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	err := tx.QueryRow(ctx, `
		SELECT c.oid,
		       CASE
		         WHEN c.relispartition THEN 'partition'
		         WHEN c.relkind = 'p' AND NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) m WHERE row_security_active(m.relid)) THEN '`+migrate.Partitioned+`'
		         WHEN c.relkind = 'v' THEN 'view'
		         WHEN c.relkind = 'm' THEN 'materialized view'
		         WHEN c.relkind = 'f' THEN 'foreign table'
		         WHEN c.relkind NOT IN ('r', 'p') THEN 'relation of another kind'
		         WHEN c.reloftype <> 0 THEN 'table of a composite type'
		         WHEN EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent) AND c.relkind = 'r') THEN 'table that inherits, or is inherited from'
		         WHEN c.relkind = 'p' OR row_security_active(c.oid) THEN 'table whose rows are hidden from the login by row-level security'
		         ELSE '`+migrate.Plain+`'
		       END,
		       pg_has_role(c.relowner, 'USAGE'), c.relrowsecurity,
		       c.reltuples::bigint, pg_relation_size(c.oid), pg_relation_size(c.oid) / current_setting('block_size')::bigint,
		       current_setting('server_version_num')::int
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind NOT IN ('i', 'I', 'S', 't', 'c')`, t.schema, d.Name).
		Scan(&d.OID, &d.Kind, &d.Owned, &d.RowSecurity, &d.Rows, &d.Bytes, &d.Pages, &d.Version)
	if errors.Is(err, pgx.ErrNoRows) {
		return tx.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&d.Version)
	}
	if err != nil {
		return fmt.Errorf("look for the table: %w", err)
	}
	return nil
}

// owner reads whether the table is a pipeline's output, or a part of one, and whether a migration of it is open.
func (t *Tables) owner(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	version, err := t.ledger.Version(ctx, tx)
	if err != nil || version == 0 {
		return err
	}
	var names []string
	if err := tx.QueryRow(ctx, `
		WITH RECURSIVE up AS (
		  SELECT $1::oid AS relation
		  UNION
		  SELECT i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.relation
		)
		SELECT array_agg(c.relname::text)
		FROM up
		JOIN pg_class c ON c.oid = up.relation
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $2`, d.OID, t.schema).Scan(&names); err != nil {
		return fmt.Errorf("look where the table hangs: %w", err)
	}
	owners, err := t.ledger.Owners(ctx, tx, names)
	if err != nil {
		return err
	}
	for _, pipeline := range owners {
		d.Managed, d.Pipeline = true, pipeline
	}
	adopted, err := t.ledger.Adoptions(ctx, tx, names)
	if err != nil {
		return err
	}
	for output, a := range adopted {
		if a.First != "" {
			return fault.Newf(fault.Refused, "migrate", output, "give the table back, migrate it, and adopt it again: drawbridge release-table "+a.Pipeline+"@VERSION "+output+" --env ENV",
				"it has a legacy partition, which no release builds again: a migration of an output goes by what releases build")
		}
	}
	open, err := t.openMigration(ctx, tx, d.Name)
	d.Open = workflowOf(open.Owner)
	return err
}

func (t *Tables) columns(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
		       CASE WHEN a.attgenerated = '' THEN coalesce(pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END,
		       coalesce(col_description(a.attrelid, a.attnum), ''), coalesce(quote_ident(n.nspname) || '.' || quote_ident(l.collname), ''),
		       CASE WHEN a.attstorage = ty.typstorage THEN '' ELSE CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'm' THEN 'MAIN' WHEN 'e' THEN 'EXTERNAL' ELSE 'EXTENDED' END END,
		       CASE a.attcompression WHEN '' THEN '' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE a.attcompression::text END,
		       nullif(a.attstattarget, -1), coalesce(a.attoptions, '{}'),
		       coalesce((SELECT o.conname::text FROM pg_constraint o WHERE o.conrelid = a.attrelid AND o.contype = 'n' AND NOT o.convalidated AND a.attnum = ANY(o.conkey)), '')
		FROM pg_attribute a
		JOIN pg_type ty ON ty.oid = a.atttypid
		LEFT JOIN pg_collation l ON l.oid = a.attcollation AND a.attcollation <> ty.typcollation
		LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY a.attnum`, d.OID)
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	d.Columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c migrate.Column, err error) {
		err = row.Scan(&c.Name, &c.Type, &c.NotNull, &c.Default, &c.Comment, &c.Collation, &c.Storage, &c.Compression, &c.Target, &c.Options, &c.Unproved)
		return c, err
	})
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	return nil
}

// grants are the rights on single columns that the table's owner gave: those of others are among what holds a column.
func (t *Tables) grants(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT a.attname, r.privilege_type, coalesce(g.rolname, ''), r.is_grantable
		FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid
		CROSS JOIN aclexplode(a.attacl) r
		LEFT JOIN pg_roles g ON g.oid = r.grantee
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND r.grantor = c.relowner
		ORDER BY a.attnum, g.rolname, r.privilege_type`, d.OID)
	if err != nil {
		return fmt.Errorf("read rights on columns: %w", err)
	}
	given := map[string][]migrate.Grant{}
	var column string
	var g migrate.Grant
	if _, err := pgx.ForEachRow(rows, []any{&column, &g.Privilege, &g.To, &g.Grantable}, func() error {
		given[column] = append(given[column], g)
		return nil
	}); err != nil {
		return fmt.Errorf("read rights on columns: %w", err)
	}
	for i := range d.Columns {
		d.Columns[i].Grants = given[d.Columns[i].Name]
	}
	return nil
}

// tableGrants are the rights on the whole table that its owner gave others.
func (t *Tables) tableGrants(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT r.privilege_type, coalesce(g.rolname, ''), r.is_grantable
		FROM pg_class c
		CROSS JOIN aclexplode(c.relacl) r
		LEFT JOIN pg_roles g ON g.oid = r.grantee
		WHERE c.oid = $1 AND r.grantor = c.relowner AND r.grantee <> c.relowner
		ORDER BY g.rolname NULLS FIRST, r.privilege_type`, d.OID)
	if err != nil {
		return fmt.Errorf("read rights on the table: %w", err)
	}
	if d.Grants, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g migrate.Grant, err error) {
		err = row.Scan(&g.Privilege, &g.To, &g.Grantable)
		return g, err
	}); err != nil {
		return fmt.Errorf("read rights on the table: %w", err)
	}
	return nil
}

// read are the names of the columns that an object reads, in the order of the table.
const read = `
	SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}')
	FROM pg_attribute a
	WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`

func (t *Tables) indexes(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT i.relname, pg_get_indexdef(x.indexrelid), x.indisunique, x.indisprimary, EXISTS (SELECT FROM pg_constraint WHERE conindid = x.indexrelid AND contype IN ('p', 'u', 'x')),
		       x.indisvalid AND x.indisready,
		       (`+read+` AND (a.attnum = ANY(x.indkey::int2[]) OR EXISTS (
		         SELECT FROM pg_depend dep
		         WHERE dep.classid = 'pg_class'::regclass AND dep.objid = x.indexrelid
		           AND dep.refclassid = 'pg_class'::regclass AND dep.refobjid = x.indrelid AND dep.refobjsubid = a.attnum))),
		       x.indisunique AND x.indisvalid AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL AND NOT EXISTS (
		         SELECT FROM pg_attribute a
		         WHERE a.attrelid = x.indrelid AND a.attnum = ANY((x.indkey::int2[])[0:x.indnkeyatts - 1]) AND NOT a.attnotnull) AND NOT EXISTS (
		         SELECT -- an extension's order, such as citext's: batches compare by what Postgres itself has, and would leave rows out
		         FROM unnest(x.indclass::oid[]) AS k (class)
		         JOIN pg_opclass o ON o.oid = k.class
		         JOIN pg_amop m ON m.amopfamily = o.opcfamily AND m.amoplefttype = o.opcintype AND m.amoprighttype = o.opcintype
		         JOIN pg_operator c ON c.oid = m.amopopr
		         WHERE c.oprnamespace <> 'pg_catalog'::regnamespace),
		       coalesce((SELECT spcname::text FROM pg_tablespace WHERE oid = i.reltablespace), ''), coalesce(obj_description(i.oid, 'pg_class'), ''),
		       ARRAY(
		         SELECT a.attname::text
		         FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
		         JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
		         WHERE 0 <> ALL((x.indkey::int2[])[0:k.place - 1])
		         ORDER BY k.place),
		       x.indisunique AND x.indisvalid AND x.indisready AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL, x.indisreplident
		FROM pg_index x
		JOIN pg_class i ON i.oid = x.indexrelid
		WHERE x.indrelid = $1
		ORDER BY x.indisprimary DESC, x.indnkeyatts, i.relname`, d.OID)
	if err != nil {
		return fmt.Errorf("read indexes: %w", err)
	}
	var x migrate.Index
	var fit bool
	var key []string
	if _, err := pgx.ForEachRow(rows, []any{&x.Name, &x.Definition, &x.Unique, &x.Primary, &x.Constraint, &x.Valid, &x.Columns, &fit, &x.Tablespace, &x.Comment, &key, &x.Distinct, &x.Replica}, func() error {
		x.Keys = key
		d.Indexes = append(d.Indexes, x)
		if fit && d.Key == nil {
			d.Key = key
		}
		return nil
	}); err != nil {
		return fmt.Errorf("read indexes: %w", err)
	}
	return nil
}

func (t *Tables) checks(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT o.conname, pg_get_constraintdef(o.oid), (`+read+` AND a.attnum = ANY(o.conkey)), o.convalidated, o.connoinherit,
		       coalesce(obj_description(o.oid, 'pg_constraint'), '')
		FROM pg_constraint o
		WHERE o.conrelid = $1 AND o.contype = 'c'
		ORDER BY o.conname`, d.OID)
	if err != nil {
		return fmt.Errorf("read checks: %w", err)
	}
	d.Checks, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c migrate.Constraint, err error) {
		err = row.Scan(&c.Name, &c.Definition, &c.Columns, &c.Valid, &c.NoInherit, &c.Comment)
		return c, err
	})
	if err != nil {
		return fmt.Errorf("read checks: %w", err)
	}
	return nil
}

func (t *Tables) statistics(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT n.nspname, e.stxname, (`+read+` AND (a.attnum = ANY(e.stxkeys::int2[]) OR EXISTS (
		         SELECT
		         FROM pg_depend dep
		         WHERE dep.classid = 'pg_statistic_ext'::regclass AND dep.objid = e.oid
		           AND dep.refclassid = 'pg_class'::regclass AND dep.refobjid = e.stxrelid AND dep.refobjsubid = a.attnum))),
		       nullif(e.stxstattarget, -1), CASE WHEN e.stxowner = current_user::regrole THEN '' ELSE pg_get_userbyid(e.stxowner) END,
		       coalesce(obj_description(e.oid, 'pg_statistic_ext'), '')
		FROM pg_statistic_ext e
		JOIN pg_namespace n ON n.oid = e.stxnamespace
		WHERE e.stxrelid = $1
		ORDER BY n.nspname, e.stxname`, d.OID)
	if err != nil {
		return fmt.Errorf("read statistics: %w", err)
	}
	d.Statistics, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e migrate.Statistics, err error) {
		err = row.Scan(&e.Schema, &e.Name, &e.Columns, &e.Target, &e.Owner, &e.Comment)
		return e, err
	})
	if err != nil {
		return fmt.Errorf("read statistics: %w", err)
	}
	return nil
}

// triggers reads those of the table, and those that a partition has of its own: they fire for its rows as the table's do.
func (t *Tables) triggers(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT g.tgname::text, g.tgenabled IN ('O', 'A') AND g.tgtype & 16 > 0, ARRAY(
		         SELECT a.attname::text FROM pg_attribute a
		         WHERE a.attrelid = g.tgrelid AND a.attnum = ANY(g.tgattr::int2[])
		         ORDER BY a.attnum)
		FROM pg_trigger g
		WHERE (g.tgrelid = $1 OR g.tgparentid = 0 AND g.tgrelid IN (SELECT relid FROM pg_partition_tree($1::oid))) AND NOT g.tgisinternal
		ORDER BY g.tgname, g.tgrelid <> $1, g.tgrelid`, d.OID)
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	if d.Triggers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g migrate.Trigger, err error) {
		err = row.Scan(&g.Name, &g.Update, &g.Of)
		return g, err
	}); err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	return nil
}
