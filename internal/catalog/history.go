package catalog

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
)

// Events lists the newest changes of what readers see of a pipeline, one for each effect, newest first.
func (l Ledger) Events(ctx context.Context, q Querier, pipeline string, limit int) ([]generation.Event, error) {
	rows, err := q.Query(ctx, l.sql(`
		WITH ours AS (SELECT output FROM ledger.output WHERE pipeline = $1),
		recent AS (
		  SELECT effect_key, max(id) AS last
		  FROM ledger.swap
		  WHERE output IN (SELECT output FROM ours)
		  GROUP BY effect_key
		  ORDER BY last DESC
		  LIMIT `+strconv.Itoa(limit)+`
		)
		SELECT s.at, s.kind, s.tenure, coalesce(g.version, ''), coalesce(g.digest, ''), s.owner, s.asked_by, s.reason,
		       s.output || ' ' || s.partition, whole.swaps, whole.outputs, whole.span, whole.versions
		FROM recent
		JOIN ledger.swap s ON s.id = recent.last
		CROSS JOIN LATERAL (
		  SELECT count(*) AS swaps, string_agg(DISTINCT n.output, ', ') AS outputs,
		         coalesce(nullif(concat_ws(' to ', min(n.partition) FILTER (WHERE n.partition <> 'all'),
		           nullif(max(n.partition) FILTER (WHERE n.partition <> 'all'), min(n.partition) FILTER (WHERE n.partition <> 'all'))), ''), 'all') AS span,
		         array_remove(array_agg(DISTINCT made.version), NULL) AS versions
		  FROM ledger.swap n
		  LEFT JOIN ledger.generation made ON made.id = coalesce(n.to_generation, n.from_generation)
		  WHERE n.effect_key = s.effect_key
		) whole
		LEFT JOIN ledger.generation g ON g.id = coalesce(s.to_generation, s.from_generation)
		ORDER BY s.id DESC`), pipeline)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", pipeline, err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e generation.Event, err error) {
		var owner, outputs, span string
		var versions []string
		var swaps int
		err = row.Scan(&e.At, &e.Kind, &e.Tenure, &e.Release.Version, &e.Release.Digest, &owner, &e.By, &e.Reason, &e.Text, &swaps, &outputs, &span, &versions)
		e.Release.Pipeline, e.Workflow = pipeline, effect.Owner(owner).Workflow()
		if swaps > 1 {
			e.Text = fmt.Sprintf("%d swaps: %s of %s", swaps, span, outputs)
		}
		if len(versions) > 1 { // then the last one's is not that of the others
			e.Release.Version, e.Release.Digest = "", ""
			e.Text += ", to data of " + strings.Join(versions, ", ")
		}
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", pipeline, err)
	}
	return events, nil
}

// Oldest is when the oldest generation of a pipeline was retired that can be gone back to; nil when there is none.
func (l Ledger) Oldest(ctx context.Context, q Querier, pipeline string) (*time.Time, error) {
	var at *time.Time
	if err := q.QueryRow(ctx, l.sql(`
		SELECT min(at)
		FROM ledger.generation
		WHERE output IN (SELECT output FROM ledger.output WHERE pipeline = $1) AND state = 'retired' AND not_reattachable = ''`), pipeline).Scan(&at); err != nil {
		return nil, fmt.Errorf("read the horizon of %s: %w", pipeline, err)
	}
	return at, nil
}
