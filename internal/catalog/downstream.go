package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/partition"
)

// Reading is a pipeline whose active release has read some tables, and where it is active.
type Reading struct {
	Pipeline string   `db:"pipeline"`
	Version  string   `db:"version"`
	Digest   string   `db:"digest"`
	Config   string   `db:"config"`
	Reads    []string `db:"reads"`
}

// ReadersOf lists the pipelines whose active releases read some tables when they were built, but for one.
func (l Ledger) ReadersOf(ctx context.Context, q Querier, tables []string, but string) ([]Reading, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT t.pipeline, t.version, t.digest, t.config, array_agg(DISTINCT r.reads ORDER BY r.reads) AS reads
		FROM ledger.active a
		JOIN ledger.tenure t ON t.number = a.tenure
		JOIN ledger.read_set r ON r.digest = t.digest
		WHERE r.reads = ANY($1) AND t.pipeline <> $2
		GROUP BY t.pipeline, t.version, t.digest, t.config
		ORDER BY t.pipeline`), tables, but)
	if err != nil {
		return nil, fmt.Errorf("look who reads %v: %w", tables, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Reading])
	if err != nil {
		return nil, fmt.Errorf("look who reads %v: %w", tables, err)
	}
	return list, nil
}

// LiveOf lists the partitions of a pipeline that are live in any of its outputs.
func (l Ledger) LiveOf(ctx context.Context, q Querier, pipeline string) ([]partition.Key, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT DISTINCT v.partition
		FROM ledger.live v
		JOIN ledger.output o USING (output)
		WHERE o.pipeline = $1 AND v.generation IS NOT NULL
		ORDER BY v.partition`), pipeline)
	if err != nil {
		return nil, fmt.Errorf("list what is live of %s: %w", pipeline, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[partition.Key])
	if err != nil {
		return nil, fmt.Errorf("list what is live of %s: %w", pipeline, err)
	}
	return keys, nil
}

// SizeOf is how many bytes the live partitions of outputs have with their indexes, as the server's statistics have it, and how many
// partitions those are.
func (l Ledger) SizeOf(ctx context.Context, q Querier, outputs []string) (bytes, partitions int64, err error) {
	if err := q.QueryRow(ctx, l.sql(`
		SELECT coalesce(sum(greatest(c.relpages, 0)::bigint + coalesce(i.pages, 0)) * current_setting('block_size')::bigint, 0)::bigint, count(DISTINCT v.partition)
		FROM ledger.live v
		JOIN ledger.generation g ON g.id = v.generation
		JOIN pg_class c ON c.oid = g.child
		LEFT JOIN LATERAL (
		  SELECT sum(greatest(x.relpages, 0))::bigint AS pages
		  FROM pg_index ix
		  JOIN pg_class x ON x.oid = ix.indexrelid
		  WHERE ix.indrelid = c.oid) i ON true
		WHERE v.output = ANY($1)`), outputs).Scan(&bytes, &partitions); err != nil {
		return 0, 0, fmt.Errorf("measure %v: %w", outputs, err)
	}
	return bytes, partitions, nil
}
