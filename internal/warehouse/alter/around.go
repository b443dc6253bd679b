package alter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// DescribeAround adds to what is known of a table what a migration is about beside it: the tables that its foreign keys are to lead to, and the
// types that get values. It locks nothing that anybody waits for.
func (t *Tables) DescribeAround(ctx context.Context, d migrate.Table, m migrate.Migration) (migrate.Table, error) {
	if d.Kind != migrate.Plain {
		return d, nil // nothing is planned of it
	}
	var err error
	for _, lead := range append(migrate.Leads(m), migrate.CarriedLeads(m, d)...) {
		var r migrate.Reference
		if r, err = t.reference(ctx, d, lead); err != nil {
			return d, postgres.Classify("describe", t.schema+"."+lead.Table, err)
		}
		if d.References == nil {
			d.References = map[string]migrate.Reference{}
		}
		d.References[lead.Name] = r
	}
	for _, name := range migrate.EnumsOf(m) {
		var e migrate.Enum
		if e, err = t.enum(ctx, d, name); err != nil {
			return d, postgres.Classify("describe", t.schema+"."+name, err)
		}
		if d.Enums == nil {
			d.Enums = map[string]migrate.Enum{}
		}
		d.Enums[name] = e
	}
	return d, nil
}

// reference is what the server says of a foreign key that is to be made.
func (t *Tables) reference(ctx context.Context, d migrate.Table, lead migrate.Lead) (r migrate.Reference, err error) {
	r.Table = migrate.Table{Schema: t.schema, Name: lead.Table}
	err = t.readOnly(ctx, func(tx pgx.Tx) error {
		if err := t.describe(ctx, tx, &r.Table); err != nil || r.Table.Kind == "" {
			return err
		}
		for _, read := range []func(context.Context, pgx.Tx, *migrate.Table) error{t.owner, t.columns, t.indexes} {
			if err := read(ctx, tx, &r.Table); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, `
			SELECT CASE
			         WHEN mine.relpersistence = 'p' AND other.relpersistence <> 'p' THEN 'the table is kept through a crash, and the other one is not'
			         WHEN other.relpersistence = 't' OR mine.relpersistence = 't' THEN 'one of the two is a session''s own'
			         ELSE ''
			       END
			FROM pg_class mine, pg_class other
			WHERE mine.oid = $1 AND other.oid = $2`, d.OID, r.Table.OID).Scan(&r.Refused)
	})
	if err != nil || r.Table.Kind != migrate.Plain || r.Refused != "" || !whole(d, r.Table, lead) {
		return r, err
	}
	err = t.tried(ctx, func(tx pgx.Tx) error { return t.lead(ctx, tx, d, lead, &r) })
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && !postgres.Contended(err) && authors(pg.Code) {
		r.Refused, err = said(pg), nil
		if pg.Code == pgerrcode.DatatypeMismatch {
			r.Refused = "values of the two types are not compared by an index: " + types(d, lead.Columns, lead.Added) + " and " + types(r.Table, lead.Key, nil)
		}
	}
	return r, err
}

// whole says whether every column that a foreign key names is there, or will be.
func whole(d, other migrate.Table, lead migrate.Lead) bool {
	for _, name := range lead.Columns {
		_, there := d.Column(name)
		if !there && !slices.ContainsFunc(lead.Added, func(a migrate.AddedColumn) bool { return a.Name == name }) {
			return false
		}
	}
	return !slices.ContainsFunc(lead.Key, func(name string) bool {
		_, there := other.Column(name)
		return !there
	})
}

func types(d migrate.Table, names []string, added []migrate.AddedColumn) string {
	all := make([]string, len(names))
	for i, name := range names {
		c, _ := d.Column(name)
		for _, a := range added {
			if a.Name == name {
				c, _ = d.Column(a.As)
				if a.As == "" {
					c.Type = a.Type
				}
			}
		}
		all[i] = c.Type
	}
	return strings.Join(all, ", ")
}

// ledTo is what a foreign key leads to where it is tried.
const ledTo = "drawbridge_key"

// lead makes the foreign key between copies of both tables without rows, and reads how the server compares their values.
func (t *Tables) lead(ctx context.Context, tx pgx.Tx, d migrate.Table, lead migrate.Lead, r *migrate.Reference) error {
	statements := []string{
		fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s)", trialTable, t.name(d.Name)),
		fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s)", ledTo, t.name(lead.Table)),
	}
	for _, a := range lead.Added {
		change := "RENAME COLUMN " + postgres.Ident(a.As) + " TO " + postgres.Ident(a.Name)
		if a.As == "" {
			change = "ADD COLUMN " + postgres.Ident(a.Name) + " " + a.Type
		}
		statements = append(statements, fmt.Sprintf("ALTER TABLE pg_temp.%s %s", trialTable, change))
	}
	key := idents(lead.Key)
	statements = append(statements,
		fmt.Sprintf("ALTER TABLE pg_temp.%s ADD UNIQUE (%s)", ledTo, key),
		fmt.Sprintf("ALTER TABLE pg_temp.%s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES pg_temp.%s (%s)", trialTable, trialThing, idents(lead.Columns), ledTo, key))
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql, pgx.QueryExecModeExec); err != nil {
			return err
		}
	}
	var foreign []string
	if err := tx.QueryRow(ctx, `
		SELECT ARRAY(
		         SELECT DISTINCT p.oid::regoperator::text
		         FROM unnest(k.conpfeqop || k.conppeqop || k.conffeqop) AS o (oid)
		         JOIN pg_operator p ON p.oid = o.oid
		         WHERE p.oprnamespace <> 'pg_catalog'::regnamespace
		         ORDER BY 1),
		       ARRAY(
		         SELECT CASE WHEN theirs.attcollation IN (0, mine.attcollation) OR mine.attcollation = 0 THEN ''
		                ELSE quote_ident(n.nspname) || '.' || quote_ident(l.collname) END
		         FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS c (mine, theirs, place)
		         JOIN pg_attribute mine ON mine.attrelid = k.conrelid AND mine.attnum = c.mine
		         JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = c.theirs
		         LEFT JOIN pg_collation l ON l.oid = theirs.attcollation
		         LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
		         ORDER BY c.place)
		FROM pg_constraint k
		WHERE k.conrelid = ('pg_temp.' || $1)::regclass AND k.conname = $2`, trialTable, trialThing).Scan(&foreign, &r.Collations); err != nil {
		return fmt.Errorf("look how %s would be compared: %w", lead.Name, err)
	}
	if len(foreign) > 0 {
		r.Refused = "values are compared by what Postgres does not bring along: " + strings.Join(foreign, ", ")
	}
	return nil
}

func idents(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = postgres.Ident(name)
	}
	return strings.Join(quoted, ", ")
}

// enum is a type of the schema that has named values, and who has columns of it: of arrays and of domains of it too.
func (t *Tables) enum(ctx context.Context, d migrate.Table, name string) (e migrate.Enum, err error) {
	err = t.readOnly(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			WITH RECURSIVE named AS (
			  SELECT ty.oid, ty.typowner
			  FROM pg_type ty
			  JOIN pg_namespace n ON n.oid = ty.typnamespace
			  WHERE n.nspname = $1 AND ty.typname = $2 AND ty.typtype = 'e'
			),
			has AS (
			  SELECT oid FROM named
			  UNION
			  SELECT ty.oid FROM has JOIN pg_type ty ON ty.typbasetype = has.oid OR ty.typelem = has.oid AND ty.typcategory = 'A'
			),
			columns AS (
			  SELECT a.attrelid, format('%s of ', a.attname) AS text, c.relname,
			         CASE WHEN n.nspname = $1 THEN '' ELSE n.nspname || '.' END AS schema, a.attname
			  FROM has
			  JOIN pg_attribute a ON a.atttypid = has.oid AND a.attnum > 0 AND NOT a.attisdropped
			  JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
			  JOIN pg_namespace n ON n.oid = c.relnamespace
			)
			SELECT EXISTS (SELECT FROM named), coalesce((SELECT pg_has_role(typowner, 'USAGE') FROM named), false),
			       ARRAY(SELECT v.enumlabel::text FROM named JOIN pg_enum v ON v.enumtypid = named.oid ORDER BY v.enumsortorder),
			       ARRAY(SELECT attname::text FROM columns WHERE attrelid = $3 ORDER BY 1),
			       ARRAY(SELECT text || schema || relname FROM columns WHERE attrelid <> $3 ORDER BY 1)`, t.schema, name, d.OID).
			Scan(&e.Found, &e.Owned, &e.Values, &e.Columns, &e.Others)
	})
	return e, err
}
