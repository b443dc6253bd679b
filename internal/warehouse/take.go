package warehouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

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
		text := &stopped{source: rows}
		tag, err := tx.Conn().PgConn().CopyFrom(ctx, text, copyInto(table, rows, fast...))
		if !text.stop() { // where the connection is lost, the driver may be reading still
			err = &unreadError{err}
		}
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

// stopped is a reader from which nothing is read once it was stopped.
type stopped struct {
	mutex  sync.Mutex
	source io.Reader
	over   bool
}

func (s *stopped) Read(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.over {
		return 0, io.ErrClosedPipe
	}
	return s.source.Read(p)
}

// stop says whether nobody reads any more. It does not wait for who does: a pipe into which nobody writes is read for long.
func (s *stopped) stop() bool {
	if !s.mutex.TryLock() {
		return false
	}
	defer s.mutex.Unlock()
	s.over = true
	return true
}

// unreadError is why a file was not read to its end while somebody is reading it still: its rows may not be looked at.
type unreadError struct{ error }

func (e *unreadError) Unwrap() error { return e.error }

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
