package warehouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/check"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

// afterRefusal is how many rows are sent at once where the server has refused one of a block: the next is not far.
const afterRefusal = 500

// take copies the rows of a file into a table, in a transaction of the author's session, and returns how many the server took. Where
// rows may be left out that only the server can judge, it gets them in blocks, each of which it can refuse by itself.
func (b *build) take(ctx context.Context, tx pgx.Tx, table string, load pipeline.Load, rows *source.Rows, fast ...string) (taken int64, err error) {
	if load.OnBadRow != pipeline.RejectRow || rows.Sure() {
		rows.UseBinary()
		tag, err := tx.Conn().PgConn().CopyFrom(ctx, rows, copyInto(table, rows, fast...))
		return tag.RowsAffected(), err
	}
	sql := copyInto(table, rows)
	for {
		block, err := rows.Block()
		if errors.Is(err, io.EOF) {
			return taken, nil
		}
		if err != nil {
			return taken, err
		}
		n, err := takeBlock(ctx, tx, sql, load, rows, block)
		if taken += n; err != nil {
			return taken, err
		}
	}
}

// takeBlock copies the rows of a block but for those that the server refuses, which are left out one by one.
func takeBlock(ctx context.Context, tx pgx.Tx, sql string, load pipeline.Load, rows *source.Rows, block source.Block) (taken int64, err error) {
	try := func(from, to int) error {
		return savepoint(ctx, tx, func(tx pgx.Tx) error {
			tag, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(block.Part(from, to)), sql)
			if err == nil {
				taken += tag.RowsAffected()
			}
			return err
		})
	}
	most := len(block.Rows)
	for from := 0; from < len(block.Rows); {
		to := min(from+most, len(block.Rows))
		refused := try(from, to)
		if refused == nil {
			from = to
			continue
		}
		said, ok := refusalOf(refused, load, rows)
		if !ok {
			return taken, refused
		}
		bad := block.Find(from, said.line)
		if bad < 0 || bad >= to {
			return taken, refused
		}
		if bad > from {
			if err := try(from, bad); err != nil {
				return taken, err
			}
		}
		if err := rows.LeaveOut(block.Rows[bad].Line, said.column, said.reason, block.Part(bad, bad+1)); err != nil {
			return taken, err
		}
		from, most = bad+1, afterRefusal
	}
	return taken, nil
}

// rejects are results that say which loads of an output have left rows out, and where those are.
func (b *build) rejects(o pipeline.Output) (results []check.Result) {
	for _, load := range o.Loads(b.spec.Pipeline.Loads) {
		s := b.staged[load.Name]
		if s.rejected == 0 {
			continue
		}
		left := s.rejected
		results = append(results, check.Result{
			Name: "rejects of " + load.Name, Kind: check.Rejects, Severity: check.Warn, Outcome: check.Warned,
			Failing: &left, Rows: left + s.rows, Threshold: load.MaxRejects.String(),
			Reason: fmt.Sprintf("%s of %s rows could not be read, and were left out: %s", check.FormatCount(left), check.FormatCount(left+s.rows),
				b.w.ledger.RejectsQuery(s.source, load.Name)),
		})
	}
	return results
}
