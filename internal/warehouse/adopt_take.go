package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/adoption"
	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// Adopt turns a plain table into a managed output, in one transaction and without reading a row: the table moves to the schema of generations,
// a partitioned table takes its name and all that others have on it, the views that read it read that one, and it is attached. It is
// idempotent on the spec's key, and a table that was adopted already is done. What ProveAdoption proves has to be proved. done is false where
// others held the table for too long: nothing has changed then.
func (w *Warehouse) Adopt(ctx context.Context, p *pipeline.Pipeline, spec adoption.Spec, beat func(locks time.Duration)) (adoption.Result, error) {
	var result adoption.Result
	defer postgres.Beating(func() { beat(spec.WaitedLocks) }, scanBudget)() // it looks at the table first
	a, plan, err := w.adoptable(ctx, p, spec.Ask)
	if err != nil || plan.Adopted {
		result.Done = err == nil
		return result, postgres.Classify("adopt", spec.Output, err)
	}
	if a.condition() != "" && !a.proved || !a.keyed {
		return result, fault.Newf(fault.Conflict, "adopt", spec.Output, "say it again: it proves first what has changed", "what its rows have to keep to is not proved, or not any more")
	}
	ladder := postgres.Ladder{
		Pool: w.pool, Relations: []uint32{a.oid}, Budget: spec.LockBudget - spec.WaitedLocks,
		Beat: func(waited time.Duration) { beat(spec.WaitedLocks + waited) },
	}
	done, blocked, err := ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
		effect := postgres.Effect{Key: spec.Key.String(), Kind: "adopt", Application: spec.Application}
		var err error
		result, err = postgres.Once(ctx, w.pool, w.ledger, effect, func(tx pgx.Tx) (adoption.Result, error) {
			return w.take(ctx, tx, p, a, spec, rung)
		})
		return err
	})
	if err == nil && !done {
		result = adoption.Result{}
		result.Blocked, result.More = generation.Named(blocked)
	}
	return result, postgres.Classify("adopt", spec.Output, err)
}

// take is one attempt of the transaction.
func (w *Warehouse) take(ctx context.Context, tx pgx.Tx, p *pipeline.Pipeline, a adoptable, spec adoption.Spec, rung postgres.Rung) (adoption.Result, error) {
	var result adoption.Result
	var started time.Time
	level := postgres.Levels{Parents: []postgres.Relation{{OID: a.oid, Name: a.name}}}
	err := postgres.Lock(ctx, tx, level, rung, func() error {
		if err := w.mayAdopt(ctx, tx, spec); err != nil {
			return err
		}
		now, plan, err := w.lookAdoptable(ctx, tx, p, spec.Ask)
		if err != nil {
			return err
		}
		if plan.Adopted {
			return fault.Newf(fault.Conflict, "adopt", spec.Output, "see it: drawbridge history "+p.Name+" --env "+spec.Key.Environment, "somebody else has adopted it meanwhile")
		}
		if len(plan.Refusals) > 0 {
			return fault.Newf(fault.Refused, "adopt", spec.Output, plan.Remedy(), plan.Refused())
		}
		if now.oid != a.oid || now.first != a.first || now.condition() != "" && !now.proved || !now.keyed {
			return postgres.ErrContended
		}
		started = time.Now()
		return w.holdViews(ctx, tx, a.oid, rung)
	})
	if err != nil {
		return result, err
	}
	if _, err := tx.Exec(ctx, plainPath); err != nil {
		return result, err
	}
	// Read under their locks, in the names of before: whoever changed them last has been waited for.
	views, err := viewsOf(ctx, tx, a.oid)
	if err != nil {
		return result, err
	}
	if err := w.enterAdopted(ctx, tx, p, a, spec); err != nil {
		return result, err
	}
	if err := w.unface(ctx, tx, a); err != nil {
		return result, err
	}
	for _, v := range views {
		if _, err := tx.Exec(ctx, v.again()); err != nil {
			return result, fmt.Errorf("let %s read the output: %w", v.Name, err)
		}
	}
	result.Done, result.Views, result.HoldMS = true, len(views), milliseconds(time.Since(started))
	return result, nil
}

// holdViews takes ACCESS EXCLUSIVE on the views that read a table, before the table's: a reader takes them in that order.
func (w *Warehouse) holdViews(ctx context.Context, tx pgx.Tx, table uint32, rung postgres.Rung) error {
	views, err := viewsOf(ctx, tx, table)
	if err != nil {
		return err
	}
	if err := postgres.Bound(ctx, tx, min(rung.Wait, postgres.TopRung)); err != nil {
		return err
	}
	for _, v := range views {
		if _, err := tx.Exec(ctx, v.hold()); err != nil {
			return err
		}
	}
	return nil
}

// enterAdopted writes the ledger, so that the table's next name is known.
func (w *Warehouse) enterAdopted(ctx context.Context, tx pgx.Tx, p *pipeline.Pipeline, a adoptable, spec adoption.Spec) error {
	row := catalog.Adoption{
		Output: a.output.Table, Pipeline: p.Name, Scheme: a.output.Partition, First: a.first, Owner: string(spec.Key.Owner), By: spec.By, Reason: spec.Reason,
	}
	var made bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, pgx.Identifier{w.names.schema, a.output.Table + adoptedKey}.Sanitize()).Scan(&made); err != nil {
		return err
	}
	if made {
		row.KeyIndex = a.output.Table + adoptedKey
	}
	becomes := adoption.LegacyPrefix + a.output.Table
	if a.whole() {
		g := catalog.Generation{
			Output: a.output.Table, Partition: partition.AllKey, Pipeline: p.Name, Version: adoption.Version, Scheme: a.output.Partition, Owner: string(spec.Key.Owner),
			EffectKey: spec.Key.String(), Fence: newFence(), Application: postgres.Clip(spec.Application), Child: a.oid, Columns: a.columns,
		}
		if err := tx.QueryRow(ctx, `SELECT relowner FROM pg_class WHERE oid = $1`, a.oid).Scan(&g.ChildOwner); err != nil {
			return err
		}
		if err := w.ledger.EnterAdopted(ctx, tx, &g, spec.By, spec.Reason); err != nil {
			return err
		}
		row.Generation, becomes = g.ID, childName(g.ID)
	}
	if err := w.ledger.EnterAdoption(ctx, tx, row); err != nil {
		return err
	}
	return together(ctx, tx, []string{bring(w.names.schema, a.output.Table, w.names.data(), becomes)})
}

// unface puts a partitioned table in the place of the one that was moved away, gives it all that others had on that, and attaches that.
func (w *Warehouse) unface(ctx context.Context, tx pgx.Tx, a adoptable) error {
	var child string
	if err := tx.QueryRow(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`, a.oid).Scan(&child); err != nil {
		return err
	}
	first := a.columns[0].Name
	if len(a.output.Key) > 0 {
		first = a.output.Key[0]
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING STORAGE INCLUDING COMPRESSION) %s", a.name, child, partitionBy(a.output.Partition, first))); err != nil {
		return err
	}
	if err := faceAs(ctx, tx, a.oid, a.name); err != nil {
		return err
	}
	if err := faceless(ctx, tx, child); err != nil {
		return err
	}
	attach := fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s DEFAULT", a.name, child)
	if !a.whole() {
		attach = w.attachLegacy(a.output.Table, a.upper)
	}
	statements := append(w.guard(child), attach)
	if author := w.pool.Author; author != "" {
		statements = append(statements, fmt.Sprintf("GRANT SELECT ON %s TO %s", child, postgres.Ident(author)))
	}
	if a.condition() != "" { // now implied by where it hangs, and nobody writes it any more
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", child, boundsProof))
	}
	return together(ctx, tx, statements)
}

// guard are the statements that let nobody write a child any more.
func (w *Warehouse) guard(child string) []string {
	refuse := pgx.Identifier{w.names.ledger(), "refuse_write"}.Sanitize()
	return []string{
		fmt.Sprintf("CREATE TRIGGER drawbridge_refuse_write BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s()", child, refuse),
		fmt.Sprintf("CREATE TRIGGER drawbridge_refuse_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()", child, refuse),
	}
}

// SumAdopted counts and sums up the rows of an adopted table that became a generation, as every built one is: nobody writes it any more. It
// may be repeated.
func (w *Warehouse) SumAdopted(ctx context.Context, output string) error {
	found, err := w.ledger.Adoptions(ctx, w.pool, []string{output})
	if err != nil {
		return postgres.Classify("sum up", output, err)
	}
	id := found[output].Generation
	if id == 0 {
		return nil
	}
	g, err := w.ledger.Generation(ctx, w.pool, id)
	if err != nil || g.Checksum != "" {
		return postgres.Classify("sum up", output, err)
	}
	rows, sum, err := w.sumUp(ctx, w.names.child(id), g.Columns)
	if err == nil {
		err = w.ledger.SumAdopted(ctx, w.pool, id, rows, sum)
	}
	return postgres.Classify("sum up", output, err)
}
