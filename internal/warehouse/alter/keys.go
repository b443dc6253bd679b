package alter

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
)

// inOrder are the names of a constraint's columns, in its order.
func inOrder(number, relation string) string {
	return `ARRAY(
		         SELECT a.attname::text
		         FROM unnest(o.` + number + `) WITH ORDINALITY AS k (attnum, place)
		         JOIN pg_attribute a ON a.attrelid = o.` + relation + ` AND a.attnum = k.attnum
		         ORDER BY k.place)`
}

// action is what becomes of rows, in the words of a file.
func action(letter string) string {
	return `CASE ` + letter + ` WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' ELSE '' END`
}

// uniques are the table's primary key and its unique constraints, and which foreign keys lead to each.
func (t *Tables) uniques(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT o.conname, `+inOrder("conkey", "conrelid")+`, o.contype = 'p', o.condeferrable, coalesce(obj_description(o.oid, 'pg_constraint'), ''),
		       ARRAY(
		         SELECT f.conname || ' of ' || c.relname
		         FROM pg_constraint f
		         JOIN pg_class c ON c.oid = f.conrelid
		         WHERE f.contype = 'f' AND f.confrelid = o.conrelid AND f.conindid = o.conindid AND f.conparentid = 0
		         ORDER BY 1)
		FROM pg_constraint o
		WHERE o.conrelid = $1 AND o.contype IN ('p', 'u')
		ORDER BY o.contype, o.conname`, d.OID)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	d.Uniques, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (u migrate.Unique, err error) {
		err = row.Scan(&u.Name, &u.Columns, &u.Primary, &u.Deferrable, &u.Comment, &u.Led)
		return u, err
	})
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return nil
}

// foreignKeys are those by which the table leads to others, or to itself.
func (t *Tables) foreignKeys(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT o.conname, `+inOrder("conkey", "conrelid")+`, n.nspname, c.relname, `+inOrder("confkey", "confrelid")+`, pg_has_role(c.relowner, 'USAGE'),
		       `+action("o.confdeltype")+`, `+action("o.confupdtype")+`, CASE o.confmatchtype WHEN 'f' THEN 'full' ELSE '' END,
		       CASE WHEN o.condeferred THEN 'deferred' WHEN o.condeferrable THEN 'immediate' ELSE '' END, o.convalidated, coalesce(obj_description(o.oid, 'pg_constraint'), ''),
		       CASE
		         WHEN to_jsonb(o) ->> 'confdelsetcols' IS NOT NULL THEN 'it sets some of its columns only'
		         WHEN to_jsonb(o) ->> 'conenforced' = 'false' THEN 'nobody is held to it'
		         WHEN 'd' IN (o.confdeltype, o.confupdtype) THEN 'it sets defaults, which only one of two columns has'
		         ELSE ''
		       END
		FROM pg_constraint o
		JOIN pg_class c ON c.oid = o.confrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE o.conrelid = $1 AND o.contype = 'f' AND o.conparentid = 0
		ORDER BY o.conname`, d.OID)
	if err != nil {
		return fmt.Errorf("read foreign keys: %w", err)
	}
	d.ForeignKeys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f migrate.ForeignKey, err error) {
		err = row.Scan(&f.Name, &f.Columns, &f.Schema, &f.Table, &f.Key, &f.Owned, &f.OnDelete, &f.OnUpdate, &f.Match, &f.Deferrable, &f.Valid, &f.Comment, &f.Refused)
		return f, err
	})
	if err != nil {
		return fmt.Errorf("read foreign keys: %w", err)
	}
	return nil
}

// sequences are those that go with each column.
func (t *Tables) sequences(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		SELECT a.attname, n.nspname, s.relname
		FROM pg_depend dep
		JOIN pg_attribute a ON a.attrelid = dep.refobjid AND a.attnum = dep.refobjsubid
		JOIN pg_class s ON s.oid = dep.objid AND s.relkind = 'S'
		JOIN pg_namespace n ON n.oid = s.relnamespace
		WHERE dep.classid = 'pg_class'::regclass AND dep.refclassid = 'pg_class'::regclass AND dep.refobjid = $1 AND dep.deptype = 'a'
		ORDER BY n.nspname, s.relname`, d.OID)
	if err != nil {
		return fmt.Errorf("read sequences: %w", err)
	}
	owned := map[string][]migrate.Sequence{}
	var column string
	var s migrate.Sequence
	if _, err := pgx.ForEachRow(rows, []any{&column, &s.Schema, &s.Name}, func() error {
		owned[column] = append(owned[column], s)
		return nil
	}); err != nil {
		return fmt.Errorf("read sequences: %w", err)
	}
	for i := range d.Columns {
		d.Columns[i].Sequences = owned[d.Columns[i].Name]
	}
	return nil
}
