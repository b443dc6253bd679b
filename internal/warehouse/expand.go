package warehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// Expand creates the parents that are missing and adds, nullable, the columns that the release's newest generation of
// each output has and its parent lacks: one table per transaction. It goes by what was built, not by what a SELECT says,
// so an output that the release has not built yet is left. It only adds, so every reader of today goes on; a column of
// another type is fault.Refused. Where nothing is missing it changes nothing. While it waits, beat is told how long it has
// waited for locks, earlier attempts included. While the environment is on hold, or where the release's
// approval has expired, it changes nothing, and says so.
func (w *Warehouse) Expand(ctx context.Context, p *pipeline.Pipeline, spec generation.ExpandSpec, ticket admission.Ticket, beat func(locks time.Duration)) (generation.ExpandResult, error) {
	result, err := w.expand(ctx, p, spec, ticket, beat)
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		result.Held = held.Reason
		return result, nil
	}
	if lapsed, ok := errors.AsType[admission.LapsedError](err); ok {
		result.Lapsed = lapsed.Reason()
		return result, nil
	}
	return result, err
}

func (w *Warehouse) expand(ctx context.Context, p *pipeline.Pipeline, spec generation.ExpandSpec, ticket admission.Ticket, beat func(locks time.Duration)) (generation.ExpandResult, error) {
	var result generation.ExpandResult
	if err := w.Admit(ctx, ticket); err != nil {
		return result, err
	}
	locks := spec.WaitedLocks
	for _, o := range p.Outputs {
		g, ok, err := w.ledger.Newest(ctx, w.pool, o.Table, ticket.Question.Release.Digest)
		if err != nil {
			return result, postgres.Classify("expand", o.Table, err)
		}
		if !ok {
			continue
		}
		before := locks
		ladder := postgres.Ladder{Pool: w.pool, Budget: spec.LockBudget - before, Beat: func(waited time.Duration) {
			locks = before + waited
			beat(locks)
		}}
		done, changes, blocked, err := w.expandOne(ctx, expansion{ticket: ticket, application: spec.Application, ladder: ladder}, o, g.Columns)
		if err != nil {
			return result, postgres.Classify("expand", o.Table, err)
		}
		result.Changes = append(result.Changes, changes...)
		if !done {
			result.Blocked, result.More = generation.Named(blocked)
			return result, nil
		}
	}
	result.Done = true
	return result, nil
}

// expansion is how one output is expanded.
type expansion struct {
	ticket      admission.Ticket
	application string
	ladder      postgres.Ladder
}

func (w *Warehouse) expandOne(ctx context.Context, x expansion, o pipeline.Output, candidate []generation.Column) (done bool, changes []string, blocked []generation.Session, err error) {
	found, err := w.findParent(ctx, w.pool, o.Table)
	if err != nil {
		return false, nil, nil, err
	}
	switch found.Kind {
	case generation.Plain:
		return false, nil, nil, plainTable(o.Table, w.names.schema)
	case generation.Absent:
		if err := w.createParent(ctx, o, candidate); err != nil {
			return false, nil, nil, err
		}
		return true, []string{"create " + o.Table}, nil, nil
	case generation.Managed:
	}
	fresh, err := additions(o, found.Columns, candidate)
	if err != nil || len(fresh) == 0 {
		return err == nil, nil, nil, err
	}
	tree, err := w.tree(ctx, found.OID)
	if err != nil {
		return false, nil, nil, err
	}
	for _, r := range tree.All() {
		x.ladder.Relations = append(x.ladder.Relations, r.OID)
	}
	adds := make([]string, len(fresh))
	for i, c := range fresh {
		adds[i] = "ADD COLUMN IF NOT EXISTS " + postgres.Ident(c.Name) + " " + c.Type
		changes = append(changes, fmt.Sprintf("add %s.%s %s", o.Table, c.Name, c.Type))
	}
	done, blocked, err = x.ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
		return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT set_config('application_name', $1, true)`, postgres.Clip(x.application)); err != nil {
				return err
			}
			if err := postgres.Lock(ctx, tx, tree, rung, func() error { return w.admit(ctx, tx, x.ticket) }); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "ALTER TABLE "+w.names.parent(o.Table)+" "+strings.Join(adds, ", "))
			return err
		})
	})
	if err != nil || !done {
		return false, nil, blocked, err
	}
	return true, changes, nil, nil
}

// additions are the columns to add; anything that is not an addition is refused.
func additions(o pipeline.Output, parent, candidate []generation.Column) ([]generation.Column, error) {
	fresh, err := newColumns(o, parent, candidate)
	if err != nil {
		return nil, fault.New(fault.Refused, "expand", o.Table, "change types by a migration, or cast in "+o.SQLFile, err)
	}
	return fresh, nil
}

// tree lists a parent and the tables under it.
func (w *Warehouse) tree(ctx context.Context, parent uint32) (tree postgres.Levels, err error) {
	rows, err := w.pool.Query(ctx, `
		SELECT t.relid::oid, format('%I.%I', n.nspname, c.relname), t.level, t.isleaf
		FROM pg_partition_tree($1::oid) t
		JOIN pg_class c ON c.oid = t.relid
		JOIN pg_namespace n ON n.oid = c.relnamespace`, parent)
	if err != nil {
		return tree, err
	}
	var r postgres.Relation
	var level int
	var leaf bool
	_, err = pgx.ForEachRow(rows, []any{&r.OID, &r.Name, &level, &leaf}, func() error {
		switch {
		case level == 0:
			tree.Parents = append(tree.Parents, r)
		case !leaf:
			tree.Chunks = append(tree.Chunks, r)
		default:
			tree.Children = append(tree.Children, r)
		}
		return nil
	})
	return tree, err
}

// createParent creates the table that readers see, without a partition. Two creators at once make one table.
func (w *Warehouse) createParent(ctx context.Context, o pipeline.Output, columns []generation.Column) error {
	if _, err := newColumns(o, nil, columns); err != nil {
		return err
	}
	first := columns[0].Name
	if len(o.Key) > 0 { // so that a primary key stays possible
		first = o.Key[0]
	}
	_, err := w.pool.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s) %s",
		w.names.parent(o.Table), columnList(columns), partitionBy(o.Partition, first)))
	return err
}

func columnList(columns []generation.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = postgres.Ident(c.Name) + " " + c.Type
	}
	return strings.Join(list, ", ")
}
