package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
)

// Knows says whether a ledger has ever heard of a pipeline: whoever changes one reserves a tenure first.
func (l Ledger) Knows(ctx context.Context, q Querier, pipeline string) (bool, error) {
	var known bool
	if err := q.QueryRow(ctx, l.sql(`SELECT EXISTS (SELECT FROM ledger.tenure WHERE pipeline = $1)`), pipeline).Scan(&known); err != nil {
		return false, fmt.Errorf("look for %s: %w", pipeline, err)
	}
	return known, nil
}

// OpenOf lists the owners that one workflow was, of whichever of its starts, and of which the ledger still holds something
// open: the crossing, a backfill's span, a watch, what it builds, has built or has loaded.
func (l Ledger) OpenOf(ctx context.Context, q Querier, pipeline, workflow string) ([]string, error) {
	return l.ownersOf(ctx, q, pipeline, workflow, `
		SELECT owner_key
		FROM ledger.generation
		WHERE state IN ('building', 'built', 'shadow') AND pipeline = $1 AND starts_with(owner_key, $2)
		UNION
		SELECT owner
		FROM ledger.crossing
		WHERE pipeline = $1 AND starts_with(owner, $2)
		UNION
		SELECT owner
		FROM ledger.tenure
		WHERE pipeline = $1 AND watched_until IS NOT NULL AND starts_with(owner, $2)
		UNION
		SELECT owner
		FROM ledger.backfill
		WHERE pipeline = $1 AND ended_at IS NULL AND starts_with(owner, $2)
		UNION
		SELECT owner
		FROM ledger.landing
		WHERE state IN ('loading', 'loaded') AND starts_with(owner, $2)
		ORDER BY 1`)
}

// HalfOf lists the owners that one workflow was, and of which something is live under a release that they never made the active
// one: they stopped in the middle of it, and nobody has turned that back.
func (l Ledger) HalfOf(ctx context.Context, q Querier, pipeline, workflow string) ([]string, error) {
	return l.ownersOf(ctx, q, pipeline, workflow, `
		SELECT t.owner
		FROM ledger.tenure t
		WHERE t.pipeline = $1 AND t.kind = 'deployment' AND t.activated_at IS NULL AND starts_with(t.owner, $2)
		  AND NOT EXISTS (SELECT FROM ledger.turn_back b WHERE b.target_owner = t.owner)
		  AND EXISTS (
		        SELECT
		        FROM ledger.live v
		        JOIN ledger.generation g ON g.id = v.generation
		        WHERE v.tenure = t.number AND g.owner_key = t.owner)
		ORDER BY t.number`)
}

// ownersOf reads owners by how they begin, and keeps those of the workflow: an ID may be the beginning of another.
func (l Ledger) ownersOf(ctx context.Context, q Querier, pipeline, workflow, text string) ([]string, error) {
	rows, err := q.Query(ctx, l.sql(text), pipeline, workflow+"/")
	if err != nil {
		return nil, fmt.Errorf("list what is left of %s: %w", workflow, err)
	}
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list what is left of %s: %w", workflow, err)
	}
	return slices.DeleteFunc(owners, func(o string) bool { return effect.Owner(o).Workflow() != workflow }), nil
}
