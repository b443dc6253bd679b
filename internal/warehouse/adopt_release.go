package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/adoption"
	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

// givenBack is what the name of an output's partitioned table ends with while its place is given back.
const givenBack = "_given_back"

// PlanRelease says what giving an adopted table back does, and what keeps it from being done. It changes nothing.
func (w *Warehouse) PlanRelease(ctx context.Context, pipeline, output string) (adoption.Plan, error) {
	var plan adoption.Plan
	err := pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		var err error
		_, plan, err = w.lookReleasable(ctx, tx, pipeline, output)
		return err
	})
	return plan, postgres.Classify("look at", output, err)
}

// releasable is an adopted table that is to be given back.
type releasable struct {
	catalog.Adoption
	parent parent
	child  string // quoted
	oid    uint32 // of the child
	left   []string
}

func (w *Warehouse) lookReleasable(ctx context.Context, tx pgx.Tx, pipeline, output string) (releasable, adoption.Plan, error) {
	var r releasable
	plan := adoption.Plan{Output: output, Schema: w.names.schema, Release: true}
	found, err := w.ledger.Adoptions(ctx, tx, []string{output})
	if err != nil {
		return r, plan, err
	}
	var adopted bool
	r.Adoption, adopted = found[output]
	if !adopted {
		r.left, err = w.leftover(ctx, tx, output)
		if err == nil && len(r.left) == 0 {
			err = fault.Newf(fault.Refused, "release", output, "name a table that was adopted", "it was not adopted here")
		}
		plan.Steps = []adoption.Step{{Text: "drop what an adoption that was not done has left on it", Lock: "ACCESS EXCLUSIVE, for a moment"}}
		return r, plan, err
	}
	if r.Pipeline != pipeline {
		return r, plan, fault.Newf(fault.Refused, "release", output, "name the pipeline that it belongs to", "it belongs to the pipeline "+r.Pipeline)
	}
	plan.Scheme, plan.First = r.Scheme, r.First
	becomes := adoption.LegacyPrefix + output
	if r.Generation != 0 {
		becomes = childName(r.Generation)
	}
	r.child = pgx.Identifier{w.names.data(), becomes}.Sanitize()
	if r.parent, err = w.findParent(ctx, tx, output); err != nil {
		return r, plan, err
	}
	var hangs bool
	err = tx.QueryRow(ctx, `
		SELECT c.oid, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid AND inhparent = $2), greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
		FROM pg_class c
		WHERE c.oid = to_regclass($1)`, r.child, r.parent.OID).Scan(&r.oid, &hangs, &plan.Rows, &plan.Bytes)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return r, plan, err
	}
	refuse := func(rule, text, remedy string) {
		plan.Refusals = append(plan.Refusals, adoption.Refusal{Rule: rule, Text: text, Remedy: remedy})
	}
	live, open, err := w.ledger.InUse(ctx, tx, output, r.Generation)
	if err != nil {
		return r, plan, err
	}
	back := "take it away first: drawbridge rollback " + pipeline + " --env ENV --to nothing --reason TEXT"
	switch {
	case live > 0:
		refuse("built-since", fmt.Sprintf("%d generations were built since and are live: readers would lose them", live), back)
	case open > 0:
		refuse("being-built", fmt.Sprintf("%d generations of it are being built, or wait to be published", open), "say it again when that has ended: drawbridge status")
	case !hangs:
		refuse("detached", "the adopted rows are not what readers see", back)
	}
	more, err := refusals(ctx, tx, faceRules(), r.parent.OID)
	if err != nil {
		return r, plan, err
	}
	plan.Refusals = append(plan.Refusals, more...)
	views, err := viewsOf(ctx, tx, r.parent.OID)
	for _, v := range views {
		plan.Views = append(plan.Views, v.Name)
	}
	text := "in one transaction: the table takes its name back, with the owner, rights, policies and comments that the output has now, and can be written again"
	if len(views) > 0 {
		text += fmt.Sprintf("; %d views read it again", len(views))
	}
	plan.Steps = []adoption.Step{{Text: text, Lock: "ACCESS EXCLUSIVE, for a moment"}}
	return r, plan, err
}

// leftover are the statements that drop what an adoption that was not done has left on a plain table.
func (w *Warehouse) leftover(ctx context.Context, q catalog.Querier, output string) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', $1::text, conname) FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2
		UNION ALL
		SELECT format('DROP INDEX %s', $3::text) WHERE to_regclass($3) IS NOT NULL`,
		w.names.parent(output), boundsProof, pgx.Identifier{w.names.schema, output + adoptedKey}.Sanitize())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// ReleaseTable gives an adopted table back under its name, as a plain one, in one transaction and without reading a row. It is refused where
// anything else of the output is live or on its way. It is idempotent on the spec's key. Of a table that was not adopted it drops what an
// adoption has left that was not done. done is false where others held the table for too long: nothing has changed then.
func (w *Warehouse) ReleaseTable(ctx context.Context, spec adoption.Spec, beat func(locks time.Duration)) (adoption.Result, error) {
	result, done, err := postgres.Done[adoption.Result](ctx, w.pool, w.ledger, spec.Key.String())
	if err != nil || done {
		return result, postgres.Classify("release", spec.Output, err)
	}
	r, err := w.releasable(ctx, spec)
	if err != nil {
		return result, postgres.Classify("release", spec.Output, err)
	}
	ladder := postgres.Ladder{
		Pool: w.pool, Budget: spec.LockBudget - spec.WaitedLocks, Beat: func(waited time.Duration) { beat(spec.WaitedLocks + waited) },
	}
	for _, one := range []uint32{r.parent.OID, r.oid} {
		if one != 0 {
			ladder.Relations = append(ladder.Relations, one)
		}
	}
	done, blocked, err := ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
		effect := postgres.Effect{Key: spec.Key.String(), Kind: "release_table", Application: spec.Application}
		var err error
		result, err = postgres.Once(ctx, w.pool, w.ledger, effect, func(tx pgx.Tx) (adoption.Result, error) {
			return w.giveBack(ctx, tx, r, spec, rung)
		})
		return err
	})
	if err == nil && !done {
		result = adoption.Result{}
		result.Blocked, result.More = generation.Named(blocked)
	}
	return result, postgres.Classify("release", spec.Output, err)
}

// releasable looks at a table that is to be given back, and refuses what the plan refuses.
func (w *Warehouse) releasable(ctx context.Context, spec adoption.Spec) (r releasable, err error) {
	var plan adoption.Plan
	err = pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		r, plan, err = w.lookReleasable(ctx, tx, spec.Release.Pipeline, spec.Output)
		return err
	})
	if err == nil && len(plan.Refusals) > 0 {
		err = fault.Newf(fault.Refused, "release", spec.Output, plan.Remedy(), plan.Refused())
	}
	return r, err
}

// giveBack is one attempt of the transaction.
func (w *Warehouse) giveBack(ctx context.Context, tx pgx.Tx, r releasable, spec adoption.Spec, rung postgres.Rung) (adoption.Result, error) {
	var result adoption.Result
	var started time.Time
	name := w.names.parent(spec.Output)
	levels := postgres.Levels{Parents: []postgres.Relation{{OID: r.parent.OID, Name: name}}}
	if r.oid != 0 {
		levels.Children = []postgres.Relation{{OID: r.oid, Name: r.child}}
	}
	err := postgres.Lock(ctx, tx, levels, rung, func() error {
		if err := w.mayAdopt(ctx, tx, spec); err != nil {
			return err
		}
		now, plan, err := w.lookReleasable(ctx, tx, spec.Release.Pipeline, spec.Output)
		if err != nil {
			return err
		}
		if len(plan.Refusals) > 0 {
			return fault.Newf(fault.Refused, "release", spec.Output, plan.Remedy(), plan.Refused())
		}
		if now.oid != r.oid || now.parent.OID != r.parent.OID {
			return postgres.ErrContended
		}
		started = time.Now()
		return w.holdViews(ctx, tx, r.parent.OID, rung)
	})
	if err != nil {
		return result, err
	}
	if len(r.left) > 0 {
		result.Done = true
		return result, together(ctx, tx, r.left)
	}
	if _, err := tx.Exec(ctx, plainPath); err != nil {
		return result, err
	}
	views, err := viewsOf(ctx, tx, r.parent.OID)
	if err != nil {
		return result, err
	}
	by := r.Adoption
	by.Owner = string(spec.Key.Owner)
	if err := w.ledger.LeaveAdoption(ctx, tx, by, spec.Key.String(), spec.By, spec.Reason); err != nil {
		return result, err
	}
	if err := w.reface(ctx, tx, r); err != nil {
		return result, err
	}
	for _, v := range views {
		if _, err := tx.Exec(ctx, v.again()); err != nil {
			return result, fmt.Errorf("let %s read the table: %w", v.Name, err)
		}
	}
	if _, err := tx.Exec(ctx, "DROP TABLE "+pgx.Identifier{w.names.schema, spec.Output + givenBack}.Sanitize()+" RESTRICT"); err != nil {
		return result, err
	}
	result.Done, result.Views, result.HoldMS = true, len(views), milliseconds(time.Since(started))
	return result, nil
}

// reface takes the adopted table out of the output, gives it all that others have on that, and its name.
func (w *Warehouse) reface(ctx context.Context, tx pgx.Tx, r releasable) error {
	name, becomes := w.names.parent(r.Output), adoption.LegacyPrefix+r.Output
	if r.Generation != 0 {
		becomes = childName(r.Generation)
	}
	if err := together(ctx, tx, []string{
		detach(name, r.child),
		"DROP TRIGGER drawbridge_refuse_write ON " + r.child,
		"DROP TRIGGER drawbridge_refuse_truncate ON " + r.child,
	}); err != nil {
		return err
	}
	if err := faceless(ctx, tx, r.child); err != nil { // what was granted on it for builds alone
		return err
	}
	if err := faceAs(ctx, tx, r.parent.OID, r.child); err != nil {
		return err
	}
	var statements []string
	if r.KeyIndex != "" {
		statements = append(statements, "DROP INDEX IF EXISTS "+pgx.Identifier{w.names.data(), r.KeyIndex}.Sanitize())
	}
	return together(ctx, tx, append(statements,
		fmt.Sprintf("ALTER TABLE %s RENAME TO %s", name, postgres.Ident(r.Output+givenBack)),
		bring(w.names.data(), becomes, w.names.schema, r.Output)))
}
