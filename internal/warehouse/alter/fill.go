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

// FillTable brings the rows of a table over, batch by batch, from where the ledger says that it has come to, one partition after the other: for about as long as long says,
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
	err := f.again(ctx)
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
	table  postgres.Relation
	leaf   leaf // whose rows are brought over now
	cursor catalog.MigrationCursor
	others migrate.Filled // what is known of all other leaves together
	query  queries
	// took is the average of what batches take; 0: none has been taken.
	took  time.Duration
	since int64 // rows since the table was vacuumed
}

func (f *fill) filled() migrate.Filled {
	all := migrate.Filled{Rows: f.cursor.Rows + f.others.Rows, Total: f.cursor.Total, Done: f.cursor.Done && f.others.Done, Batch: f.cursor.Batch}
	if all.Total >= 0 && f.others.Total >= 0 {
		all.Total += f.others.Total
	} else {
		all.Total = -1
	}
	return all
}

func (f *fill) run(ctx context.Context, long time.Duration, stop func() bool) error {
	started := time.Now()
	for {
		if err := f.claim(ctx); err != nil {
			return err
		}
		switch over, err := f.bring(ctx, started, long, stop); {
		case errors.Is(err, errLeft): // its rows are another table's, or gone
		case err != nil || over || f.filled().Done:
			return err
		}
	}
}

// again rewinds all cursors that there are.
func (f *fill) again(ctx context.Context) error {
	if err := f.claim(ctx); err != nil {
		return err
	}
	leaves, err := f.t.leaves(ctx, f.t.pool, f.table)
	if err != nil {
		return err
	}
	for _, l := range leaves {
		if err := f.claim(ctx, l); err != nil {
			return err
		}
		if err := f.rewind(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bring works on one leaf until it is done, or the time is over.
func (f *fill) bring(ctx context.Context, started time.Time, long time.Duration, stop func() bool) (over bool, err error) {
	for !f.cursor.Done {
		begun := time.Now()
		rows, err := f.batch(ctx)
		switch {
		case errors.Is(err, errRewritten):
			continue // from the first page of what the table is now
		case postgres.Contended(err) && ctx.Err() == nil:
			f.shrink()
			if time.Since(started) >= long || stop() {
				return true, err
			}
			if err := postgres.Pause(ctx, inTurn); err != nil {
				return true, err
			}
			continue
		case errors.Is(err, errLeft):
			return false, err
		case err != nil:
			return true, f.explain(ctx, err)
		}
		f.adapt(time.Since(begun), rows)
		f.beat(f.filled())
		if f.since += rows; !f.cursor.Done && f.since >= max(vacuumEvery, f.cursor.Total/vacuumPart) {
			if err := f.vacuum(ctx); err != nil {
				return true, err
			}
		}
		if time.Since(started) >= long || stop() {
			return true, nil
		}
	}
	return false, nil
}

// claim takes the cursor of a leaf, or begins one: from its commit on no earlier attempt writes a batch there. Unless it is told, it is the first
// one that is not done yet; where all are, there is none.
func (f *fill) claim(ctx context.Context, which ...leaf) error {
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
		if f.table, err = f.t.relation(ctx, tx, f.plan.Migration.Table); err != nil {
			return err
		}
		if err := f.choose(ctx, tx, which); err != nil || f.leaf.OID == 0 {
			return err
		}
		if f.query, err = f.t.fillQueries(ctx, tx, f.plan, f.leaf.Relation); err != nil {
			return err
		}
		var there bool
		if f.cursor, there, err = f.t.ledger.ClaimCursor(ctx, tx, string(f.owner), f.leaf.cursor); err != nil || there {
			return err
		}
		if _, err := f.t.stay(ctx, tx, f.owner); err != nil { // one attempt begins it
			return err
		}
		if f.cursor, there, err = f.t.ledger.ClaimCursor(ctx, tx, string(f.owner), f.leaf.cursor); err != nil || there {
			return err
		}
		if f.cursor, err = f.begin(ctx, tx); err != nil {
			return err
		}
		return f.t.ledger.OpenCursor(ctx, tx, string(f.owner), f.cursor)
	})
}

// choose finds the leaf to work on, and what is known of the others.
func (f *fill) choose(ctx context.Context, tx pgx.Tx, which []leaf) error {
	leaves, err := f.t.leaves(ctx, tx, f.table)
	if err != nil {
		return err
	}
	cursors, err := f.t.ledger.Cursors(ctx, tx, string(f.owner))
	if err != nil {
		return err
	}
	f.leaf, f.cursor, f.others = leaf{}, catalog.MigrationCursor{Batch: firstBatch, Done: true}, migrate.Filled{Done: true}
	if len(which) > 0 {
		f.leaf = which[0]
	}
	unknown := false
	for _, l := range leaves {
		c, begun := cursors[l.cursor]
		if f.leaf.OID == 0 && !c.Done || l.OID == f.leaf.OID {
			f.leaf = l
			continue
		}
		if !begun {
			c.Total = l.rows
		}
		f.others.Rows, f.others.Done = f.others.Rows+c.Rows, f.others.Done && c.Done
		if f.others.Total += c.Total; c.Total < 0 {
			unknown = true
		}
	}
	if unknown {
		f.others.Total = -1
	}
	return nil
}

// begin is the cursor of who begins: its end is the last row there is, as what comes later is written on both sides.
func (f *fill) begin(ctx context.Context, tx pgx.Tx) (catalog.MigrationCursor, error) {
	c := catalog.MigrationCursor{Leaf: f.leaf.cursor, Batch: firstBatch, Attempt: 1}
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
