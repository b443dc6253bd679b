package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// dropSchemas drops the schemas of a name, with their tables some at a time: all of them need more locks than the server has.
func dropSchemas(ctx context.Context, db *pgx.Conn, schema string) error {
	if schema == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*cleanup)
	defer cancel()
	for {
		rows, err := db.Query(ctx, `
			SELECT format('%I.%I', n.nspname, c.relname)
			FROM pg_class c
			JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname IN ($1::text, $1::text || '__data') AND c.relkind = 'r'
			LIMIT 100`, schema)
		var names []string
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err == nil && len(names) == 0 {
			break
		}
		if err == nil {
			_, err = db.Exec(ctx, "DROP TABLE "+strings.Join(names, ", ")+" CASCADE")
		}
		if err != nil {
			return fmt.Errorf("drop the tables of %s: %w", schema, err)
		}
	}
	for _, suffix := range []string{"", "__shadow", "__data", "__ledger"} {
		if _, err := db.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema + suffix}.Sanitize()+" CASCADE"); err != nil {
			return fmt.Errorf("drop the schemas %s*: %w", schema, err)
		}
	}
	return nil
}
