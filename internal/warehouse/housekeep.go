package warehouse

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

const (
	// sampleAge is how long keys of failing rows are kept.
	sampleAge = 30 * 24 * time.Hour
	// verdictAge is how long what smoke and canary found is kept, at least.
	verdictAge = 30 * 24 * time.Hour
	// abandonedAge is after how long a generation that was never published is given up: longer than a gate stays open.
	abandonedAge = 14 * 24 * time.Hour
)

// Housekeep drops the shadows of stopped deployments, landings that nobody needs, parents of stopped batches, and the children that nobody can go
// back to any more: rejected ones, abandoned ones, and retired ones beyond keep that no open change could go back to, with the chunks in which
// they were the last. It never drops what readers see. It
// forgets old samples and verdicts, and refreshes statistics. It may be repeated; what is in the way today goes the next time.
func (w *Warehouse) Housekeep(ctx context.Context, keep time.Duration) error {
	failed := w.DropStoppedShadows(ctx) // the others still go
	gone, err := w.ledger.Disposable(ctx, w.pool, keep, abandonedAge)
	if err != nil {
		return postgres.Classify("housekeep", w.names.schema, err)
	}
	for _, group := range parted(gone) {
		if g := &group[0]; g.State == generation.Building || g.State == generation.Built {
			still, err := w.ledger.GiveUp(ctx, w.pool, g, "abandoned: never published")
			if err != nil {
				return postgres.Classify("housekeep", w.names.schema, err)
			}
			if !still {
				continue
			}
		}
		if err := w.dropChildren(ctx, group); err != nil && failed == nil {
			failed = postgres.Classify("drop", childName(group[0].ID), err) // the others still go
		}
	}
	if err := w.dropBuildParents(ctx); err != nil && failed == nil {
		failed = postgres.Classify("housekeep", w.names.schema, err)
	}
	if err := w.dropChunks(ctx); err != nil && failed == nil {
		failed = postgres.Classify("housekeep", w.names.schema, err)
	}
	if err := w.dropLandings(ctx); err != nil && failed == nil {
		failed = postgres.Classify("housekeep", w.names.schema, err)
	}
	if _, err := w.ledger.ForgetSamples(ctx, w.pool, sampleAge); err != nil {
		return postgres.Classify("housekeep", w.names.schema, err)
	}
	if err := w.ledger.ForgetVerdicts(ctx, w.pool, verdictAge); err != nil {
		return postgres.Classify("housekeep", w.names.schema, err)
	}
	if err := w.analyze(ctx); err != nil {
		return postgres.Classify("analyze", w.names.schema, err)
	}
	return failed
}

// parted groups what is dropped together: retired generations of a partition, one an output, in the order in which they were retired,
// because its outputs go back together or not at all. All else goes by itself.
func parted(gone []catalog.Generation) (groups [][]catalog.Generation) {
	slices.SortStableFunc(gone, func(a, b catalog.Generation) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Pipeline, b.Pipeline), cmp.Compare(a.Partition, b.Partition), a.At.Compare(b.At))
	})
	for _, g := range gone {
		if n := len(groups) - 1; n >= 0 && g.State == generation.Retired {
			with := groups[n]
			if with[0].State == g.State && with[0].Pipeline == g.Pipeline && with[0].Partition == g.Partition &&
				!slices.ContainsFunc(with, func(o catalog.Generation) bool { return o.Output == g.Output }) {
				groups[n] = append(with, g)
				continue
			}
		}
		groups = append(groups, []catalog.Generation{g})
	}
	return groups
}

const (
	// staleShare is the share of a table's rows that came since its statistics: below it they are good enough.
	staleShare = 0.1
	// analyzeBudget bounds the ANALYZEs of one round. A table's own statistics come before those of its children, and are
	// kept when the budget cuts the rest.
	analyzeBudget = 10 * time.Second
)

// analyze refreshes the statistics of the tables that readers see, which autovacuum never does, where much of them was
// published since: the stalest first, within a budget. Statistics that could not be had are no failure: the next round
// begins with them.
func (w *Warehouse) analyze(ctx context.Context) error {
	rows, err := w.ledger.PublishedSince(ctx, w.pool, w.names.schema)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(analyzeBudget)
	for _, r := range rows {
		left := time.Until(deadline)
		if float64(r.Fresh) <= staleShare*float64(r.Rows) || left <= 0 {
			break
		}
		err := w.analyzeTable(ctx, r.Output, left)
		if err != nil && (ctx.Err() != nil || !postgres.Contended(err)) {
			return err
		}
	}
	return nil
}

// analyzeTable analyses one table in a session of its own, in which statement_timeout can be set: outside a transaction,
// so that what is done when the time is up stays.
func (w *Warehouse) analyzeTable(ctx context.Context, output string, limit time.Duration) error {
	return w.pool.Pinned(ctx, w.pool.Application(), func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, `SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $1, false)`,
			postgres.Milliseconds(limit)); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "ANALYZE "+w.names.parent(output))
		if _, reset := conn.Exec(ctx, `RESET statement_timeout; RESET lock_timeout`); err == nil {
			err = reset
		}
		return err
	})
}
