package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// Checksum is the row count and the order-independent checksum of a whole published table, over its columns in order.
func (w *Warehouse) Checksum(ctx context.Context, table string) (rows int64, sum string, err error) {
	found, err := w.findParent(ctx, w.pool, table)
	if err != nil {
		return 0, "", err
	}
	if found.Kind == generation.Absent {
		return 0, "", fault.Newf(fault.Invalid, "sum up", table, "name an output that was published", "there is no such table")
	}
	rows, sum, err = w.sumUp(ctx, w.names.parent(table), found.Columns)
	return rows, sum, postgres.Classify("sum up", table, err)
}

func (w *Warehouse) sumUp(ctx context.Context, relation string, columns []generation.Column) (rows int64, sum string, err error) {
	err = w.pool.QueryRow(ctx, fmt.Sprintf("SELECT count(*), (%s)::text FROM %s", check.Checksum(checkColumns(columns)), relation)).Scan(&rows, &sum)
	return rows, sum, err
}

// Verify recounts rows and checksums of generations against what was recorded when they were built. A difference is
// fault.Refused, and marks the generation as not re-attachable.
func (w *Warehouse) Verify(ctx context.Context, generations []int64, beat func()) error {
	found, err := w.ledger.Generations(ctx, w.pool, generations)
	if err != nil {
		return postgres.Classify("verify", fmt.Sprintf("%d generations", len(generations)), err)
	}
	for _, id := range generations {
		beat()
		g := found[id]
		object := fmt.Sprintf("generation %d of %s %s", id, g.Output, g.Partition)
		rows, sum, err := w.sumUp(ctx, w.names.child(id), g.Columns)
		if err != nil {
			return postgres.Classify("verify", object, err)
		}
		if rows == g.Rows && sum == g.Checksum {
			continue
		}
		reason := fmt.Sprintf("it has %d rows where %d were recorded", rows, g.Rows)
		if rows == g.Rows {
			reason = fmt.Sprintf("its %d rows are not those that were recorded", rows)
		}
		if g.State == generation.Retired {
			if err := w.ledger.MarkNotReattachable(ctx, w.pool, id, reason); err != nil {
				return postgres.Classify("verify", object, err)
			}
		}
		return fault.Newf(fault.Refused, "verify", object, "rebuild the partition with the release that you want", reason)
	}
	return nil
}

// Newest is the greatest value of an output's partition column, as a time in the pipeline's zone. ok is false where there
// is no such value: an empty or absent table, or an output that is not cut by time.
func (w *Warehouse) Newest(ctx context.Context, o pipeline.Output) (at time.Time, ok bool, err error) {
	if slices.Contains([]partition.By{partition.All, partition.Range, partition.List}, o.Partition.By) {
		return time.Time{}, false, nil
	}
	found, err := w.findParent(ctx, w.pool, o.Table)
	if err != nil || found.Kind == generation.Absent {
		return time.Time{}, false, err
	}
	zone := o.Partition.Timezone
	if zone == "" {
		zone = "UTC"
	}
	var newest *time.Time
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		// A date and a timestamp become an instant by the session's zone; a timestamptz is one already.
		if _, err := tx.Exec(ctx, `SELECT set_config('timezone', $1, true)`, zone); err != nil {
			return err
		}
		return tx.QueryRow(ctx, fmt.Sprintf("SELECT max(%s)::timestamptz FROM %s", postgres.Ident(o.Partition.Column), w.names.parent(o.Table))).Scan(&newest)
	})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && newest == nil {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, postgres.Classify("read newest of", o.Table, err)
	}
	return *newest, true, nil
}
