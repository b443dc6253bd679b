package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// Expand creates the parents that are missing and adds, nullable, the columns that the release's newest generation of
// each output has and its parent lacks: one table per transaction. It goes by what was built, not by what a SELECT says,
// so an output that the release has not built yet is left. It only adds, so every reader of today goes on; a column of
// another type is fault.Refused. Where nothing is missing it changes nothing.
func (w *Warehouse) Expand(ctx context.Context, p *pipeline.Pipeline, ticket admission.Ticket, lockBudget time.Duration, application string) (generation.ExpandResult, error) {
	var result generation.ExpandResult
	if err := w.Admit(ctx, ticket); err != nil {
		return result, err
	}
	spec := expansion{ticket: ticket, lockBudget: lockBudget, application: application}
	for _, o := range p.Outputs {
		g, ok, err := w.ledger.Newest(ctx, w.pool, o.Table, ticket.Question.Release.Digest)
		if err != nil {
			return result, postgres.Classify("expand", o.Table, err)
		}
		if !ok {
			continue
		}
		changes, blocked, err := w.expandOne(ctx, spec, o, g.Columns)
		if err != nil {
			return result, postgres.Classify("expand", o.Table, err)
		}
		result.Changes = append(result.Changes, changes...)
		if len(blocked) > 0 {
			result.Blocked = blocked
			return result, nil
		}
	}
	return result, nil
}

// expansion is how one Expand is done.
type expansion struct {
	ticket      admission.Ticket
	lockBudget  time.Duration
	application string
}

func (w *Warehouse) expandOne(ctx context.Context, spec expansion, o pipeline.Output, candidate []generation.Column) (changes []string, blocked []generation.Session, err error) {
	found, err := w.findParent(ctx, w.pool, o.Table)
	if err != nil {
		return nil, nil, err
	}
	switch found.Kind {
	case generation.Plain:
		return nil, nil, plainTable(o.Table, w.names.schema)
	case generation.Absent:
		if err := w.createParent(ctx, o, candidate); err != nil {
			return nil, nil, err
		}
		return []string{"create " + o.Table}, nil, nil
	case generation.Managed:
	}
	fresh, err := additions(o, found.Columns, candidate)
	if err != nil || len(fresh) == 0 {
		return nil, nil, err
	}
	relations, err := w.tree(ctx, found.OID)
	if err != nil {
		return nil, nil, err
	}
	ladder := postgres.Ladder{Pool: w.pool, Relations: relations, Budget: spec.lockBudget}
	done, blocked, err := ladder.Climb(ctx, func(ctx context.Context, rung time.Duration) error {
		return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT set_config('application_name', $1, true)`, postgres.Clip(spec.application)); err != nil {
				return err
			}
			if err := postgres.Bound(ctx, tx, rung); err != nil {
				return err
			}
			if err := w.admit(ctx, tx, spec.ticket); err != nil {
				return err
			}
			adds := make([]string, len(fresh))
			for i, c := range fresh {
				adds[i] = "ADD COLUMN IF NOT EXISTS " + postgres.Ident(c.Name) + " " + c.Type
			}
			_, err := tx.Exec(ctx, "ALTER TABLE "+w.names.parent(o.Table)+" "+strings.Join(adds, ", "))
			return err
		})
	})
	if err != nil || !done {
		return nil, blocked, err
	}
	for _, c := range fresh {
		changes = append(changes, fmt.Sprintf("add %s.%s %s", o.Table, c.Name, c.Type))
	}
	return changes, nil, nil
}

// additions are the columns to add; anything that is not an addition is refused.
func additions(o pipeline.Output, parent, candidate []generation.Column) ([]generation.Column, error) {
	fresh, err := newColumns(o, parent, candidate)
	if err != nil {
		return nil, fault.New(fault.Refused, "expand", o.Table, "change types by a migration, or cast in "+o.SQLFile, err)
	}
	return fresh, nil
}

// tree lists a parent and its children.
func (w *Warehouse) tree(ctx context.Context, parent uint32) ([]uint32, error) {
	rows, err := w.pool.Query(ctx, `
		SELECT $1::oid
		UNION ALL
		SELECT inhrelid FROM pg_inherits WHERE inhparent = $1`, parent)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint32])
}

// createParent creates the table that readers see, without a partition. Two creators at once make one table.
func (w *Warehouse) createParent(ctx context.Context, o pipeline.Output, columns []generation.Column) error {
	if _, err := newColumns(o, nil, columns); err != nil {
		return err
	}
	_, err := w.pool.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s) %s",
		w.names.parent(o.Table), columnList(columns), partitionBy(o, columns)))
	return err
}

func columnList(columns []generation.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = postgres.Ident(c.Name) + " " + c.Type
	}
	return strings.Join(list, ", ")
}

// partitionBy renders how a parent is cut: by range of the partition column; or, for an output that is one partition,
// by list with a single DEFAULT partition, on the first key column, so that a primary key stays possible.
func partitionBy(o pipeline.Output, columns []generation.Column) string {
	if o.Partition.By != partition.All {
		return "PARTITION BY RANGE (" + postgres.Ident(o.Partition.Column) + ")"
	}
	first := columns[0].Name
	if len(o.Key) > 0 {
		first = o.Key[0]
	}
	return "PARTITION BY LIST (" + postgres.Ident(first) + ")"
}
