package warehouse

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/cutover"
	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

// Candidates are what a workflow has built under a tenure and nobody has published: the newest generation of each partition, in the
// place of what was live when its build began.
func (w *Warehouse) Candidates(ctx context.Context, owner effect.Owner, tenure int64) ([]generation.Candidate, error) {
	built, err := w.ledger.Candidates(ctx, w.pool, owner, tenure)
	return built, postgres.Classify("find what was built by", owner.Workflow(), err)
}

// Gauge is what a change of outputs costs here: their tables, and what bounds a transaction on this server.
func (w *Warehouse) Gauge(ctx context.Context, outputs []string) (map[string]cutover.Table, cutover.Bounds, error) {
	tables, bounds := map[string]cutover.Table{}, cutover.Bounds{}
	for _, output := range outputs {
		found, err := w.findParent(ctx, w.pool, output)
		if err != nil {
			return nil, bounds, err
		}
		t := cutover.Table{}
		if t.Scheme, err = w.ledger.Scheme(ctx, w.pool, output); err == nil {
			t.Attached, err = w.ledger.Attached(ctx, w.pool, found.OID)
		}
		if err != nil {
			return nil, bounds, postgres.Classify("look at", output, err)
		}
		if err := w.pool.QueryRow(ctx, `
			WITH RECURSIVE tree AS (
			  SELECT $1::oid AS oid
			  UNION ALL
			  SELECT i.inhrelid
			  FROM tree t
			  JOIN pg_inherits i ON i.inhparent = t.oid
			)
			SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM tree t JOIN pg_index i ON i.indrelid = t.oid GROUP BY t.oid) AS indexes`,
			found.OID).Scan(&t.Indexes); err != nil {
			return nil, bounds, postgres.Classify("look at", output, err)
		}
		tables[output] = t
	}
	ratio, err := w.ledger.SwapRatio(ctx, w.pool, cutover.Telling)
	if err != nil {
		return nil, bounds, postgres.Classify("look at", w.names.schema, err)
	}
	bounds.Speed = cutover.Speed(ratio)
	if bounds.LockSlots, err = w.pool.LockSlots(ctx); err == nil {
		bounds.ConstraintPages, err = w.constraintPages(ctx, w.pool)
	}
	return tables, bounds, postgres.Classify("look at", w.names.schema, err)
}

// Swappable says what would keep a publish from happening, as far as that shows before its locks are taken. Who waits for nobody
// learns nothing about those who would hold it up.
func (w *Warehouse) Swappable(ctx context.Context, spec generation.PublishSpec, ticket admission.Ticket) error {
	p := &publication{w: w, spec: spec, ticket: ticket}
	err := w.Admit(ctx, ticket)
	if err == nil {
		err = p.read(ctx)
	}
	if err == nil {
		_, _, err = p.settle(ctx, func(time.Duration) {})
	}
	if err == nil {
		err = pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
			_, err := p.plan(ctx, tx)
			return err
		})
	}
	return postgres.Classify("publish", p.object(), err)
}
