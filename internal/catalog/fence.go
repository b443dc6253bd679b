package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// shareChange keeps a pipeline from being fenced until the transaction ends: whoever changes it holds this, whoever
// fences waits. It never waits itself: false says that somebody fences right now.
func (l Ledger) shareChange(pipeline string, got *bool) statement {
	return statement{
		what: "look at the changes of " + pipeline, sql: `SELECT pg_try_advisory_xact_lock_shared(hashtextextended($1, 0))`,
		args: []any{l.changeOf(pipeline)}, into: []any{got},
	}
}

// ExcludeChange waits until no transaction changes the pipeline, and keeps the others out until this one ends. A row lock
// would starve here: sharers pass a waiting writer. The caller waits for no table's lock afterwards.
func (l Ledger) ExcludeChange(ctx context.Context, tx pgx.Tx, pipeline string) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, l.changeOf(pipeline)); err != nil {
		return fmt.Errorf("stop changes of %s: %w", pipeline, err)
	}
	return nil
}

func (l Ledger) changeOf(pipeline string) string { return "drawbridge " + l.schema + " " + pipeline }

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
// published, or the crossing.
func (l Ledger) OpenOwners(ctx context.Context, q Querier, pipeline string) ([]string, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT owner_key
		FROM ledger.generation
		WHERE pipeline = $1 AND state IN ('building', 'built', 'shadow')
		UNION
		SELECT owner
		FROM ledger.crossing
		WHERE pipeline = $1
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
