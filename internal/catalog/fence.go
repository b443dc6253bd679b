package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// shareChange keeps the pipelines of the ledger from being fenced until the transaction ends: whoever changes one holds this,
// whoever fences waits. It never waits itself: fencing tells its error, that somebody fences right now.
//
// It is the lock of a table, as authors' SQL may take any advisory lock and none of the ledger's; and a row's would starve who
// fences, as sharers pass a waiting writer.
func shareChange() statement {
	return statement{what: "look at the changes under way", sql: `LOCK TABLE ledger.change IN ROW SHARE MODE NOWAIT`}
}

// fencing says whether an error is that somebody fences right now. It has ended the transaction.
func fencing(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == pgerrcode.LockNotAvailable
}

// ExcludeChange waits until no transaction changes a pipeline of the ledger, and keeps the others out until this one ends. The
// caller waits for no other table's lock afterwards.
func (l Ledger) ExcludeChange(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, l.sql(`LOCK TABLE ledger.change IN EXCLUSIVE MODE`)); err != nil {
		return fmt.Errorf("stop the changes under way: %w", err)
	}
	return nil
}

// Fence closes workflows: from the commit on they change nothing here any more, also not by a worker that was stopped in
// the middle of something. What they have built, or still build, and did not publish is rejected. Twice is once. The
// caller holds ExcludeChange.
func (l Ledger) Fence(ctx context.Context, q Querier, reason string, owners ...string) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.fence (owner, reason)
		SELECT unnest($1::text[]), $2
		ON CONFLICT DO NOTHING`), owners, reason); err != nil {
		return fmt.Errorf("fence %v: %w", owners, err)
	}
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation
		SET state = 'rejected', reason = $2, at = clock_timestamp()
		WHERE state IN ('building', 'built') AND owner_key = ANY($1)`), owners, reason); err != nil {
		return fmt.Errorf("give up what %v built: %w", owners, err)
	}
	return nil
}

// Fenced reads why a workflow is fenced; empty when it is not.
func (l Ledger) Fenced(ctx context.Context, q Querier, owner string) (reason string, err error) {
	err = l.together(ctx, q, readFenced(owner, &reason))
	return reason, err
}

func readFenced(owner string, reason *string) statement {
	return statement{
		what: "look at fences", sql: `SELECT coalesce(max(reason), '') FROM ledger.fence WHERE owner = $1`, args: []any{owner}, into: []any{reason},
	}
}

// OpenOwners lists the workflows that have something under way for a pipeline: what they build, have built and not
// published, the crossing, or a backfill's span.
func (l Ledger) OpenOwners(ctx context.Context, q Querier, pipeline string) ([]string, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT owner_key
		FROM ledger.generation
		WHERE pipeline = $1 AND state IN ('building', 'built', 'shadow')
		UNION
		SELECT owner
		FROM ledger.crossing
		WHERE pipeline = $1
		UNION
		SELECT owner
		FROM ledger.backfill
		WHERE pipeline = $1 AND ended_at IS NULL
		ORDER BY 1`), pipeline)
	if err != nil {
		return nil, fmt.Errorf("list what is open of %s: %w", pipeline, err)
	}
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list what is open of %s: %w", pipeline, err)
	}
	return owners, nil
}
