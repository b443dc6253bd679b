package alter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

const (
	// target is how long a batch should take: its rows are locked for so long, and no longer.
	target = 500 * time.Millisecond
	// The bounds of a batch, in rows, and where it begins.
	firstBatch, leastBatch, mostBatch = 5_000, 100, 100_000
	// smoothing is the weight of the last batch in the average of what batches take.
	smoothing = 0.3
	// batchWait bounds one statement of a batch, and batchLock what it waits for a row that somebody else writes.
	batchWait = 10 * time.Second
	batchLock = 2 * time.Second
	// claimWait bounds what is waited for the last batch of an attempt that was stopped.
	claimWait = 15 * time.Second
	// vacuumEvery is the least number of rows after which dead rows are cleaned away, and vacuumPart the part of the table.
	vacuumEvery, vacuumPart = 200_000, 5
)

// FillTable brings the rows of a table over, batch by batch, from where the ledger says that it has come to: for about as long as long says,
// or until stop says so between two batches. Each batch commits with the cursor, so that every row is looked at once, whoever is killed; an
// attempt that another one has overtaken writes nothing any more. What is written later than the first call is left to the trigger that
// writes both sides. Rows that the expressions fail on are fault.Refused; keys of them are left in the ledger. beat is told after each batch,
// and while the table is vacuumed.
func (t *Tables) FillTable(ctx context.Context, owner effect.Owner, p migrate.Plan, long time.Duration, stop func() bool, beat func(migrate.Filled)) (migrate.Filled, error) {
	if p.Filling == nil || len(p.Filling.Set) == 0 {
		return migrate.Filled{Done: true}, nil
	}
	f := &fill{t: t, owner: owner, plan: p, beat: beat}
	err := f.run(ctx, long, stop)
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		filled := f.filled()
		filled.Held = held.Reason
		return filled, nil
	}
	return f.filled(), postgres.Classify("fill", object(p), err)
}

// FillAgain lets the next FillTable look at all rows once more, the first one first: what lacks a value by now gets it. An attempt that is at it
// writes nothing any more. Where the environment is on hold nothing is changed, and the result says so.
func (t *Tables) FillAgain(ctx context.Context, owner effect.Owner, p migrate.Plan) (migrate.Filled, error) {
	if p.Filling == nil || len(p.Filling.Set) == 0 {
		return migrate.Filled{Done: true}, nil
	}
	f := &fill{t: t, owner: owner, plan: p}
	err := f.claim(ctx)
	if err == nil {
		err = f.rewind(ctx)
	}
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		return migrate.Filled{Held: held.Reason}, nil
	}
	return f.filled(), postgres.Classify("fill", object(p), err)
}

// fill is one FillTable.
type fill struct {
	t      *Tables
	owner  effect.Owner
	plan   migrate.Plan
	beat   func(migrate.Filled)
	cursor catalog.MigrationCursor
	query  queries
	// took is the average of what batches take; 0: none has been taken.
	took  time.Duration
	since int64 // rows since the table was vacuumed
}

func (f *fill) filled() migrate.Filled {
	return migrate.Filled{Rows: f.cursor.Rows, Total: f.cursor.Total, Done: f.cursor.Done, Batch: f.cursor.Batch}
}

func (f *fill) run(ctx context.Context, long time.Duration, stop func() bool) error {
	if err := f.claim(ctx); err != nil {
		return err
	}
	for started := time.Now(); !f.cursor.Done; {
		begun := time.Now()
		rows, err := f.batch(ctx)
		switch {
		case errors.Is(err, errRewritten):
			continue // from the first page of what the table is now
		case postgres.Contended(err) && ctx.Err() == nil:
			f.shrink()
			if time.Since(started) >= long || stop() {
				return err
			}
			if err := postgres.Pause(ctx, inTurn); err != nil {
				return err
			}
			continue
		case err != nil:
			return f.explain(ctx, err)
		}
		f.adapt(time.Since(begun), rows)
		f.beat(f.filled())
		if f.since += rows; !f.cursor.Done && f.since >= max(vacuumEvery, f.cursor.Total/vacuumPart) {
			if err := f.vacuum(ctx); err != nil {
				return err
			}
		}
		if time.Since(started) >= long || stop() {
			return nil
		}
	}
	return nil
}

// claim takes the cursor, or begins one: from its commit on no earlier attempt writes a batch.
func (f *fill) claim(ctx context.Context) error {
	return pgx.BeginFunc(ctx, f.t.pool, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, claimWait); err != nil {
			return err
		}
		facts, err := f.t.ledger.MigrationFacts(ctx, tx, string(f.owner))
		if err != nil {
			return err
		}
		if err := filling(facts, f.owner, f.plan); err != nil {
			return err
		}
		if f.query, err = f.t.fillQueries(ctx, tx, f.plan); err != nil {
			return err
		}
		var there bool
		if f.cursor, there, err = f.t.ledger.ClaimCursor(ctx, tx, string(f.owner)); err != nil || there {
			return err
		}
		if _, err := f.t.stay(ctx, tx, f.owner); err != nil { // one attempt begins it
			return err
		}
		if f.cursor, there, err = f.t.ledger.ClaimCursor(ctx, tx, string(f.owner)); err != nil || there {
			return err
		}
		if f.cursor, err = f.begin(ctx, tx); err != nil {
			return err
		}
		return f.t.ledger.OpenCursor(ctx, tx, string(f.owner), f.cursor)
	})
}

// begin is the cursor of who begins: its end is the last row there is, as what comes later is written on both sides.
func (f *fill) begin(ctx context.Context, tx pgx.Tx) (catalog.MigrationCursor, error) {
	c := catalog.MigrationCursor{Batch: firstBatch, Attempt: 1}
	if err := bounded(ctx, tx, longestScan); err != nil { // without an index on the key it is a look at all rows
		return c, err
	}
	var pages int64
	if err := tx.QueryRow(ctx, `
		SELECT pg_relation_filenode(c.oid), c.reltuples::bigint, pg_relation_size(c.oid) / current_setting('block_size')::bigint
		FROM pg_class c
		WHERE c.oid = $1`, f.query.table.OID).Scan(&c.Filenode, &c.Total, &pages); err != nil {
		return c, fmt.Errorf("look at the size of the table: %w", err)
	}
	if len(f.plan.Filling.Key) == 0 {
		c.Upper, c.Last = []string{fmt.Sprint(pages)}, []string{"0"}
		c.Done = pages == 0
		return c, nil
	}
	rows, err := tx.Query(ctx, f.query.last())
	if err != nil {
		return c, fmt.Errorf("look for the last key: %w", err)
	}
	upper, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) { return f.query.key(row) })
	if err != nil {
		return c, fmt.Errorf("look for the last key: %w", err)
	}
	if len(upper) == 0 {
		c.Done = true
		return c, nil
	}
	c.Upper = upper[0]
	return c, nil
}

// adapt chooses the size of the next batch by what batches have taken: it halves at once, and grows by a fifth.
func (f *fill) adapt(took time.Duration, rows int64) {
	if f.took == 0 {
		f.took = took
	}
	f.took += time.Duration(smoothing * float64(took-f.took))
	if rows < int64(f.cursor.Batch)/2 {
		return // it was the last one, or pages with few rows: it says nothing of a full one
	}
	by := min(max(float64(target)/float64(max(f.took, time.Millisecond)), .5), 1.2)
	f.resize(int(float64(f.cursor.Batch) * by))
}

// shrink halves the batch: somebody else writes the same rows, or it takes too long.
func (f *fill) shrink() { f.resize(f.cursor.Batch / 2) }

func (f *fill) resize(rows int) { f.cursor.Batch = min(max(rows, leastBatch), mostBatch) }

// vacuum cleans away what batches have left dead, so that the next ones find room in the table. It waits for nobody, and where the login may
// not, or somebody vacuums already, it does nothing.
func (f *fill) vacuum(ctx context.Context) error {
	f.since = 0
	stop := postgres.Beating(func() { f.beat(f.filled()) }, longestScan)
	defer stop()
	_, err := f.t.pool.Exec(ctx, "VACUUM (SKIP_LOCKED) "+f.query.table.Name, pgx.QueryExecModeExec)
	if err != nil && ctx.Err() != nil {
		return err
	}
	return nil // autovacuum comes, sooner or later
}
