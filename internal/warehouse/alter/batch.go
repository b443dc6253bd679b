package alter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/postgres"
)

const (
	// batchWait bounds one statement of a batch, and batchLock what it waits for a row that somebody else writes.
	batchWait = 10 * time.Second
	batchLock = 2 * time.Second
)

// errRewritten says that the table was rewritten, and its rows lie elsewhere now.
var errRewritten = errors.New("the table was rewritten")

// batch looks at the next rows, and writes what they lack, in one transaction with the cursor. It says how many rows those were.
func (p *portion) batch(ctx context.Context) (int64, error) {
	next := p.cursor
	var rows int64
	err := pgx.BeginFunc(ctx, p.t.pool, func(tx pgx.Tx) error {
		if err := p.prepare(ctx, tx); err != nil {
			return err
		}
		if err := p.leaf.within(ctx, tx, p.table); err != nil {
			return err
		}
		if err := p.t.ledger.HoldCursor(ctx, tx, string(p.owner), p.cursor); err != nil {
			return err
		}
		var err error
		if len(p.plan.Filling.Key) == 0 {
			rows, err = p.pages(ctx, tx, &next)
		} else {
			rows, err = p.keys(ctx, tx, &next)
		}
		if err != nil {
			return err
		}
		facts, err := p.t.share(ctx, tx, p.owner) // last: whoever stops it waits for the commit only
		if err != nil {
			return err
		}
		if err := filling(facts, p.owner, p.plan); err != nil {
			return err
		}
		next.Rows += rows
		return p.t.ledger.MoveCursor(ctx, tx, string(p.owner), next)
	})
	if err != nil && !errors.Is(err, errRewritten) {
		return 0, err
	}
	if errors.Is(err, errRewritten) {
		if err := p.rewind(ctx); err != nil {
			return 0, err
		}
		return 0, errRewritten
	}
	p.move(next)
	return rows, nil
}

// prepare sets what the statements of a batch rely on: the trigger that writes both sides leaves what we write alone, rows that are hidden
// from the login are an error, and what is ahead is planned for as much as it is: a plan for any bounds might sort all of it for each batch.
func (p *portion) prepare(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true),
		       set_config('drawbridge.backfill', 'on', true), set_config('row_security', 'off', true),
		       set_config('plan_cache_mode', 'force_custom_plan', true)`,
		postgres.Milliseconds(batchLock), postgres.Milliseconds(batchWait))
	return err
}

// keys takes the next rows in the order of the key.
func (p *portion) keys(ctx context.Context, tx pgx.Tx, next *catalog.MigrationCursor) (int64, error) {
	after := len(next.Last) > 0
	rows, err := tx.Query(ctx, p.query.boundary(after), append(p.query.bounds(next.Last, next.Upper), p.cursor.Batch-1)...)
	if err != nil {
		return 0, fmt.Errorf("look for the next rows: %w", err)
	}
	found, err := pgx.CollectRows(rows, p.query.key)
	if err != nil {
		return 0, fmt.Errorf("look for the next rows: %w", err)
	}
	n, hi := int64(p.cursor.Batch), next.Upper
	if len(found) > 0 {
		hi = found[0]
	} else { // fewer than a batch are left
		next.Done = true
		if err := tx.QueryRow(ctx, p.query.count(after), p.query.bounds(next.Last, hi)...).Scan(&n); err != nil {
			return 0, fmt.Errorf("count the last rows: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, p.query.update(p.query.window(after)), p.query.bounds(next.Last, hi)...); err != nil {
		return 0, err
	}
	next.Last = hi
	return n, nil
}

// pages takes the rows of the next pages. Rows that others move meanwhile get what they lack from the trigger, whatever is changed of them; what
// we move ourselves has what it needs.
func (p *portion) pages(ctx context.Context, tx pgx.Tx, next *catalog.MigrationCursor) (int64, error) {
	if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+p.query.table.Name+" IN ROW EXCLUSIVE MODE"); err != nil {
		return 0, err
	}
	var filenode uint32
	if err := tx.QueryRow(ctx, `SELECT pg_relation_filenode($1::oid)`, p.query.table.OID).Scan(&filenode); err != nil {
		return 0, err
	}
	if filenode != next.Filenode {
		return 0, errRewritten
	}
	at, err := strconv.ParseInt(next.Last[0], 10, 64)
	if err != nil {
		return 0, err
	}
	end, err := strconv.ParseInt(next.Upper[0], 10, 64)
	if err != nil {
		return 0, err
	}
	to := min(end, at+max(1, int64(p.cursor.Batch)/p.query.perPage))
	from, until := fmt.Sprintf("(%d,0)", at), fmt.Sprintf("(%d,0)", to)
	var n int64
	if err := tx.QueryRow(ctx, p.query.count(true), from, until).Scan(&n); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, p.query.update(p.query.window(true)), from, until); err != nil {
		return 0, err
	}
	next.Last = []string{strconv.FormatInt(to, 10)}
	next.Done = to >= end
	return n, nil
}
