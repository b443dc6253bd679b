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
	"drawbridge/internal/postgres"
)

// swapPlan is what a publish does to the tables.
type swapPlan struct {
	levels postgres.Levels
	places []*place
	found  map[int64]child
	// expected is how long readers should have to wait for it, on a server that was never measured.
	expected time.Duration
}

// plan looks at the tables, and checks each child in a time that does not depend on its size.
func (p *publication) plan(ctx context.Context, q catalog.Querier) (swapPlan, error) {
	var plan swapPlan
	var err error
	if plan.places, plan.found, err = p.look(ctx, q, p.swaps()); err != nil {
		return plan, err
	}
	for output, f := range p.parents {
		plan.levels.Parents = append(plan.levels.Parents, postgres.Relation{OID: f.OID, Name: p.w.names.parent(output)})
	}
	for _, t := range p.shadows {
		plan.levels.Parents = append(plan.levels.Parents, t)
	}
	changes := make([]cutover.Change, len(plan.places))
	for i, at := range plan.places {
		changes[i] = at.change(0)
		if err := p.fit(at, &plan); err != nil {
			return plan, err
		}
	}
	pages, err := p.w.constraintPages(ctx, q)
	plan.expected = cutover.Bounds{ConstraintPages: pages}.Hold(changes)
	return plan, err
}

// fit refuses what cannot be swapped at a place, and adds the tables that the swaps lock there.
func (p *publication) fit(at *place, plan *swapPlan) error {
	chunks := map[uint32]string{}
	hangs := at.parent.OID
	if at.live != nil {
		hangs = at.live.OID
		chunks[at.live.OID] = p.w.names.chunk(at.live.ID)
	}
	if at.whole() && at.next != nil {
		chunks[at.next.OID] = p.w.names.chunk(at.next.ID)
	}
	for _, s := range at.swaps {
		for _, id := range []int64{s.From, s.To} {
			if id == 0 {
				continue
			}
			c := plan.found[id]
			if err := p.restored(p.generations[id], c); err != nil {
				return err
			}
			plan.levels.Children = append(plan.levels.Children, postgres.Relation{OID: c.OID, Name: p.w.names.child(id)})
		}
		if s.From != 0 {
			if c := plan.found[s.From]; c.OID != p.generations[s.From].Child || c.Parent != hangs || !at.flat() && at.live == nil {
				return fault.Newf(fault.Conflict, "publish", s.Output+" "+string(s.Partition),
					"somebody swapped by hand: "+p.again(at, p.generations[s.From], c),
					fmt.Sprintf("%s is live in the ledger, and not attached to the table", p.w.names.child(s.From)))
			}
		}
		if s.To != 0 {
			if c := plan.found[s.To]; c.Aside {
				chunks[c.Parent] = c.Hangs
			}
			if _, err := p.join(at, s, plan.found[s.To], ""); err != nil {
				return err
			}
		}
	}
	for oid, name := range chunks {
		plan.levels.Chunks = append(plan.levels.Chunks, postgres.Relation{OID: oid, Name: name})
	}
	return nil
}

// stands says that what hangs beside what is swapped is still what the plan saw: others may have changed that before it had its
// locks. Another attempt sees what became of it.
func (p *publication) stands(ctx context.Context, tx pgx.Tx, plan swapPlan) error {
	now, err := p.places(ctx, tx, p.swaps(), plan.found)
	if err != nil {
		return err
	}
	same := func(a, b *catalog.Chunk) bool {
		return a == nil && b == nil || a != nil && b != nil && a.OID == b.OID && slices.Equal(a.Members, b.Members)
	}
	for i, at := range plan.places {
		if !same(at.live, now[i].live) || !same(at.next, now[i].next) {
			return postgres.ErrContended
		}
	}
	return nil
}

// render writes the swap: what is live is taken away first, and what goes live hangs together before readers meet it. Chunks that
// nobody has put together are made here.
func (p *publication) render(ctx context.Context, tx pgx.Tx, plan swapPlan) (string, error) {
	var away, together, in []string
	for _, at := range plan.places {
		whole, output := at.whole(), p.w.names.parent(at.Output)
		into := output
		switch {
		case at.flat():
		case whole && at.tos() > 0:
			if at.next != nil {
				into = p.w.names.chunk(at.next.ID)
			} else {
				var err error
				if into, err = p.w.createChunk(ctx, tx, at); err != nil {
					return "", err
				}
			}
			statement, err := p.w.attachChunk(at, into)
			if err != nil {
				return "", err
			}
			in = append(in, statement)
		default:
			into = p.w.names.chunk(at.live.ID)
		}
		if whole && at.live != nil {
			away = append(away, detach(output, p.w.names.chunk(at.live.ID)))
		}
		for _, s := range at.swaps {
			if s.From != 0 && !whole {
				away = append(away, detach(into, p.w.names.child(s.From)))
			}
			if s.To == 0 {
				continue
			}
			c := plan.found[s.To]
			if whole && at.next != nil && c.Parent == at.next.OID {
				continue
			}
			if c.Parent != 0 {
				away = append(away, detach(c.Hangs, p.w.names.child(s.To)))
			}
			more, err := p.join(at, s, c, into)
			if err != nil {
				return "", err
			}
			together = append(together, more...)
		}
	}
	return strings.Join(slices.Concat(away, together, in), ";\n"), nil
}

// join renders what makes one child hang in a table, of those that it belongs to.
func (p *publication) join(at *place, s generation.Swap, found child, into string) ([]string, error) {
	g := p.generations[s.To]
	name := p.w.names.child(g.ID)
	shadow := uint32(0)
	if g.State == generation.Shadow {
		shadow = p.shadows[p.w.names.shadowParent(g.Output, g.Shadow)].OID
	}
	if err := found.trusted(g, shadow); err != nil {
		return nil, err
	}
	missing, err := found.missing(g, at.parent.Columns, p.w.names.parent(at.Output))
	if err != nil {
		return nil, err
	}
	var statements []string
	for _, column := range found.surplus(g, at.parent.Columns) {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", name, postgres.Ident(column)))
	}
	for _, c := range missing {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", name, postgres.Ident(c.Name), c.Type))
	}
	return append(statements, p.w.attachChild(into, g)), nil
}
