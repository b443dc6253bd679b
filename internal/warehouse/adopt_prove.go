package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/adoption"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// ProveAdoption proves, while others read and write, what the adoption would otherwise have to read all rows for under its lock: that they
// lie before the first partition that is built, that no key is NULL, and that keys do not repeat. What is proved already is left as it is,
// so it may be repeated, and goes on where another attempt was stopped. Rows that break a proof are fault.Refused, and how many they are is
// said; the proof is taken back then. done is false where others held the table for too long.
func (w *Warehouse) ProveAdoption(ctx context.Context, p *pipeline.Pipeline, spec adoption.Spec, beat func(locks time.Duration)) (adoption.Result, error) {
	var result adoption.Result
	defer postgres.Beating(func() { beat(spec.WaitedLocks) }, scanBudget)() // it may read all rows
	a, plan, err := w.adoptable(ctx, p, spec.Ask)
	if err != nil || plan.Adopted {
		result.Done = err == nil
		return result, postgres.Classify("adopt", spec.Output, err)
	}
	if a.condition() != "" && !a.proved {
		done, err := w.proveBounds(ctx, a, spec, beat, &result)
		if err != nil || !done {
			return result, postgres.Classify("adopt", spec.Output, err)
		}
	}
	if !a.keyed {
		if err := w.proveKey(ctx, a, spec); err != nil {
			return result, postgres.Classify("adopt", spec.Output, err)
		}
	}
	result.Done = true
	return result, nil
}

// adoptable looks at a table that is to be adopted, and refuses what the plan refuses.
func (w *Warehouse) adoptable(ctx context.Context, p *pipeline.Pipeline, ask adoption.Ask) (a adoptable, plan adoption.Plan, err error) {
	err = pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		a, plan, err = w.lookAdoptable(ctx, tx, p, ask)
		return err
	})
	if err == nil && len(plan.Refusals) > 0 {
		err = fault.Newf(fault.Refused, "adopt", ask.Output, plan.Remedy(), plan.Refused())
	}
	return a, plan, err
}

// proveBounds adds the constraint at once, unproved, and looks at the rows that are there without keeping anybody out.
func (w *Warehouse) proveBounds(ctx context.Context, a adoptable, spec adoption.Spec, beat func(time.Duration), result *adoption.Result) (done bool, err error) {
	ladder := postgres.Ladder{
		Pool: w.pool, Relations: []uint32{a.oid}, Budget: spec.LockBudget - spec.WaitedLocks,
		Beat: func(waited time.Duration) { beat(spec.WaitedLocks + waited) },
	}
	level := postgres.Levels{Parents: []postgres.Relation{{OID: a.oid, Name: a.name}}}
	done, blocked, err := ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
		return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if err := postgres.Lock(ctx, tx, level, rung, func() error { return w.mayAdopt(ctx, tx, spec) }); err != nil {
				return err
			}
			// One that was left by an attempt with another bound is replaced: its comment says what it was for.
			return together(ctx, tx, []string{
				fmt.Sprintf("ALTER TABLE %[1]s DROP CONSTRAINT IF EXISTS %[2]s, ADD CONSTRAINT %[2]s CHECK (%[3]s) NOT VALID", a.name, boundsProof, a.condition()),
				fmt.Sprintf("COMMENT ON CONSTRAINT %s ON %s IS %s", boundsProof, a.name, postgres.Literal(a.promise())),
			})
		})
	})
	if err != nil || !done {
		result.Blocked, result.More = generation.Named(blocked)
		return false, err
	}
	err = w.unhurried(ctx, spec, fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", a.name, boundsProof))
	if postgres.SQLState(err) != pgerrcode.CheckViolation {
		return err == nil, err
	}
	return false, w.unproved(ctx, a, err)
}

// unproved takes a proof back that rows break, and says how many do.
func (w *Warehouse) unproved(ctx context.Context, a adoptable, cause error) error {
	if _, err := w.pool.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", a.name, boundsProof)); err != nil {
		return err
	}
	var rows int64
	if err := w.pool.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE (%s) IS NOT TRUE", a.name, a.condition())).Scan(&rows); err != nil {
		return err
	}
	if rows == 0 { // somebody has mended them meanwhile
		return cause
	}
	return fault.Newf(fault.Refused, "adopt", a.output.Table, "correct these rows, or say --until KEY, and say it again", fmt.Sprintf("%d rows break what all have to keep to: %s", rows, a.condition()))
}

// proveKey makes the unique index of the key while others read and write. What an attempt that was stopped has left of it is made anew.
func (w *Warehouse) proveKey(ctx context.Context, a adoptable, spec adoption.Spec) error {
	index := pgx.Identifier{w.names.schema, a.output.Table + adoptedKey}.Sanitize()
	if err := w.unhurried(ctx, spec, "DROP INDEX CONCURRENTLY IF EXISTS "+index); err != nil {
		return err
	}
	err := w.unhurried(ctx, spec, fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s (%s)",
		postgres.Ident(a.output.Table+adoptedKey), a.name, postgres.Idents(a.output.Key)))
	if postgres.SQLState(err) != pgerrcode.UniqueViolation {
		return err
	}
	if err := w.unhurried(ctx, spec, "DROP INDEX CONCURRENTLY IF EXISTS "+index); err != nil {
		return err
	}
	var keys, rows int64
	if err := w.pool.QueryRow(ctx, fmt.Sprintf(`
		SELECT count(*), coalesce(sum(copies), 0)::bigint
		FROM (SELECT count(*) AS copies FROM %s GROUP BY %s HAVING count(*) > 1) AS duplicates`, a.name, postgres.Idents(a.output.Key))).Scan(&keys, &rows); err != nil {
		return err
	}
	return fault.Newf(fault.Refused, "adopt", a.output.Table, "correct these rows, or the key in pipeline.yaml, and say it again",
		fmt.Sprintf("the key (%s) repeats: distinct values %d, rows %d", strings.Join(a.output.Key, ", "), keys, rows))
}

// unhurried runs a statement that reads all rows and keeps nobody out, in a session of its own: it waits for others as long as it takes.
func (w *Warehouse) unhurried(ctx context.Context, spec adoption.Spec, sql string) error {
	return w.pool.Pinned(ctx, spec.Application, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET statement_timeout = 0; SET lock_timeout = 0; SET maintenance_work_mem = "+postgres.Literal(buildMemory))
		if err == nil {
			_, err = conn.Exec(ctx, sql)
		}
		if _, reset := conn.Exec(context.WithoutCancel(ctx), "RESET statement_timeout; RESET lock_timeout; RESET maintenance_work_mem"); err == nil {
			err = reset
		}
		return err
	})
}

// scanBudget is for how long an attempt that reads all rows counts as alive.
const scanBudget = 24 * time.Hour
