package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/release"
)

const tenureColumns = ` t.number, t.pipeline, t.version, t.digest, t.config, t.kind, t.owner, t.plan, t.asked_by, t.reason,
	t.activated_at IS NOT NULL, coalesce(t.activated_at, t.reserved_at),
	coalesce((SELECT b.back FROM ledger.turn_back b WHERE b.tenure = t.number), 0) `

func scanTenure(row pgx.CollectableRow) (t release.Tenure, err error) {
	err = row.Scan(intoTenure(&t)...)
	return t, err
}

func intoTenure(t *release.Tenure) []any {
	return []any{
		&t.Number, &t.Release.Pipeline, &t.Release.Version, &t.Release.Digest, &t.Config, &t.Kind, &t.Owner, &t.Plan,
		&t.By, &t.Reason, &t.Activated, &t.At, &t.Back,
	}
}

// Active reads the tenure that a pipeline's runs use. Its number is 0 where there never was one; it is of no release where
// nothing is active.
func (l Ledger) Active(ctx context.Context, q Querier, pipeline string) (t release.Tenure, err error) {
	err = l.together(ctx, q, readActive(pipeline, &t))
	return t, err
}

func readActive(pipeline string, t *release.Tenure) statement {
	return readTenure(t, `
		FROM ledger.active a
		JOIN ledger.tenure t ON t.number = a.tenure
		WHERE a.pipeline = $1`, pipeline)
}

// keepActive lets nobody activate another tenure until the transaction ends. It is a statement of its own: one that reads and locks
// reads what was before it waited.
func keepActive(pipeline string) statement {
	return statement{what: "keep the active tenure of " + pipeline, sql: `SELECT FROM ledger.active WHERE pipeline = $1 FOR SHARE`, args: []any{pipeline}}
}

// Tenure reads one tenure; an unknown number is fault.Invalid.
func (l Ledger) Tenure(ctx context.Context, q Querier, number int64) (release.Tenure, error) {
	var t release.Tenure
	err := l.together(ctx, q, readNumbered(number, &t))
	if err == nil && t.Number == 0 {
		return t, fault.Newf(fault.Invalid, "read tenure", fmt.Sprint(number), "list them: drawbridge history PIPELINE --env ENV", "the ledger does not know it")
	}
	return t, err
}

func readNumbered(number int64, t *release.Tenure) statement {
	return readTenure(t, `FROM ledger.tenure t WHERE t.number = $1`, number)
}

// Recall reads what the ledger knows of what it has told a workflow.
func (l Ledger) Recall(ctx context.Context, q Querier, told admission.Told) (m admission.Memory, err error) {
	if err := q.QueryRow(ctx, l.sql(`
		SELECT coalesce((SELECT epoch::text FROM ledger.environment), ''),
		       EXISTS (SELECT FROM ledger.tenure WHERE number = $1 AND pipeline = $2),
		       (SELECT count(*) FROM ledger.swap WHERE owner = $3 AND tenure = $1 AND kind = 'publish')`),
		told.Tenure, told.Pipeline, string(told.Owner)).Scan(&m.Epoch, &m.Known, &m.Swaps); err != nil {
		return m, fmt.Errorf("look for tenure %d: %w", told.Tenure, err)
	}
	return m, nil
}

// TenureOf reads the tenure that a deployment or run has reserved; its number is 0 when it has none.
func (l Ledger) TenureOf(ctx context.Context, q Querier, pipeline, owner string) (t release.Tenure, err error) {
	err = l.together(ctx, q, readTenure(&t, `
		FROM ledger.tenure t
		WHERE t.pipeline = $1 AND t.owner = $2 AND t.kind <> 'turn_back'`, pipeline, owner))
	return t, err
}

// readTenure reads one tenure, which is left as it is where there is none.
func readTenure(t *release.Tenure, from string, args ...any) statement {
	return statement{what: "read tenure", sql: `SELECT` + tenureColumns + from, args: args, into: intoTenure(t)}
}

// Tenures lists the tenures of a pipeline, oldest first: those that were activated, and the reserved ones.
func (l Ledger) Tenures(ctx context.Context, q Querier, pipeline string) ([]release.Tenure, error) {
	rows, err := q.Query(ctx, l.sql(`SELECT`+tenureColumns+`
		FROM ledger.tenure t
		WHERE t.pipeline = $1
		ORDER BY t.number`), pipeline)
	if err != nil {
		return nil, fmt.Errorf("list tenures of %s: %w", pipeline, err)
	}
	list, err := pgx.CollectRows(rows, scanTenure)
	if err != nil {
		return nil, fmt.Errorf("list tenures of %s: %w", pipeline, err)
	}
	return list, nil
}

// ReserveTenure enters a tenure and sets its number. A deployment or run that has one already gets it again.
func (l Ledger) ReserveTenure(ctx context.Context, q Querier, t *release.Tenure) error {
	if t.Kind != release.ByTurnBack {
		have, err := l.TenureOf(ctx, q, t.Release.Pipeline, t.Owner)
		if err != nil {
			return err
		}
		if have.Number != 0 {
			if !have.Same(*t) {
				return fault.Newf(fault.Conflict, "reserve tenure of", t.Release.String(), "start a new deployment",
					"its workflow has reserved one for "+have.Release.String())
			}
			*t = have
			return nil
		}
	}
	if err := q.QueryRow(ctx, l.sql(`
		INSERT INTO ledger.tenure (pipeline, version, digest, config, kind, owner, plan, asked_by, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		RETURNING number, reserved_at`), t.Release.Pipeline, t.Release.Version, t.Release.Digest, t.Config, string(t.Kind), t.Owner,
		t.Plan, fault.Bound(t.By), fault.Bound(t.Reason)).Scan(&t.Number, &t.At); err != nil {
		return fmt.Errorf("reserve a tenure of %s: %w", t.Release.Pipeline, err)
	}
	return nil
}

// Activate makes a tenure the one that runs of its pipeline use. Where it is active already it does nothing.
func (l Ledger) Activate(ctx context.Context, q Querier, pipeline string, number int64) error {
	return l.together(ctx, q, activate(pipeline, number)...)
}

func activate(pipeline string, number int64) []statement {
	what := fmt.Sprintf("activate tenure %d of %s", number, pipeline)
	return []statement{
		{what: what, sql: `
			INSERT INTO ledger.active (pipeline, tenure)
			VALUES ($1, $2)
			ON CONFLICT (pipeline) DO UPDATE
			SET tenure = excluded.tenure`, args: []any{pipeline, number}},
		{what: what, sql: `
			UPDATE ledger.tenure
			SET activated_at = clock_timestamp()
			WHERE number = $1 AND activated_at IS NULL`, args: []any{number}},
	}
}
