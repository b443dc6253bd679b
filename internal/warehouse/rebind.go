package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

const (
	// rebindWait bounds what one statement of a rebinding may take: publishes wait meanwhile.
	rebindWait = 30 * time.Second
	// rebindPage is how many generations are looked at together.
	rebindPage = 2000
	// rebindNamed bounds how many misfits are named; the others are counted.
	rebindNamed = 20
)

// Rebind binds the ledger to the tables of a warehouse that was dumped and restored: there they have other numbers than the
// ledger recorded, and the transactions that it recorded are of another server. Each generation's table is found by its name,
// and bound where it has the structure that was recorded: its columns, its parent and owner, and the triggers that refuse
// writes. A retired one that has not is marked as not re-attachable; any other is only named. Bound anew, the ledger has
// another epoch, so that every workflow that goes on from before notices. Twice is once, but for the epoch.
//
// A ledger of another environment is refused, unless copied says that it is a copy that this environment takes over; that
// needs the rights of who owns the ledger, the migrator. What the other environment had open there is no longer.
func (w *Warehouse) Rebind(ctx context.Context, environment string, copied bool) (generation.Rebound, error) {
	var r generation.Rebound
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		r = generation.Rebound{}
		if err := postgres.Bound(ctx, tx, rebindWait); err != nil {
			return err
		}
		if err := w.ledger.Stand(ctx, tx); err != nil {
			return err
		}
		if err := w.takeOver(ctx, tx, environment, copied); err != nil {
			return err
		}
		parents := map[string]parent{}
		var ids []int64
		var tables, owners []uint32
		err := w.eachBound(ctx, tx, func(g catalog.Generation, c child) error {
			if _, ok := parents[g.Output]; !ok {
				found, err := w.findParent(ctx, tx, g.Output)
				if err != nil {
					return err
				}
				parents[g.Output] = found
			}
			r.Generations++
			if reason, err := w.misfit(ctx, tx, g, c, parents[g.Output]); err != nil {
				return err
			} else if reason != "" {
				return w.leaveUnbound(ctx, tx, &r, g, reason)
			}
			if c.OID == g.Child && c.Owner == g.ChildOwner {
				return nil
			}
			ids, tables, owners = append(ids, g.ID), append(tables, c.OID), append(owners, c.Owner)
			return nil
		})
		if err != nil {
			return err
		}
		r.Bound = len(ids)
		return w.ledger.Rebind(ctx, tx, ids, tables, owners)
	})
	return r, postgres.Classify("bind anew", w.names.schema, err)
}

// takeOver gives the ledger a new epoch and, where it is a copy of another environment's, this environment's name.
func (w *Warehouse) takeOver(ctx context.Context, tx pgx.Tx, environment string, copied bool) error {
	name, err := w.ledger.Environment(ctx, tx)
	if err != nil {
		return err
	}
	refuse := func(hint, reason string) error {
		return fault.Newf(fault.Refused, "bind anew", w.names.schema, hint, reason)
	}
	switch {
	case name == "":
		return refuse("deploy a release first", "its ledger is empty: nothing was published here")
	case name == environment:
	case !copied:
		return refuse("if it is a copy that "+environment+" is to have: add --as-environment; else give config."+environment+".yaml a warehouse_schema of its own",
			"it belongs to the environment "+name)
	default:
		var owned bool
		if err := tx.QueryRow(ctx, `SELECT nspowner = current_user::regrole FROM pg_namespace WHERE nspname = $1`, w.names.ledger()).Scan(&owned); err != nil {
			return err
		}
		if !owned {
			return refuse("connect the worker as the role that owns the schema "+w.names.ledger()+", the migrator", "only who owns the ledger gives it to another environment")
		}
		if err := w.ledger.ForgetCrossings(ctx, tx); err != nil {
			return err
		}
	}
	return w.ledger.RenewEpoch(ctx, tx, environment)
}

// eachBound calls do with every generation that may go live, or is, and its table as it is now; without a table it is empty.
func (w *Warehouse) eachBound(ctx context.Context, q catalog.Querier, do func(catalog.Generation, child) error) error {
	for after := int64(0); ; {
		page, err := w.ledger.WithChildren(ctx, q, after, rebindPage)
		if err != nil || len(page) == 0 {
			return err
		}
		ids := make([]int64, len(page))
		for i, g := range page {
			ids[i] = g.ID
		}
		found, err := w.children(ctx, q, ids)
		if err != nil {
			return err
		}
		for _, g := range page {
			if err := do(g, found[g.ID]); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}

// misfit says why a table is not what the ledger recorded of a generation, whatever its number; empty: it is.
func (w *Warehouse) misfit(ctx context.Context, q catalog.Querier, g catalog.Generation, c child, of parent) (string, error) {
	hangs := uint32(0)
	switch g.State {
	case generation.Live:
		if hangs = of.OID; c.Top == of.OID {
			hangs = c.Parent
		}
	case generation.Shadow:
		if err := q.QueryRow(ctx, `SELECT coalesce(to_regclass($1)::oid, 0)`, w.names.shadowParent(g.Output, g.Shadow)).Scan(&hangs); err != nil {
			return "", err
		}
	case generation.Building, generation.Built, generation.Retired, generation.Rejected, generation.Dropped:
	}
	if c.OID != 0 && of.OID != 0 && c.Owner != of.Owner {
		return "it does not belong to the owner of " + g.Output, nil
	}
	g.Child, g.ChildOwner = c.OID, c.Owner
	err := c.trusted(g, hangs)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Err.Error(), nil
	}
	return "", err
}

func (w *Warehouse) leaveUnbound(ctx context.Context, tx pgx.Tx, r *generation.Rebound, g catalog.Generation, reason string) error {
	r.Left++
	if len(r.Lines) < rebindNamed {
		r.Lines = append(r.Lines, fmt.Sprintf("generation %d of %s[%s], %s: %s", g.ID, g.Output, g.Partition, g.State, reason))
	}
	if g.State != generation.Retired || g.NotReattachable != "" {
		return nil
	}
	return w.ledger.MarkNotReattachable(ctx, tx, g.ID, reason)
}

// Restored counts the generations whose tables have other numbers than the ledger recorded: the warehouse was dumped and
// restored, and its ledger is yet to be bound to it.
func (w *Warehouse) Restored(ctx context.Context) (int, error) {
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return 0, postgres.Classify("look at", w.names.schema, err)
	}
	n := 0
	err = w.eachBound(ctx, w.pool, func(g catalog.Generation, c child) error {
		if c.OID != 0 && c.OID != g.Child {
			n++
		}
		return nil
	})
	return n, postgres.Classify("look at", w.names.schema, err)
}

// restored refuses a generation whose table is there under another number than the ledger recorded.
func (p *publication) restored(g catalog.Generation, c child) error {
	if c.OID == 0 || c.OID == g.Child {
		return nil
	}
	q := p.ticket.Question
	return fault.Newf(fault.Refused, "publish", fmt.Sprintf("generation %d of %s %s", g.ID, g.Output, g.Partition),
		fmt.Sprintf("bind the ledger to what is there: drawbridge doctor %s --env %s --rebind", q.Release.Pipeline, q.Environment),
		"its table is another one than the ledger recorded, as after a restore from a dump")
}
