package warehouse

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

// unseenNamed bounds how many tables are named that readers should see and do not; the others are counted.
const unseenNamed = 20

// attachChunk is the statement that attaches a chunk's table to its output.
func (w *Warehouse) attachChunk(at *place, chunk string) (string, error) {
	values, err := chunkValues(at)
	return fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", w.names.parent(at.Output), chunk, values), err
}

// attachChild is the statement that attaches a generation's table to another.
func (w *Warehouse) attachChild(into string, g catalog.Generation) string {
	return fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", into, w.names.child(g.ID), forValues(g))
}

func attachAgain(statement string) string {
	return "attach it again, as the ledger has it: " + statement
}

// detached refuses a place that readers do not see although partitions of it are live: another chunk there would keep it from being
// attached again.
func (p *publication) detached(ctx context.Context, q catalog.Querier, byPlace map[catalog.Place]*place, tables []catalog.Chunk) error {
	var aside []uint32
	for _, t := range tables {
		if at := byPlace[t.Place()]; at.live == nil {
			aside = append(aside, t.OID)
		}
	}
	if len(aside) == 0 {
		return nil
	}
	live, err := p.w.ledger.HoldLive(ctx, q, aside)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if !live[t.OID] {
			continue
		}
		at, name := byPlace[t.Place()], p.w.names.chunk(t.ID)
		statement, err := p.w.attachChunk(at, name)
		if err != nil {
			return err
		}
		return fault.Newf(fault.Conflict, "publish", at.Output+" "+at.Chunk, attachAgain(statement),
			fmt.Sprintf("%s has partitions that are live in the ledger, and is not attached to the table: readers do not see them", name))
	}
	return nil
}

// again says how what is live in the ledger, and does not hang at its place, is attached there.
func (p *publication) again(at *place, g catalog.Generation, c child) string {
	away := ""
	if c.Parent != 0 {
		away = detach(c.Hangs, p.w.names.child(g.ID)) + "; "
	}
	switch {
	case at.flat():
		return attachAgain(away + p.w.attachChild(p.w.names.parent(at.Output), g))
	case at.live != nil:
		return attachAgain(away + p.w.attachChild(p.w.names.chunk(at.live.ID), g))
	}
	return away + noChunk(at)
}

// noChunk says what is done about a generation of which no chunk is there.
func noChunk(at *place) string {
	return fmt.Sprintf("run another partition of %s, which makes a table for it to hang in; drawbridge doctor then says how it is attached", at.Chunk)
}

// Unseen names what is live of a pipeline in the ledger, and hangs in no table that readers see, and how it is attached again.
func (w *Warehouse) Unseen(ctx context.Context, pipeline string) (generation.Unseen, error) {
	var u generation.Unseen
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return u, postgres.Classify("look at", w.names.schema, err)
	}
	outputs, err := w.ledger.OutputsOf(ctx, w.pool, pipeline)
	if err == nil {
		u, err = w.unseen(ctx, outputs)
	}
	return u, postgres.Classify("look at", w.names.schema, err)
}

// unseen looks at one moment: what is swapped meanwhile is live and attached, before or after.
func (w *Warehouse) unseen(ctx context.Context, outputs []string) (generation.Unseen, error) {
	var u generation.Unseen
	err := pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		live, err := w.ledger.Live(ctx, tx, outputs)
		if err != nil {
			return err
		}
		ids := make([]int64, len(live))
		for i, g := range live {
			ids[i] = g.ID
		}
		found, err := w.children(ctx, tx, ids)
		if err != nil {
			return err
		}
		parents := map[string]parent{}
		lost, err := w.lostLegacy(ctx, tx, outputs)
		if err != nil {
			return err
		}
		u.Lines = lost
		var hidden []catalog.Generation
		for _, g := range live {
			if _, ok := parents[g.Output]; !ok {
				if parents[g.Output], err = w.findParent(ctx, tx, g.Output); err != nil {
					return err
				}
			}
			if c, top := found[g.ID], parents[g.Output].OID; top == 0 || c.Parent != top && c.Top != top {
				hidden = append(hidden, g)
			}
		}
		if len(hidden) == 0 {
			return nil
		}
		lines, err := w.hidden(ctx, tx, hidden, parents, found)
		lines = append(lost, lines...)
		u.Lines = lines[:min(len(lines), unseenNamed)]
		u.More = len(lines) - len(u.Lines)
		return err
	})
	return u, err
}

// lostLegacy names legacy partitions that readers should see, and do not.
func (w *Warehouse) lostLegacy(ctx context.Context, q catalog.Querier, outputs []string) ([]generation.UnseenLine, error) {
	adopted, err := w.ledger.Adoptions(ctx, q, outputs)
	if err != nil {
		return nil, err
	}
	var lines []generation.UnseenLine
	for _, output := range outputs {
		a, ok := adopted[output]
		if !ok || a.First == "" {
			continue
		}
		var there, hangs bool
		if err := q.QueryRow(ctx, `
			SELECT to_regclass($1) IS NOT NULL, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND inhparent = to_regclass($2))`,
			w.names.legacy(output), w.names.parent(output)).Scan(&there, &hangs); err != nil {
			return nil, err
		}
		if hangs {
			continue
		}
		bounds, err := a.Scheme.Bounds(a.First)
		if err != nil {
			return nil, err
		}
		line := generation.UnseenLine{Output: output, Text: fmt.Sprintf("readers do not see the legacy partition of %s, %s", output, w.names.legacy(output)), Remedy: "restore it from a dump"}
		if there {
			line.Remedy = attachAgain(w.attachLegacy(output, bounds.Lower))
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// attachLegacy is the statement that attaches an output's legacy partition; upper is where the first partition after it begins.
func (w *Warehouse) attachLegacy(output, upper string) string {
	return fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%s)", w.names.parent(output), w.names.legacy(output), postgres.Literal(upper))
}

// hidden says of generations that readers do not see how they are attached again, those of a chunk together.
func (w *Warehouse) hidden(
	ctx context.Context, q catalog.Querier, generations []catalog.Generation, parents map[string]parent, found map[int64]child,
) ([]generation.UnseenLine, error) {
	var wanted []catalog.Place
	places, attached := map[catalog.Place]*place{}, map[catalog.Place]string{}
	for _, g := range generations {
		at := w.placeOf(g, parents[g.Output])
		if _, ok := places[at.Place]; !ok && !at.flat() {
			wanted = append(wanted, at.Place)
		}
		places[at.Place] = at
	}
	tables, err := w.ledger.Chunks(ctx, q, w.names.schema, w.names.data(), wanted)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if t.Parent == places[t.Place()].parent.OID {
			attached[t.Place()] = w.names.chunk(t.ID)
		}
	}
	var lines []generation.UnseenLine
	together := map[string]bool{}
	for _, g := range generations {
		at, c := w.placeOf(g, parents[g.Output]), found[g.ID]
		line := generation.UnseenLine{Output: g.Output, Text: fmt.Sprintf("%s[%s] is live, and readers do not see it: its table %s ", g.Output, g.Partition, w.names.child(g.ID))}
		into := attached[at.Place]
		if at.flat() {
			into = w.names.parent(g.Output)
		}
		switch {
		case at.parent.OID == 0:
			line.Text, line.Remedy = "partitions of "+g.Output+" are live, and readers do not see them: the table is not there", "rename it back, or restore it"
		case !at.parent.Partitioned:
			line.Text = "partitions of " + g.Output + " are live, and something else has its name"
			if line.Remedy, err = w.renamed(ctx, q, g.Output, cmp.Or(c.Top, c.Parent)); err != nil {
				return nil, err
			}
		case c.OID == 0:
			line.Text, line.Remedy = line.Text+"is gone", "restore it from a dump, or build all of "+g.Output+" in another warehouse_schema"
		case into == "" && c.Aside:
			statement, err := w.attachChunk(at, c.Hangs)
			if err != nil {
				return nil, err
			}
			line.Text = fmt.Sprintf("partitions of %s in %s are live, and readers do not see them: the table %s hangs nowhere", g.Output, at.Chunk, c.Hangs)
			line.Remedy = attachAgain(statement)
		case into == "":
			line.Text, line.Remedy = line.Text+"hangs nowhere", noChunk(at)
		case c.Parent != 0:
			line.Text, line.Remedy = line.Text+"hangs in "+c.Hangs, attachAgain(detach(c.Hangs, w.names.child(g.ID))+"; "+w.attachChild(into, g))
		default:
			line.Text, line.Remedy = line.Text+"hangs nowhere", attachAgain(w.attachChild(into, g))
		}
		if !together[line.Text] {
			together[line.Text] = true
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// renamed says how an output gets its name back from what has it now; table is where its partitions hang, 0: nowhere.
func (w *Warehouse) renamed(ctx context.Context, q catalog.Querier, output string, table uint32) (string, error) {
	hint := fmt.Sprintf("rename that, and the table back: ALTER TABLE %s RENAME TO %s; ", w.names.parent(output), postgres.Ident(output+"_old"))
	if table == 0 {
		return hint + "then rename the table back, or restore it", nil
	}
	var name string
	err := q.QueryRow(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`, table).Scan(&name)
	return hint + fmt.Sprintf("ALTER TABLE %s RENAME TO %s", name, postgres.Ident(output)), err
}

// placeOf is where a generation belongs.
func (w *Warehouse) placeOf(g catalog.Generation, of parent) *place {
	at := &place{Place: catalog.Place{Output: g.Output}, parent: of, scheme: g.Scheme, key: g.Partition}
	if !of.Flat {
		at.Chunk = g.Scheme.Chunk(g.Partition)
	}
	return at
}
