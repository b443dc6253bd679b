package alter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

const (
	// claimWait bounds what is waited for the last batch of an attempt that was stopped.
	claimWait = 15 * time.Second
	// vacuumEvery is the least number of rows after which dead rows are cleaned away, and vacuumPart the part of the table.
	vacuumEvery, vacuumPart = 200_000, 5
)

// FillTable brings the rows of a table over, batch by batch, from where the ledger says that it has come to: portion by portion, of one partition
// after the other, each by one of the pace's lanes. It ends when all are, or the pace says so between two batches. Each batch commits with
// its portion's cursor, so that every row is looked at once, whoever is killed; an attempt that another one has overtaken in a portion writes
// nothing there any more, and ends. What is written later than the first call is left to the trigger that writes both sides. Rows that the
// expressions fail on are fault.Refused; keys of them are left in the ledger.
func (t *Tables) FillTable(ctx context.Context, owner effect.Owner, p migrate.Plan, pace migrate.Pace) (migrate.Filled, error) {
	if p.Filling == nil || len(p.Filling.Set) == 0 {
		return migrate.Filled{Done: true}, nil
	}
	f := &fill{t: t, owner: owner, plan: p, pace: pace, started: time.Now(), since: map[uint32]int64{}}
	var lanes errgroup.Group
	for range f.lanes() {
		lanes.Go(func() error { return f.lane(ctx) })
	}
	err := lanes.Wait()
	filled := f.filled()
	if errors.Is(err, errHeldUp) && f.written {
		err = nil // the others got on: the next call meets who holds it up, or finds it gone
	}
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		filled.Held = held.Reason
		return filled, nil
	}
	return filled, postgres.Classify("fill", object(p), err)
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

// errHeldUp says that a lane has come to the end of its time at rows that somebody else holds.
var errHeldUp = errors.New("somebody else holds rows")

// fill is one FillTable.
type fill struct {
	t       *Tables
	owner   effect.Owner
	plan    migrate.Plan
	pace    migrate.Pace
	started time.Time
	telling sync.Mutex

	mu       sync.Mutex // guards what is below: lanes share it
	table    postgres.Relation
	portions []*portion       // all there are, in the order in which they are taken
	since    map[uint32]int64 // rows since a leaf was vacuumed
	ended    bool
	written  bool // a batch was
}

// lanes is how many work: some sessions are left for whoever looks, and steers.
func (f *fill) lanes() int { return max(1, min(f.pace.Lanes, int(f.t.pool.Config().MaxConns)-2)) }

func (f *fill) filled() migrate.Filled {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table.OID == 0 { // nobody has looked yet
		return migrate.Filled{}
	}
	all, unknown := migrate.Filled{Done: true, Batch: firstBatch}, false
	for _, p := range f.portions {
		all.Rows, all.Total, all.Done = all.Rows+p.cursor.Rows, all.Total+p.cursor.Total, all.Done && p.cursor.Done
		unknown = unknown || p.cursor.Total < 0
		if p.cursor.Rows > 0 {
			all.Batch = p.cursor.Batch
		}
	}
	if unknown {
		all.Total = -1
	}
	return all
}

// lane brings one portion over after the other, until none is left that nobody is at. Where it fails, the other lanes end at their next edge.
func (f *fill) lane(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			f.end()
		}
	}()
	for before := (pacing{}); ; {
		p, err := f.next(ctx)
		if err != nil || p == nil {
			return err
		}
		p.goesOn(before)
		err = p.bring(ctx)
		before = p.pacing
		f.leave(p)
		if err != nil && !errors.Is(err, errLeft) { // its rows are another table's, or gone
			return err
		}
	}
}

// enough says that lanes end at this edge.
func (f *fill) enough() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = f.ended || time.Since(f.started) >= f.pace.For || f.pace.Stop != nil && f.pace.Stop()
	return f.ended
}

// tell says how far all of it is.
func (f *fill) tell() {
	if f.pace.Beat == nil {
		return
	}
	f.telling.Lock()
	defer f.telling.Unlock()
	f.pace.Beat(f.filled())
}

func (f *fill) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
}

func (f *fill) leave(p *portion) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.taken = false
}

// next takes the first portion that is not done, and that no lane is at: from then on no earlier attempt writes a batch there. None: there is
// nothing to take.
func (f *fill) next(ctx context.Context) (taken *portion, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil, nil
	}
	err = pgx.BeginFunc(ctx, f.t.pool, func(tx pgx.Tx) error {
		if err := f.look(ctx, tx); err != nil {
			return err
		}
		at := slices.IndexFunc(f.portions, func(p *portion) bool { return !p.cursor.Done && !p.taken })
		if at < 0 {
			return nil
		}
		p := f.portions[at]
		if p.query, err = f.t.fillQueries(ctx, tx, f.plan, p.leaf.Relation); err != nil {
			return err
		}
		if !p.begun {
			begun, err := p.begin(ctx, tx, 1)
			if err != nil {
				return err
			}
			f.portions = slices.Replace(f.portions, at, at+1, begun...)
			taken = begun[0]
			return nil
		}
		taken = p
		p.cursor, err = f.t.ledger.ClaimCursor(ctx, tx, string(f.owner), p.leaf.cursor, p.cursor.Part)
		return err
	})
	if err != nil || taken == nil {
		return nil, err
	}
	taken.taken = true
	return taken, nil
}

// look finds all portions: those that lanes are at are kept as they know them. The caller has the lock.
func (f *fill) look(ctx context.Context, tx pgx.Tx) error {
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
	table, err := f.t.relation(ctx, tx, f.plan.Migration.Table)
	if err != nil {
		return err
	}
	leaves, err := f.t.leaves(ctx, tx, table)
	if err != nil {
		return err
	}
	cursors, err := f.t.ledger.Cursors(ctx, tx, string(f.owner))
	if err != nil {
		return err
	}
	known := f.portions
	f.table, f.portions = table, nil
	for _, l := range leaves {
		for _, c := range cursors[l.cursor] {
			p := &portion{fill: f, table: table.OID, leaf: l, cursor: c, begun: true}
			if at := slices.IndexFunc(known, func(k *portion) bool { return k.taken && k.leaf.cursor == l.cursor && k.cursor.Part == c.Part }); at >= 0 {
				p = known[at]
			}
			f.portions = append(f.portions, p)
		}
		if len(cursors[l.cursor]) == 0 {
			f.portions = append(f.portions, &portion{fill: f, table: table.OID, leaf: l, cursor: catalog.MigrationCursor{Leaf: l.cursor, Total: l.rows, Batch: firstBatch}})
		}
	}
	return nil
}

// again begins all portions anew.
func (f *fill) again(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return pgx.BeginFunc(ctx, f.t.pool, func(tx pgx.Tx) error {
		if err := f.look(ctx, tx); err != nil {
			return err
		}
		var all []*portion
		for _, p := range f.portions {
			if p.cursor.Part > 0 {
				continue // it is begun with the first one of its leaf
			}
			var err error
			if p.query, err = f.t.fillQueries(ctx, tx, f.plan, p.leaf.Relation); err != nil {
				return err
			}
			begun, err := p.beginAnew(ctx, tx)
			if err != nil {
				return err
			}
			all = append(all, begun...)
		}
		f.portions = all
		return nil
	})
}

// vacuum cleans away what batches have left dead, so that the next ones find room in the table. It waits for nobody, and where the login may
// not, or somebody vacuums already, it does nothing.
func (f *fill) vacuum(ctx context.Context, table postgres.Relation) error {
	stop := postgres.Beating(f.tell, longestScan)
	defer stop()
	_, err := f.t.pool.Exec(ctx, "VACUUM (SKIP_LOCKED) "+table.Name, pgx.QueryExecModeExec)
	if err != nil && ctx.Err() != nil {
		return err
	}
	return nil // autovacuum comes, sooner or later
}
