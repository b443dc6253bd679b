package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
)

// Crossing is who changes a pipeline in this environment.
type Crossing struct {
	Owner  string
	Tenure int64
	// Exclusive says that the pipeline's runs wait until it has published.
	Exclusive bool
	Since     time.Time
}

// Cross enters who changes a pipeline, with the tenure that it reserved. Whoever is in there already may enter again;
// somebody else is fault.Conflict.
func (l Ledger) Cross(ctx context.Context, q Querier, pipeline, owner string, tenure int64) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.crossing (pipeline, owner, tenure)
		VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`), pipeline, owner, tenure); err != nil {
		return fmt.Errorf("enter the crossing of %s: %w", pipeline, err)
	}
	have, err := l.Crossing(ctx, q, pipeline)
	if err != nil {
		return err
	}
	if have.Owner != owner {
		workflow := effect.Owner(have.Owner).Workflow()
		return fault.Newf(fault.Conflict, "change", pipeline,
			fmt.Sprintf("see what it does: drawbridge status %s; where it was terminated: drawbridge recover %s", workflow, workflow),
			fmt.Sprintf("%s crosses here since %s", workflow, have.Since.UTC().Format("2006-01-02 15:04 MST")))
	}
	return nil
}

// Crossing reads who changes a pipeline; its owner is empty when nobody does.
func (l Ledger) Crossing(ctx context.Context, q Querier, pipeline string) (c Crossing, err error) {
	err = l.together(ctx, q, readCrossing(pipeline, &c))
	return c, err
}

func readCrossing(pipeline string, c *Crossing) statement {
	return statement{
		what: "read the crossing of " + pipeline, sql: `SELECT owner, tenure, exclusive, since FROM ledger.crossing WHERE pipeline = $1`,
		args: []any{pipeline}, into: []any{&c.Owner, &c.Tenure, &c.Exclusive, &c.Since},
	}
}

// ExcludeRuns lets the pipeline's runs wait until who crosses has left.
func (l Ledger) ExcludeRuns(ctx context.Context, q Querier, pipeline, owner string) error {
	if _, err := q.Exec(ctx, l.sql(`UPDATE ledger.crossing SET exclusive = true WHERE pipeline = $1 AND owner = $2`), pipeline, owner); err != nil {
		return fmt.Errorf("let runs of %s wait: %w", pipeline, err)
	}
	return nil
}

// Watch takes a deployment out of the crossing of its pipeline, and says how long it watches what it has published: for
// that long, or until it leaves, what it could go back to is kept.
func (l Ledger) Watch(ctx context.Context, tx pgx.Tx, pipeline, owner string, long time.Duration) error {
	if err := l.LeaveCrossing(ctx, tx, pipeline, owner); err != nil {
		return err
	}
	seconds := long.Seconds()
	return l.watched(ctx, tx, pipeline, owner, &seconds)
}

// Unwatch says that a deployment watches no more.
func (l Ledger) Unwatch(ctx context.Context, q Querier, pipeline, owner string) error {
	return l.watched(ctx, q, pipeline, owner, nil)
}

// Watches says whether a deployment watches, as far as it has said.
func (l Ledger) Watches(ctx context.Context, q Querier, pipeline, owner string) (bool, error) {
	var watches bool
	if err := q.QueryRow(ctx, l.sql(`
		SELECT EXISTS (SELECT FROM ledger.tenure WHERE pipeline = $1 AND owner = $2 AND kind <> 'turn_back' AND watched_until IS NOT NULL)`),
		pipeline, owner).Scan(&watches); err != nil {
		return false, fmt.Errorf("look for the watch of %s: %w", pipeline, err)
	}
	return watches, nil
}

func (l Ledger) watched(ctx context.Context, q Querier, pipeline, owner string, seconds *float64) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.tenure
		SET watched_until = clock_timestamp() + make_interval(secs => $3)
		WHERE pipeline = $1 AND owner = $2 AND kind <> 'turn_back'`), pipeline, owner, seconds); err != nil {
		return fmt.Errorf("note the watch of %s: %w", pipeline, err)
	}
	return nil
}

// LeaveCrossing takes out who changes a pipeline; of somebody else's crossing it takes nothing.
func (l Ledger) LeaveCrossing(ctx context.Context, q Querier, pipeline, owner string) error {
	if _, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.crossing WHERE pipeline = $1 AND owner = $2`), pipeline, owner); err != nil {
		return fmt.Errorf("leave the crossing of %s: %w", pipeline, err)
	}
	return nil
}
