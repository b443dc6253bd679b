package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/postgres"
	"drawbridge/internal/reject"
)

// RecordRejects stores rows that a load left out for a source: a run of a partition, or a landing.
func (l Ledger) RecordRejects(ctx context.Context, q Querier, source, load string, rejects []reject.Row) error {
	files, columns, reasons, texts := make([]string, len(rejects)), make([]string, len(rejects)), make([]string, len(rejects)), make([]string, len(rejects))
	lines := make([]int64, len(rejects))
	for i, r := range rejects {
		files[i], lines[i], columns[i], reasons[i], texts[i] = r.File, int64(r.Line), r.Column, r.Reason, r.Text
	}
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.reject (source, load, file, line, column_name, reason, row_text)
		SELECT $1, $2, unnest($3::text[]), unnest($4::bigint[]), unnest($5::text[]), unnest($6::text[]), unnest($7::text[])`),
		source, load, files, lines, columns, reasons, texts); err != nil {
		return fmt.Errorf("record the rows that load %s left out: %w", load, err)
	}
	return nil
}

// ForgetRejects deletes what an earlier attempt recorded.
func (l Ledger) ForgetRejects(ctx context.Context, q Querier, source, load string) error {
	if _, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.reject WHERE source = $1 AND load = $2`), source, load); err != nil {
		return fmt.Errorf("forget the rows that load %s left out before: %w", load, err)
	}
	return nil
}

// RejectsQuery is the statement with which a person reads the rows that a load left out, in the warehouse.
func (l Ledger) RejectsQuery(source, load string) string {
	return fmt.Sprintf("SELECT file, line, column_name, reason, row_text FROM %s WHERE source = %s AND load = %s ORDER BY file, line",
		pgx.Identifier{l.schema, "reject"}.Sanitize(), postgres.Literal(source), postgres.Literal(load))
}
