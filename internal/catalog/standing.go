package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/release"
)

// Pipelines lists how every pipeline of the ledger stands, by name.
func (l Ledger) Pipelines(ctx context.Context, q Querier) ([]release.Pipeline, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT p.pipeline, coalesce(t.version, ''), coalesce(a.tenure, 0), coalesce(c.owner, ''), coalesce(b.owner, ''),
		  ARRAY(
		    SELECT w.owner
		    FROM ledger.tenure w
		    WHERE w.pipeline = p.pipeline AND w.watched_until > now()
		    ORDER BY w.number)
		FROM (
		  SELECT pipeline FROM ledger.active
		  UNION
		  SELECT pipeline FROM ledger.crossing
		  UNION
		  SELECT pipeline FROM ledger.turn_back WHERE state = 'open'
		) p
		LEFT JOIN ledger.active a USING (pipeline)
		LEFT JOIN ledger.tenure t ON t.number = a.tenure
		LEFT JOIN ledger.crossing c ON c.pipeline = p.pipeline
		LEFT JOIN ledger.turn_back o ON o.pipeline = p.pipeline AND o.state = 'open'
		LEFT JOIN ledger.tenure b ON b.number = o.tenure
		ORDER BY p.pipeline`))
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p release.Pipeline, err error) {
		if err = row.Scan(&p.Name, &p.Active, &p.Tenure, &p.Crossing, &p.TurnBack, &p.Watching); err != nil {
			return p, err
		}
		p.Crossing, p.TurnBack = effect.Owner(p.Crossing).Workflow(), effect.Owner(p.TurnBack).Workflow()
		for i, owner := range p.Watching {
			p.Watching[i] = effect.Owner(owner).Workflow()
		}
		return p, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	return list, nil
}

// FencedShadows lists the stopped deployments that something still hangs in the shadow of, or whose shadow parents are in
// the schema still; mark is how the comment of such a parent begins, before its deployment.
func (l Ledger) FencedShadows(ctx context.Context, q Querier, schema, mark string) ([]string, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT f.owner
		FROM ledger.fence f
		WHERE EXISTS (SELECT FROM ledger.generation g WHERE g.shadow = f.owner AND g.state = 'shadow')
		   OR f.owner IN (
			SELECT substr(obj_description(c.oid, 'pg_class'), length($2) + 1)
			FROM pg_class c
			WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND c.relkind = 'p'
			  AND starts_with(obj_description(c.oid, 'pg_class'), $2))
		GROUP BY f.owner
		ORDER BY f.owner`), schema, mark)
	if err != nil {
		return nil, fmt.Errorf("list shadows of stopped deployments: %w", err)
	}
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list shadows of stopped deployments: %w", err)
	}
	return owners, nil
}
