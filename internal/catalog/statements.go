package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// statement is one statement of several that are sent together. The journeys to the server are what a publish costs its
// readers: it reads and writes the ledger while it keeps them out.
type statement struct {
	what string // what it does, for its error
	sql  string
	args []any
	into []any        // where a row goes; nil for a statement that returns none
	each func() error // called after each row, where there is something to do
}

// together runs statements in their order, as if one by one, in two journeys: the server describes them, then it runs
// them. The first that fails ends it.
func (l Ledger) together(ctx context.Context, q Querier, statements ...statement) error {
	if len(statements) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, s := range statements {
		each := s.each
		if each == nil {
			each = func() error { return nil }
		}
		batch.Queue(l.sql(s.sql), s.args...).Query(func(rows pgx.Rows) error {
			if _, err := pgx.ForEachRow(rows, s.into, each); err != nil {
				return fmt.Errorf("%s: %w", s.what, err)
			}
			return nil
		})
	}
	return q.SendBatch(ctx, batch).Close()
}
