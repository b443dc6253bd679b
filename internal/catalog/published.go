package catalog

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/breach"
)

// PublishedBy lists what a workflow published and readers still see.
func (l Ledger) PublishedBy(ctx context.Context, q Querier, owner string) ([]breach.Placed, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT DISTINCT ON (s.output, s.partition) s.output, s.partition, l.generation, coalesce(s.from_generation, 0) AS before
		FROM ledger.swap s
		JOIN ledger.live l ON l.output = s.output AND l.partition = s.partition
		WHERE s.owner = $1 AND (
		  SELECT n.owner = $1
		  FROM ledger.swap n
		  WHERE n.output = s.output AND n.partition = s.partition AND n.to_generation = l.generation
		  ORDER BY n.id DESC
		  LIMIT 1)
		ORDER BY s.output, s.partition, s.id`), owner)
	if err != nil {
		return nil, fmt.Errorf("list what %s published: %w", owner, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[breach.Placed])
	if err != nil {
		return nil, fmt.Errorf("list what %s published: %w", owner, err)
	}
	return list, nil
}

// Publisher is a workflow that published, and of which pipeline.
type Publisher struct {
	Owner    string `db:"owner"`
	Pipeline string `db:"pipeline"`
}

// PublishedAfter lists the workflows that published into outputs since a workflow first did, newest first, at most limit: of
// each pipeline, as several may feed what one check reads.
func (l Ledger) PublishedAfter(ctx context.Context, q Querier, owner string, outputs []string, limit int) ([]Publisher, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT s.owner, g.pipeline
		FROM ledger.swap s
		JOIN ledger.generation g ON g.id = s.to_generation
		WHERE s.kind = 'publish' AND s.owner <> $1 AND s.output = ANY($2)
		  AND s.id > (SELECT min(id) FROM ledger.swap WHERE owner = $1)
		GROUP BY s.owner, g.pipeline
		ORDER BY max(s.id) DESC
		LIMIT `+strconv.Itoa(limit)), owner, outputs)
	if err != nil {
		return nil, fmt.Errorf("list who published after %s: %w", owner, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Publisher])
	if err != nil {
		return nil, fmt.Errorf("list who published after %s: %w", owner, err)
	}
	return list, nil
}

// Blank lists those of outputs of which nothing is live.
func (l Ledger) Blank(ctx context.Context, q Querier, outputs []string) ([]string, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT output
		FROM unnest($1::text[]) AS output
		WHERE NOT EXISTS (SELECT FROM ledger.live l WHERE l.output = output.output AND l.generation IS NOT NULL)`), outputs)
	if err != nil {
		return nil, fmt.Errorf("look for outputs of which nothing is live: %w", err)
	}
	blank, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for outputs of which nothing is live: %w", err)
	}
	return blank, nil
}
