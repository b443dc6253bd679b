package warehouse

import (
	"context"
	"maps"
	"slices"
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
		t := cutover.Table{Attached: found.Attached}
		if err := w.pool.QueryRow(ctx, `
			SELECT coalesce(max(n), 0)
			FROM (
			  SELECT count(*) AS n
			  FROM pg_inherits h
			  JOIN pg_index i ON i.indrelid = h.inhrelid
			  WHERE h.inhparent = $1
			  GROUP BY h.inhrelid
			) AS indexes`, found.OID).Scan(&t.Indexes); err != nil {
			return nil, bounds, postgres.Classify("look at", output, err)
		}
		tables[output] = t
	}
	ratio, err := w.ledger.SwapRatio(ctx, w.pool, cutover.Telling)
	if err != nil {
		return nil, bounds, postgres.Classify("look at", w.names.schema, err)
	}
	bounds.Speed = cutover.Speed(ratio)
	bounds.LockSlots, err = w.lockSlots(ctx)
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
			_, _, _, err := p.ddl(ctx, tx)
			return err
		})
	}
	return postgres.Classify("publish", p.object(), err)
}

// expected is how long the swaps are expected to keep readers out, on a server that was never measured.
func (p *publication) expected() time.Duration {
	changes := map[string]cutover.Change{}
	for _, s := range p.swaps() {
		c := changes[s.Output]
		c.Attached = p.parents[s.Output].Attached
		switch {
		case s.From == 0:
			c.Added++
		case s.To == 0:
			c.Removed++
		default:
			c.Replaced++
		}
		changes[s.Output] = c
	}
	return cutover.Hold(slices.Collect(maps.Values(changes)), 0)
}
