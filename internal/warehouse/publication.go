package warehouse

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

// publication is a publish with what it knows of its generations and parents.
type publication struct {
	w           *Warehouse
	spec        generation.PublishSpec
	ticket      admission.Ticket
	generations map[int64]catalog.Generation
	parents     map[string]parent            // by output
	shadows     map[string]postgres.Relation // shadow parents that hold generations, by quoted name
	written     []postgres.Written           // what no reader may miss
	word        admission.Word               // what people have said while it was held up
	besides     map[int64]bool               // generations whose keys were looked at, where one is unique over all partitions
}

// read looks at everything once, before any lock, so that what can never work fails without one.
func (p *publication) read(ctx context.Context) error {
	var ids []int64
	seen := map[string]bool{}
	for _, s := range p.swaps() {
		if slot := s.Output + " " + string(s.Partition); seen[slot] || s.From == s.To {
			return fault.Newf(fault.Invalid, "publish", slot, "swap each partition once, for another generation", "its swap is no change, or comes twice")
		} else {
			seen[slot] = true
		}
		for _, id := range []int64{s.From, s.To} {
			if id != 0 {
				ids = append(ids, id)
			}
		}
	}
	var err error
	if p.generations, err = p.w.ledger.Generations(ctx, p.w.pool, ids); err != nil {
		return err
	}
	p.parents, p.shadows = map[string]parent{}, map[string]postgres.Relation{}
	for _, s := range p.swaps() {
		if err := p.readParent(ctx, s.Output); err != nil {
			return err
		}
		if s.To == 0 {
			continue
		}
		g := p.generations[s.To]
		if err := p.publishable(s, g); err != nil {
			return err
		}
		if err := p.readShadow(ctx, g); err != nil {
			return err
		}
		p.written = append(p.written, postgres.Written{XID: g.BuiltXID, Older: g.Older})
	}
	return p.cutAlike(ctx, p.w.pool)
}

// awaitReaders waits for the snapshots that would miss the new rows, and returns the sessions that still have one.
func (p *publication) awaitReaders(ctx context.Context, wait time.Duration, beat func(waited time.Duration)) ([]generation.Session, error) {
	if p.word.Terminate() {
		old, err := p.w.pool.StillOlder(ctx, p.written)
		if err != nil {
			return nil, err
		}
		if err := p.w.pool.Terminate(ctx, p.word.Ends(old)); err != nil {
			return nil, err
		}
	}
	return p.w.pool.AwaitSnapshots(ctx, p.written, wait, beat)
}

// terminateHolders ends the sessions that people said to end, and that hold locks on what is swapped.
func (p *publication) terminateHolders(ctx context.Context) error {
	if !p.word.Terminate() {
		return nil
	}
	relations, err := p.relations(ctx)
	if err != nil {
		return err
	}
	holders, err := p.w.pool.Holders(ctx, relations)
	if err != nil {
		return err
	}
	return p.w.pool.Terminate(ctx, p.word.Ends(holders))
}

// listen reads what people have said about the publish while it was held up.
func (p *publication) listen(ctx context.Context) error {
	about := p.spec.About
	if about == "" {
		about = admission.AboutEffect(p.spec.Key)
	}
	recorded, err := p.w.ledger.Decisions(ctx, p.w.pool, string(p.spec.Key.Owner), about)
	p.word = admission.Heard(p.ticket.Rule, recorded)
	return err
}

func (p *publication) readParent(ctx context.Context, output string) error {
	if _, ok := p.parents[output]; ok {
		return nil
	}
	found, err := p.w.findParent(ctx, p.w.pool, output)
	if err != nil {
		return err
	}
	switch found.Kind {
	case generation.Managed:
	case generation.Plain:
		return plainTable(output, p.w.names.schema)
	default:
		return fault.Newf(fault.Conflict, "publish", output, "expand the schema first: it creates the table", "the table is not there")
	}
	p.parents[output] = found
	return nil
}

func (p *publication) readShadow(ctx context.Context, g catalog.Generation) error {
	if g.State != generation.Shadow {
		return nil
	}
	t := postgres.Relation{Name: p.w.names.shadowParent(g.Output, g.Shadow)}
	if err := p.w.pool.QueryRow(ctx, `SELECT coalesce(to_regclass($1)::oid, 0)`, t.Name).Scan(&t.OID); err != nil {
		return err
	}
	p.shadows[t.Name] = t
	return nil
}

// publishable says whether a generation may go live at all.
func (p *publication) publishable(s generation.Swap, g catalog.Generation) error {
	object := fmt.Sprintf("generation %d of %s %s", g.ID, s.Output, s.Partition)
	conflict := func(reason, hint string) error { return fault.Newf(fault.Conflict, "publish", object, hint, reason) }
	switch {
	case g.Output != s.Output || g.Partition != s.Partition:
		return fault.Newf(fault.Invalid, "publish", object, "list those of the partition: drawbridge history PIPELINE --env ENV --output "+s.Output+" --partition "+string(s.Partition),
			fmt.Sprintf("it is of %s %s", g.Output, g.Partition))
	case g.Control:
		return fault.Newf(fault.Refused, "publish", object, "build the partition with the release that you want", "it is a control, built only to be compared with")
	case g.State == generation.Retired && g.NotReattachable != "":
		return fault.Newf(fault.Refused, "publish", object, "rebuild the partition with the release that you want", "it cannot be re-attached: "+g.NotReattachable)
	case g.State == generation.Retired:
		return nil // it was live, so it was accepted
	case g.State == generation.Rejected:
		return conflict("it was rejected: "+g.Reason, "run the partition again")
	case g.State != generation.Built && g.State != generation.Shadow:
		return conflict("it is "+string(g.State), "plan again; what is live: drawbridge history PIPELINE --env ENV")
	}
	return nil
}
