package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
)

// BatchProof reads what a release was seen to give for a range, under a config.
func (l Ledger) BatchProof(ctx context.Context, q Querier, digest, config string) (proof generation.BatchProof, err error) {
	err = q.QueryRow(ctx, l.sql(`SELECT true, difference, partitions FROM ledger.batch_proof WHERE digest = $1 AND config = $2`), digest, config).
		Scan(&proof.Known, &proof.Difference, &proof.Partitions)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return proof, fmt.Errorf("read what was seen of batches: %w", err)
	}
	return proof, nil
}

// RecordBatchProof writes it, once: what is there already stays.
func (l Ledger) RecordBatchProof(ctx context.Context, q Querier, digest, config string, proof generation.BatchProof) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.batch_proof (digest, config, difference, partitions)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`), digest, config, proof.Difference, proof.Partitions); err != nil {
		return fmt.Errorf("record what was seen of batches: %w", err)
	}
	return nil
}

// StillBuilding are those of some generations that are being built.
func (l Ledger) StillBuilding(ctx context.Context, q Querier, ids []int64) ([]int64, error) {
	rows, err := q.Query(ctx, l.sql(`SELECT id FROM ledger.generation WHERE id = ANY($1) AND state = 'building'`), ids)
	if err != nil {
		return nil, fmt.Errorf("look who is being built: %w", err)
	}
	building, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look who is being built: %w", err)
	}
	return building, nil
}
