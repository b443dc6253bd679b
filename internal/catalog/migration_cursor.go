package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// MigrationCursor is how far a portion of the rows of a table is brought over, or of one partition of it.
type MigrationCursor struct {
	Leaf     uint32   `db:"leaf"` // the partition's OID; 0: the table itself
	Part     int      `db:"part"` // of the leaf, from 0 on
	Filenode uint32   `db:"filenode"`
	Last     []string `db:"last"`  // of the last row that was looked at, or the next page; empty: none yet
	Upper    []string `db:"upper"` // where it ends; empty: there was no row
	Rows     int64    `db:"rows"`
	Total    int64    `db:"total"` // -1: unknown
	Batch    int      `db:"batch"`
	Attempt  int64    `db:"attempt"`
	Done     bool     `db:"done"`
}

// ErrOvertaken says that another attempt goes on with what this one has begun.
var ErrOvertaken = errors.New("another attempt goes on with it")

// Cursors are those of a migration, by their leaves, in order.
func (l Ledger) Cursors(ctx context.Context, q Querier, owner string) (map[uint32][]MigrationCursor, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT leaf, part, filenode, last, upper, rows, total, batch, attempt, done
		FROM ledger.migration_cursor
		WHERE owner = $1
		ORDER BY leaf, part`), owner)
	if err != nil {
		return nil, fmt.Errorf("read cursors: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[MigrationCursor])
	if err != nil {
		return nil, fmt.Errorf("read cursors: %w", err)
	}
	cursors := map[uint32][]MigrationCursor{}
	for _, c := range list {
		cursors[c.Leaf] = append(cursors[c.Leaf], c)
	}
	return cursors, nil
}

// ClaimCursor reads the cursor of a portion for an attempt: from its commit on no earlier one writes a batch there.
func (l Ledger) ClaimCursor(ctx context.Context, tx pgx.Tx, owner string, leaf uint32, part int) (c MigrationCursor, err error) {
	rows, err := tx.Query(ctx, l.sql(`
		UPDATE ledger.migration_cursor
		SET attempt = attempt + 1
		WHERE owner = $1 AND leaf = $2 AND part = $3
		RETURNING leaf, part, filenode, last, upper, rows, total, batch, attempt, done`), owner, leaf, part)
	if err != nil {
		return c, fmt.Errorf("take the cursor: %w", err)
	}
	c, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[MigrationCursor])
	if errors.Is(err, pgx.ErrNoRows) { // it began all of them anew
		return c, ErrOvertaken
	}
	if err != nil {
		return c, fmt.Errorf("take the cursor: %w", err)
	}
	return c, nil
}

// DropCursors drops those of a leaf, and says which attempt at one of them was the last. It waits for the batches that are written.
func (l Ledger) DropCursors(ctx context.Context, tx pgx.Tx, owner string, leaf uint32) (attempt int64, err error) {
	if err := tx.QueryRow(ctx, l.sql(`
		WITH gone AS (DELETE FROM ledger.migration_cursor WHERE owner = $1 AND leaf = $2 RETURNING attempt)
		SELECT coalesce(max(attempt), 0) FROM gone`), owner, leaf).Scan(&attempt); err != nil {
		return 0, fmt.Errorf("drop the cursors: %w", err)
	}
	return attempt, nil
}

// OpenCursor begins one; ErrOvertaken: another attempt has.
func (l Ledger) OpenCursor(ctx context.Context, tx pgx.Tx, owner string, c MigrationCursor) error {
	tag, err := tx.Exec(ctx, l.sql(`
		INSERT INTO ledger.migration_cursor (owner, leaf, part, filenode, last, upper, rows, total, batch, attempt, done)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT DO NOTHING`), owner, c.Leaf, c.Part, c.Filenode, notNil(c.Last), notNil(c.Upper), c.Rows, c.Total, c.Batch, c.Attempt, c.Done)
	switch {
	case err != nil:
		return fmt.Errorf("begin the cursor: %w", err)
	case tag.RowsAffected() == 0:
		return ErrOvertaken
	}
	return nil
}

// HoldCursor keeps an attempt's cursor until the transaction ends. Where another attempt has come since, or writes right now, it is ErrOvertaken,
// or an error of a lock that is not to be had.
func (l Ledger) HoldCursor(ctx context.Context, tx pgx.Tx, owner string, c MigrationCursor) error {
	var mine bool
	err := tx.QueryRow(ctx, l.sql(`SELECT attempt = $3 FROM ledger.migration_cursor WHERE owner = $1 AND leaf = $2 AND part = $4 FOR NO KEY UPDATE NOWAIT`), owner, c.Leaf, c.Attempt, c.Part).Scan(&mine)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !mine:
		return ErrOvertaken
	case err != nil:
		return fmt.Errorf("hold the cursor: %w", err)
	}
	return nil
}

// MoveCursor writes where an attempt has come to, with the batch that brought it there. The caller holds the cursor.
func (l Ledger) MoveCursor(ctx context.Context, tx pgx.Tx, owner string, c MigrationCursor) error {
	if _, err := tx.Exec(ctx, l.sql(`
		UPDATE ledger.migration_cursor
		SET filenode = $4, last = $5, upper = $6, rows = $7, total = $8, batch = $9, done = $10
		WHERE owner = $1 AND leaf = $2 AND attempt = $3 AND part = $11`), owner, c.Leaf, c.Attempt, c.Filenode, notNil(c.Last), notNil(c.Upper), c.Rows, c.Total, c.Batch, c.Done, c.Part); err != nil {
		return fmt.Errorf("move the cursor: %w", err)
	}
	return nil
}
