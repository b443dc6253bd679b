package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
)

// place is where some of a publish's partitions hang beside one another, and who hangs there now. Tables that are cut into ranges
// have chunks between them and the generations: what a swap costs grows with what hangs beside it, and a chunk of which everything
// changes is swapped as one. What takes its place is put together before, where nobody reads it, and what it was stays together
// as well: going back is the same swap.
type place struct {
	catalog.Place

	parent parent
	scheme partition.Scheme
	key    partition.Key // one of its partitions
	swaps  []generation.Swap
	// live hangs in the output; nil: nothing of the chunk was ever published, or there are no chunks.
	live *catalog.Chunk
	// next stands aside, and holds generations that go live here and no others; nil: there is none.
	next *catalog.Chunk
}

// flat says that the partitions hang in the output itself.
func (at place) flat() bool { return at.Chunk == "" }

// tos counts the generations that go live there.
func (at place) tos() (n int) {
	for _, s := range at.swaps {
		n += min(1, int(s.To))
	}
	return n
}

// change is what the publish does here.
func (at place) change(indexes int) cutover.Change {
	c := cutover.Change{Chunk: !at.flat(), Indexes: indexes}
	if at.live != nil {
		c.Attached = len(at.live.Members)
	}
	for _, s := range at.swaps {
		switch {
		case s.From == 0:
			c.Added++
		case s.To == 0:
			c.Removed++
		default:
			c.Replaced++
		}
	}
	return c
}

// whole says that the chunk is swapped as one.
func (at place) whole() bool {
	switch {
	case at.flat():
		return false
	case at.live == nil:
		return true
	}
	return at.change(0).Whole() && (at.next != nil || at.tos() == 0)
}

// places are where the partitions of some swaps hang.
func (p *publication) places(ctx context.Context, q catalog.Querier, swaps []generation.Swap, found map[int64]child) ([]*place, error) {
	byPlace := map[catalog.Place]*place{}
	var list []*place
	var chunked []catalog.Place
	for _, s := range swaps {
		g := p.generations[s.To]
		if s.To == 0 {
			g = p.generations[s.From]
		}
		at := p.w.placeOf(g, p.parents[s.Output])
		if known, ok := byPlace[at.Place]; ok {
			at = known
		} else {
			byPlace[at.Place] = at
			list = append(list, at)
			if !at.flat() {
				chunked = append(chunked, at.Place)
			}
		}
		at.swaps = append(at.swaps, s)
	}
	if len(chunked) == 0 {
		return list, nil
	}
	tables, err := p.w.ledger.Chunks(ctx, q, p.w.names.schema, p.w.names.data(), chunked)
	if err != nil {
		return nil, err
	}
	for i := range tables {
		t := &tables[i]
		at := byPlace[t.Place()]
		switch {
		case t.Parent == at.parent.OID:
			if len(t.Strangers) > 0 {
				return nil, p.strange(t)
			}
			at.live = t
		case t.Parent == 0 && t.Fits && at.only(t.Members, found) && (at.next == nil || len(t.Members) > len(at.next.Members)):
			at.next = t
		}
	}
	return list, p.detached(ctx, q, byPlace, tables)
}

// strange refuses a chunk in which somebody has hung a table of their own: nobody has looked at its rows, and readers see them.
func (p *publication) strange(t *catalog.Chunk) error {
	return fault.Newf(fault.Conflict, "publish", t.Output+" "+t.Chunk, "take it out: "+detach(p.w.names.chunk(t.ID), t.Strangers[0]),
		fmt.Sprintf("%s hangs in %s, and is nothing that was built", t.Strangers[0], p.w.names.chunk(t.ID)))
}

// only says that tables are some of those that go live here, and no others.
func (at place) only(tables []uint32, found map[int64]child) bool {
	if len(tables) == 0 {
		return false
	}
	coming := map[uint32]bool{}
	for _, s := range at.swaps {
		if s.To != 0 {
			coming[found[s.To].OID] = true
		}
	}
	for _, oid := range tables {
		if !coming[oid] {
			return false
		}
	}
	return true
}

// look reads where the partitions of some swaps hang, and their tables.
func (p *publication) look(ctx context.Context, q catalog.Querier, swaps []generation.Swap) ([]*place, map[int64]child, error) {
	var ids []int64
	for _, s := range swaps {
		for _, id := range []int64{s.From, s.To} {
			if id != 0 {
				ids = append(ids, id)
			}
		}
	}
	found, err := p.w.children(ctx, q, ids)
	if err != nil {
		return nil, nil, err
	}
	places, err := p.places(ctx, q, swaps, found)
	return places, found, err
}

// loosen takes what goes live out of chunks that stand aside and are not swapped in as one, before a publish takes any lock.
func (p *publication) loosen(ctx context.Context, beat func(waited time.Duration)) (done bool, blocked []generation.Session, err error) {
	return p.arrange(ctx, beat, p.astray, func(ctx context.Context, tx pgx.Tx, at *place, found map[int64]child) error {
		for _, s := range p.astray(at, found) {
			if _, err := tx.Exec(ctx, detach(found[s.To].Hangs, p.w.names.child(s.To))); err != nil {
				return err
			}
		}
		return nil
	})
}

// astray are the swaps whose new generation hangs in another chunk aside than the one that is swapped in.
func (p *publication) astray(at *place, found map[int64]child) []generation.Swap {
	var astray []generation.Swap
	for _, s := range at.swaps {
		if c := found[s.To]; c.Aside && c.OID == p.generations[s.To].Child && (!at.whole() || at.next == nil || c.Parent != at.next.OID) {
			astray = append(astray, s)
		}
	}
	return astray
}

// assemble puts chunks together that are swapped as one, where nobody reads them. What hangs in a shadow stays there until it is
// published.
func (p *publication) assemble(ctx context.Context, beat func(waited time.Duration)) (done bool, blocked []generation.Session, err error) {
	return p.arrange(ctx, beat, p.scattered, func(ctx context.Context, tx pgx.Tx, at *place, found map[int64]child) error {
		var into string
		if at.next != nil {
			into = p.w.names.chunk(at.next.ID)
		} else {
			var err error
			if into, err = p.w.createChunk(ctx, tx, at); err != nil {
				return err
			}
		}
		for _, s := range p.scattered(at, found) {
			statements, err := p.join(at, s, found[s.To], into)
			if err != nil {
				return err
			}
			if _, err := tx.Conn().PgConn().Exec(ctx, strings.Join(statements, ";\n")).ReadAll(); err != nil {
				return err
			}
		}
		return nil
	})
}

// scattered are the swaps whose new generation hangs nowhere, in a chunk that should change as a whole and could. One alone is
// attached as quickly when it is published.
func (p *publication) scattered(at *place, found map[int64]child) []generation.Swap {
	if at.flat() || !at.change(0).Whole() {
		return nil
	}
	var scattered []generation.Swap
	for _, s := range at.swaps {
		if c := found[s.To]; s.To != 0 && c.Parent == 0 && c.OID != 0 && c.OID == p.generations[s.To].Child {
			scattered = append(scattered, s)
		}
	}
	if at.next == nil && len(scattered) < 2 {
		return nil
	}
	return scattered
}

// arrange changes what stands aside, chunk by chunk, under the locks of the generations' rows: whoever else moves them has to have
// these. It may be repeated. done is false where others held a table for too long.
func (p *publication) arrange(
	ctx context.Context, beat func(waited time.Duration), due func(*place, map[int64]child) []generation.Swap,
	do func(context.Context, pgx.Tx, *place, map[int64]child) error,
) (done bool, blocked []generation.Session, err error) {
	places, found, err := p.look(ctx, p.w.pool, p.swaps())
	if err != nil {
		return false, nil, err
	}
	for _, at := range places {
		swaps := due(at, found)
		if len(swaps) == 0 {
			continue
		}
		var ids []int64
		ladder := postgres.Ladder{Pool: p.w.pool, Budget: p.spec.LockBudget - p.spec.WaitedLocks, Beat: beat}
		for _, s := range swaps {
			ids = append(ids, s.To)
			ladder.Relations = append(ladder.Relations, found[s.To].OID)
			if found[s.To].Parent != 0 {
				ladder.Relations = append(ladder.Relations, found[s.To].Parent)
			}
		}
		if at.next != nil {
			ladder.Relations = append(ladder.Relations, at.next.OID)
		}
		if done, blocked, err = ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
			return pgx.BeginFunc(ctx, p.w.pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = "+postgres.Milliseconds(rung.Wait)); err != nil {
					return err
				}
				locked, err := p.w.ledger.LockGenerations(ctx, tx, ids)
				if err != nil {
					return err
				}
				for _, g := range locked {
					if g.State != p.generations[g.ID].State {
						return nil // somebody has moved it: the publish says so
					}
				}
				now, found, err := p.look(ctx, tx, at.swaps)
				if err != nil {
					return err
				}
				return do(ctx, tx, now[0], found)
			})
		}); err != nil || !done {
			return false, blocked, err
		}
	}
	return true, nil, nil
}

// createChunk makes an empty table for a chunk, like its output, which hangs nowhere yet.
func (w *Warehouse) createChunk(ctx context.Context, tx pgx.Tx, at *place) (name string, err error) {
	id, err := w.ledger.EnterChunk(ctx, tx, at.Place)
	if err != nil {
		return "", err
	}
	name = w.names.chunk(id)
	statements := []string{fmt.Sprintf("CREATE TABLE %s (LIKE %s) PARTITION BY RANGE (%s)",
		name, w.names.parent(at.Output), postgres.Ident(at.scheme.Column))}
	demanded, err := w.checks(ctx, tx, []uint32{at.parent.OID})
	if err != nil {
		return "", err
	}
	for _, c := range demanded {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", name, postgres.Ident(c.Name), c.Def))
	}
	owner, err := w.parentOwner(ctx, tx, at.Output)
	if err != nil {
		return "", err
	}
	if owner != "" {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s OWNER TO %s", name, postgres.Ident(owner)))
	}
	_, err = tx.Conn().PgConn().Exec(ctx, strings.Join(statements, ";\n")).ReadAll()
	return name, err
}

func detach(from, table string) string {
	return fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", from, table)
}

// dropChunks drops the tables of chunks that stand aside when their last generation is gone.
func (w *Warehouse) dropChunks(ctx context.Context) error {
	ids, err := w.ledger.EmptyChunks(ctx, w.pool, w.names.data())
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "LOCK TABLE "+w.names.chunk(id)+" IN ACCESS EXCLUSIVE MODE"); err != nil {
				return err
			}
			still, err := w.ledger.EmptyChunks(ctx, tx, w.names.data())
			if err != nil || !slices.Contains(still, id) {
				return err
			}
			if _, err = tx.Exec(ctx, "DROP TABLE "+w.names.chunk(id)+" RESTRICT"); err != nil {
				return err
			}
			return w.ledger.ForgetChunk(ctx, tx, id)
		}); err != nil {
			return err
		}
	}
	return nil
}
