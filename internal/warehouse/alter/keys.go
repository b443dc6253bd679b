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
		SELECT o.conname, pg_get_constraintdef(o.oid), `+inOrder("conkey", "conrelid")+`, n.nspname, c.relname, `+inOrder("confkey", "confrelid")+`, pg_has_role(c.relowner, 'USAGE')
		FROM pg_constraint o
		JOIN pg_class c ON c.oid = o.confrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE o.conrelid = $1 AND o.contype = 'f' AND o.conparentid = 0
		ORDER BY o.conname`, d.OID)
	if err != nil {
		return fmt.Errorf("read foreign keys: %w", err)
	}
	d.ForeignKeys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f migrate.ForeignKey, err error) {
		err = row.Scan(&f.Name, &f.Definition, &f.Columns, &f.Schema, &f.Table, &f.Key, &f.Owned)
		return f, err
	})
	if err != nil {
		return fmt.Errorf("read foreign keys: %w", err)
	}
	return nil
}
