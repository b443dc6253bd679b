package alter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/postgres"
)

const (
	// target is how long a batch should take: its rows are locked for so long, and no longer.
	target = 500 * time.Millisecond
	// The bounds of a batch, in rows, and where it begins.
	firstBatch, leastBatch, mostBatch = 5_000, 100, 100_000
	// smoothing is the weight of the last batch in the average of what batches take.
	smoothing = 0.3
	// portionPages are the least that is worth a portion, and mostPortions how many a leaf has at most: several for each lane, so that all of
	// them end at about the same time.
	portionPages, mostPortions = 512, 16
	// sampledPages are looked at for keys that part a leaf into portions of about the same size.
	sampledPages = 256
)

// portion is a range of the rows of a leaf, which one lane brings over.
type portion struct {
	*fill
	table  uint32 // of which the leaf is a part
	leaf   leaf
	begun  bool // the ledger has its cursor
	taken  bool // a lane is at it
	cursor catalog.MigrationCursor
	query  queries
	pacing
}

// pacing is by what a lane chooses the size of its batches.
type pacing struct {
	rows int           // of the next batch; 0: none has been taken
	took time.Duration // the average of what batches take
}

// goesOn takes over what the lane has learnt from the portion before.
func (p *portion) goesOn(before pacing) {
	if p.pacing = before; p.rows > 0 {
		p.resize(p.rows)
	}
}

// bring works until the portion is done, or it is enough.
func (p *portion) bring(ctx context.Context) error {
	for !p.cursor.Done {
		begun := time.Now()
		rows, err := p.batch(ctx)
		switch {
		case errors.Is(err, errRewritten):
			continue // from the first page of what the table is now
		case postgres.Contended(err) && ctx.Err() == nil:
			p.shrink()
			if p.enough() {
				return errors.Join(errHeldUp, err)
			}
			if err := postgres.Pause(ctx, inTurn); err != nil {
				return err
			}
			continue
		case errors.Is(err, errLeft):
			return err
		case err != nil:
			return p.explain(ctx, err)
		}
		p.adapt(time.Since(begun), rows)
		p.tell()
		if p.dead(rows) && !p.cursor.Done {
			if err := p.vacuum(ctx, p.query.table); err != nil {
				return err
			}
		}
		if p.enough() {
			return nil
		}
	}
	return nil
}

// dead says whether so many rows of the leaf have been written that it is time to clean up.
func (p *portion) dead(rows int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written = true
	p.since[p.leaf.OID] += rows
	if p.since[p.leaf.OID] < max(vacuumEvery, p.leaf.rows/vacuumPart) {
		return false
	}
	p.since[p.leaf.OID] = 0
	return true
}

// move notes where the portion has come to.
func (p *portion) move(c catalog.MigrationCursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cursor = c
}

// adapt chooses the size of the next batch by what batches have taken: it halves at once, and grows by a fifth.
func (p *portion) adapt(took time.Duration, rows int64) {
	if p.took == 0 {
		p.took = took
	}
	p.took += time.Duration(smoothing * float64(took-p.took))
	if rows < int64(p.cursor.Batch)/2 {
		return // it was the last one, or pages with few rows: it says nothing of a full one
	}
	by := min(max(float64(target)/float64(max(p.took, time.Millisecond)), .5), 1.2)
	p.resize(int(float64(p.cursor.Batch) * by))
}

// shrink halves the batch: somebody else writes the same rows, or it takes too long.
func (p *portion) shrink() { p.resize(p.cursor.Batch / 2) }

func (p *portion) resize(rows int) {
	c := p.cursor
	c.Batch = min(max(rows, leastBatch), mostBatch)
	p.move(c)
	p.rows = c.Batch
}

// begin enters the portions of a leaf, of which the ledger has none: their ends are those of the rows there are, as what comes later is written
// on both sides. One attempt does.
func (p *portion) begin(ctx context.Context, tx pgx.Tx, attempt int64) ([]*portion, error) {
	facts, err := p.t.share(ctx, tx, p.owner)
	if err != nil {
		return nil, err
	}
	if err := filling(facts, p.owner, p.plan); err != nil {
		return nil, err
	}
	cursors, err := p.cut(ctx, tx)
	if err != nil {
		return nil, err
	}
	begun := make([]*portion, len(cursors))
	for i, c := range cursors {
		c.Part, c.Attempt = i, attempt
		if err := p.t.ledger.OpenCursor(ctx, tx, string(p.owner), c); err != nil {
			return nil, err
		}
		begun[i] = &portion{fill: p.fill, table: p.table, leaf: p.leaf, begun: true, cursor: c, query: p.query}
	}
	return begun, nil
}

// beginAnew enters them once more: what is filled already needs nothing. No attempt at those that there were writes a batch any more.
func (p *portion) beginAnew(ctx context.Context, tx pgx.Tx) ([]*portion, error) {
	attempt, err := p.t.ledger.DropCursors(ctx, tx, string(p.owner), p.leaf.cursor)
	if err != nil {
		return nil, err
	}
	return p.begin(ctx, tx, attempt+1)
}

// rewind begins a leaf without a key anew: its rows lie elsewhere now. It has one portion.
func (p *portion) rewind(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.t.pool, func(tx pgx.Tx) error {
		if err := p.t.ledger.HoldCursor(ctx, tx, string(p.owner), p.cursor); err != nil {
			return err
		}
		begun, err := p.beginAnew(ctx, tx)
		if err != nil {
			return err
		}
		p.move(begun[0].cursor)
		return nil
	})
}

// cut says where the portions of a leaf end: each goes on from where the one before it ends. Rows without a key are one portion.
func (p *portion) cut(ctx context.Context, tx pgx.Tx) ([]catalog.MigrationCursor, error) {
	c := catalog.MigrationCursor{Leaf: p.leaf.cursor, Batch: firstBatch}
	if err := bounded(ctx, tx, longestScan); err != nil { // without an index on the key it is a look at all rows
		return nil, err
	}
	var pages int64
	if err := tx.QueryRow(ctx, `
		SELECT pg_relation_filenode(c.oid), c.reltuples::bigint, pg_relation_size(c.oid) / current_setting('block_size')::bigint
		FROM pg_class c
		WHERE c.oid = $1`, p.query.table.OID).Scan(&c.Filenode, &c.Total, &pages); err != nil {
		return nil, fmt.Errorf("look at the size of the table: %w", err)
	}
	if len(p.plan.Filling.Key) == 0 {
		c.Upper, c.Last = []string{fmt.Sprint(pages)}, []string{"0"}
		c.Done = pages == 0
		return []catalog.MigrationCursor{c}, nil
	}
	last, err := p.keysOf(ctx, tx, p.query.last())
	if err != nil {
		return nil, err
	}
	if len(last) == 0 {
		c.Done = true
		return []catalog.MigrationCursor{c}, nil
	}
	n := min(pages/portionPages, mostPortions)
	if n < 2 {
		c.Upper = last[0]
		return []catalog.MigrationCursor{c}, nil
	}
	ends, err := p.keysOf(ctx, tx, p.query.ends(), min(100, 100*float64(sampledPages)/float64(pages)), n)
	if err != nil {
		return nil, err
	}
	ends = append(ends, last[0])
	if c.Total > 0 {
		c.Total /= int64(len(ends))
	}
	cursors := slices.Repeat([]catalog.MigrationCursor{c}, len(ends))
	for i, end := range ends {
		cursors[i].Upper = end
		if i > 0 {
			cursors[i].Last = ends[i-1]
		}
	}
	return cursors, nil
}

// keysOf reads keys that a query finds, as text.
func (p *portion) keysOf(ctx context.Context, tx pgx.Tx, query string, args ...any) ([][]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("look for the ends of portions: %w", err)
	}
	keys, err := pgx.CollectRows(rows, p.query.key)
	if err != nil {
		return nil, fmt.Errorf("look for the ends of portions: %w", err)
	}
	return keys, nil
}
