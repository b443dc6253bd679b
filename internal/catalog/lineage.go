package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
)

// RecordBatch writes what a generation was built over, and what it adds, in the build's last transaction.
func (l Ledger) RecordBatch(ctx context.Context, q Querier, g Generation) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.batch (generation, mode, kept, name)
		VALUES ($1, $2, nullif($3::bigint, 0), $4)`), g.ID, g.Mode, g.Kept, g.Batch); err != nil {
		return fmt.Errorf("record the batch of generation %d: %w", g.ID, err)
	}
	return nil
}

// Added finds in the lineage of a generation the one that has added a batch; 0: none has.
func (l Ledger) Added(ctx context.Context, q Querier, id int64, batch string) (added int64, err error) {
	err = q.QueryRow(ctx, l.sql(`
		WITH RECURSIVE lineage AS (
		  SELECT generation, kept, name
		  FROM ledger.batch
		  WHERE generation = $1
		  UNION ALL
		  SELECT b.generation, b.kept, b.name
		  FROM lineage l
		  JOIN ledger.batch b ON b.generation = l.kept
		  WHERE l.name <> $2
		)
		SELECT coalesce(max(generation), 0)
		FROM lineage
		WHERE name = $2`), id, batch).Scan(&added)
	if err != nil {
		return 0, fmt.Errorf("look for batch %s under generation %d: %w", batch, id, err)
	}
	return added, nil
}

// BuiltOver is whose rows stay in generations that were built where rows stay; 0: in that one none do. The others are left out.
func (l Ledger) BuiltOver(ctx context.Context, q Querier, ids ...int64) (map[int64]int64, error) {
	rows, err := q.Query(ctx, l.sql(`SELECT generation, coalesce(kept, 0) FROM ledger.batch WHERE generation = ANY($1)`), ids)
	if err != nil {
		return nil, fmt.Errorf("read whose rows stay: %w", err)
	}
	of := map[int64]int64{}
	var id, kept int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &kept}, func() error {
		of[id] = kept
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read whose rows stay: %w", err)
	}
	return of, nil
}

// Pending are the batches of some outputs that were live and were taken away by turning back or detaching, and are not live again, nor
// replaced by a run that keeps nothing: by output, partition, and the order in which they were added.
func (l Ledger) Pending(ctx context.Context, q Querier, outputs []string) ([]generation.Batch, error) {
	rows, err := q.Query(ctx, l.sql(`
		WITH RECURSIVE gone AS (
		  SELECT b.generation, b.kept, b.name
		  FROM ledger.swap s
		  JOIN ledger.batch b ON b.generation = s.from_generation
		  WHERE s.output = ANY($1) AND s.kind <> 'publish' AND b.mode = 'append'
		  UNION
		  SELECT b.generation, b.kept, b.name
		  FROM gone g
		  JOIN ledger.batch b ON b.generation = g.kept
		), stands AS (
		  SELECT b.generation, b.kept, b.name
		  FROM ledger.live l
		  JOIN ledger.batch b ON b.generation = l.generation
		  WHERE l.output = ANY($1)
		  UNION
		  SELECT b.generation, b.kept, b.name
		  FROM stands s
		  JOIN ledger.batch b ON b.generation = s.kept
		)
		SELECT g.output, g.partition, gone.name, max(gone.generation) AS generation
		FROM gone
		JOIN ledger.generation g ON g.id = gone.generation
		WHERE gone.name <> ''
		  AND NOT EXISTS (
		        SELECT
		        FROM stands s
		        JOIN ledger.generation h ON h.id = s.generation
		        WHERE h.output = g.output AND h.partition = g.partition AND s.name = gone.name)
		  AND NOT EXISTS (
		        SELECT
		        FROM ledger.live l
		        WHERE l.output = g.output AND l.partition = g.partition AND l.generation > gone.generation
		          AND NOT EXISTS (SELECT FROM ledger.batch b WHERE b.generation = l.generation))
		GROUP BY g.output, g.partition, gone.name
		ORDER BY g.output, g.partition, generation`), outputs)
	if err != nil {
		return nil, fmt.Errorf("look for batches that were taken away: %w", err)
	}
	pending, err := pgx.CollectRows(rows, pgx.RowToStructByName[generation.Batch])
	if err != nil {
		return nil, fmt.Errorf("look for batches that were taken away: %w", err)
	}
	return pending, nil
}
