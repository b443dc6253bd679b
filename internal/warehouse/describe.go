package warehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
)

// Headers are the columns of load files, by the load's name, as source.Files finds them. Without them only the declared
// columns of a load are known.
type Headers map[string][]string

// Describe says which columns an output's SELECT returns here, without running it. SQL that the server refuses is
// fault.Invalid.
func (w *Warehouse) Describe(ctx context.Context, p *pipeline.Pipeline, o pipeline.Output, h Headers) ([]generation.Column, error) {
	var columns []generation.Column
	err := w.pool.Apart(ctx, w.pool.Application(), func(author *postgres.Session) error {
		return rolledBack(ctx, author.Conn, func(tx pgx.Tx) error {
			if err := createLoads(ctx, tx, p, h); err != nil {
				return err
			}
			var err error
			columns, err = w.describeOutput(ctx, tx.Conn(), p.Loads, o)
			return err
		})
	})
	return columns, postgres.Classify("describe", o.Table, err)
}

// rolledBack runs f in a transaction of which nothing stays.
func rolledBack(ctx context.Context, conn *pgx.Conn, f func(pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	return f(tx)
}

// createLoads creates an empty temporary table for each load.
func createLoads(ctx context.Context, tx pgx.Tx, p *pipeline.Pipeline, h Headers) error {
	for _, load := range p.Loads {
		columns := load.Columns
		if head, ok := h[load.Name]; ok {
			var err error
			if columns, err = source.Columns(load, load.File, head); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, createTemp(load, columns)); err != nil {
			return postgres.Classify("describe load", load.Name, err)
		}
	}
	return nil
}

// describeOutput prepares an output's SELECT in its author's session. What comes from there are names and numbers; what the
// types are called is read in ours, because that text becomes part of our DDL.
func (w *Warehouse) describeOutput(ctx context.Context, conn *pgx.Conn, loads []pipeline.Load, o pipeline.Output) ([]generation.Column, error) {
	if load, line, ok := o.Undeclared(loads); ok {
		return nil, fault.Newf(fault.Invalid, "describe", fmt.Sprintf("%s:%d", o.SQLFile, line),
			"name the columns in the SELECT, or declare one of them under columns: of the load, which shows that its file has a header",
			"the SELECT takes all columns of load "+load+", of which none is declared")
	}
	text, _ := pipeline.Bind(o.SQL)
	prepared, err := conn.PgConn().Prepare(ctx, "", text, nil)
	if err != nil {
		return nil, sqlFault(o, text, err)
	}
	columns := make([]generation.Column, len(prepared.Fields))
	oids, modifiers := make([]uint32, len(columns)), make([]int32, len(columns))
	seen := map[string]bool{}
	for i, f := range prepared.Fields {
		if f.Name == "?column?" || seen[f.Name] {
			return nil, fault.Newf(fault.Invalid, "describe", o.SQLFile, "give every column of the SELECT a name of its own (AS name)",
				fmt.Sprintf("column %d has no name of its own (%s)", i+1, f.Name))
		}
		seen[f.Name] = true
		columns[i].Name, oids[i], modifiers[i] = f.Name, f.DataTypeOID, f.TypeModifier
	}
	if err := deletable(ctx, conn, o, text); err != nil {
		return nil, err
	}
	rows, err := w.pool.Query(ctx, `
		SELECT format_type(t.OID, t.modifier)
		FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS t (oid, modifier, position)
		ORDER BY t.position`, oids, modifiers)
	if err != nil {
		return nil, err
	}
	types, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for i := range columns {
		columns[i].Type = types[i]
	}
	return columns, w.cuttable(ctx, o, columns)
}

// deletable refuses a delete_when that is no condition on what the SELECT returns.
func deletable(ctx context.Context, conn *pgx.Conn, o pipeline.Output, text string) error {
	if o.DeleteWhen == "" {
		return nil
	}
	object := "delete_when of " + o.Table
	prepared, err := conn.PgConn().Prepare(ctx, "", "SELECT ("+o.DeleteWhen+"\n) FROM (\n"+text+"\n) AS output", nil)
	if err != nil {
		return postgres.Classify("prepare", object, err)
	}
	if len(prepared.Fields) != 1 || prepared.Fields[0].DataTypeOID != pgtype.BoolOID {
		return fault.Newf(fault.Invalid, "describe", object, "write a condition on columns of the SELECT, such as amount IS NULL", "it is no boolean")
	}
	return nil
}

// sqlFault adds to a server's complaint the line of the author's file.
func sqlFault(o pipeline.Output, text string, err error) error {
	object := o.SQLFile
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Position > 0 {
		before := []rune(text)
		before = before[:min(len(before), int(pg.Position)-1)]
		object = fmt.Sprintf("%s:%d", o.SQLFile, 1+strings.Count(string(before), "\n"))
	}
	return postgres.Classify("prepare", object, err)
}

// columnsOf reads the columns of a table in order.
func columnsOf(ctx context.Context, q catalog.Querier, relation uint32) ([]generation.Column, error) {
	rows, err := q.Query(ctx, `
		SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null
		FROM pg_attribute
		WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
		ORDER BY attnum`, relation)
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c generation.Column, err error) {
		err = row.Scan(&c.Name, &c.Type, &c.NotNull)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	return columns, nil
}
