package warehouse

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/breach"
	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/postgres"
)

// metricPatience bounds a watch check: it is asked again soon, and must not pin the server's horizon.
const metricPatience = 5 * time.Minute

// Measure runs a watch check's SELECT, in a transaction that cannot write. What it read is what the transaction locked:
// tables inside views and functions too. SQL that fails, and a result that is no finite number, is fault.Invalid.
func (w *Warehouse) Measure(ctx context.Context, m check.Metric) (breach.Measured, error) {
	return w.measure(ctx, m, nil)
}

// MeasureBefore is Measure before a publish. ok is false where there is nothing to compare with: the check reads one of outputs of
// which nothing is live, or something that is not there yet. An error is that of a check that has a value, and did not give it.
func (w *Warehouse) MeasureBefore(ctx context.Context, m check.Metric, outputs []string) (found breach.Measured, ok bool, err error) {
	found, failed := w.Measure(ctx, m)
	blank, err := w.ledger.Blank(ctx, w.pool, outputs)
	if err != nil {
		return found, false, postgres.Classify("evaluate", m.Name, err)
	}
	if failed != nil {
		switch postgres.SQLState(failed) {
		case pgerrcode.UndefinedTable, pgerrcode.UndefinedColumn, pgerrcode.InvalidSchemaName:
			return found, false, nil
		case pgerrcode.QueryCanceled:
			failed = fault.New(fault.Invalid, "evaluate", m.Name, "make the check cheaper", failed)
		}
		if len(blank) > 0 && fault.ClassOf(failed) != "" {
			return found, false, nil
		}
		return found, false, failed
	}
	return found, !slices.ContainsFunc(blank, func(output string) bool { return slices.Contains(found.Reads, w.names.schema+"."+output) }), nil
}

// measure is Measure with views in the place of outputs, by output.
func (w *Warehouse) measure(ctx context.Context, m check.Metric, views map[string]string) (breach.Measured, error) {
	statement, err := check.CompileMetric(m)
	if err != nil {
		return breach.Measured{}, err
	}
	var out breach.Measured
	var values check.Values
	err = w.aside(ctx, func(tx pgx.Tx) error {
		// Temporary views come first in every search_path, and nobody else sees them.
		for _, sql := range slices.Concat(slices.Collect(maps.Values(views)), []string{
			"SET TRANSACTION READ ONLY", fmt.Sprintf("SET LOCAL statement_timeout = %d", metricPatience.Milliseconds()),
		}) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		row, err := oneRow(ctx, tx, statement)
		if err != nil {
			return err
		}
		if err := values.Put(statement, row); err != nil {
			return err
		}
		out.Reads, err = reads(ctx, tx, int32(tx.Conn().PgConn().PID()))
		return err
	})
	if err != nil {
		return breach.Measured{}, postgres.ClassifyRun("evaluate", m.Name, err)
	}
	if out.Value, err = values.Number(statement.Fields[0]); err != nil {
		return breach.Measured{}, fault.New(fault.Invalid, "evaluate", m.Name, "write a SELECT of one number that is never NULL: coalesce(…, 0)", err)
	}
	return out, nil
}

// aside runs f in a session of the author's own, in a transaction whose effects are never kept.
func (w *Warehouse) aside(ctx context.Context, f func(pgx.Tx) error) error {
	return w.pool.Apart(ctx, w.pool.Application(), func(author *postgres.Session) error {
		tx, err := author.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			return err
		}
		err = f(tx)
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.CancelGrace)
		defer cancel()
		return cmp.Or(err, tx.Rollback(tidy))
	})
}

// reads are the tables and views that a session's transaction has locked, partitions of them and temporary ones left out.
func reads(ctx context.Context, q catalog.Querier, pid int32) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT DISTINCT n.nspname || '.' || c.relname
		FROM pg_catalog.pg_locks l
		JOIN pg_catalog.pg_class c ON c.oid = l.relation
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE l.locktype = 'relation' AND l.pid = $1
		  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
		  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
		  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(temp|toast)'
		ORDER BY 1`, pid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
