package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

// SwapKind says in which direction a swap went.
type SwapKind string

// The directions. What a rollback takes away never counts as history that checks compare with.
const (
	Publish  SwapKind = "publish"
	Rollback SwapKind = "rollback"
)

// Swap is one change of what is live, as it happened.
type Swap struct {
	ID        int64         `db:"id"`
	EffectKey string        `db:"effect_key"`
	Kind      SwapKind      `db:"kind"`
	Output    string        `db:"output"`
	Partition partition.Key `db:"partition"`
	From      int64         `db:"from_generation"`
	To        int64         `db:"to_generation"`
	At        time.Time     `db:"at"`
}

const swapColumns = ` id, effect_key, kind, output, partition, coalesce(from_generation, 0) AS from_generation,
	coalesce(to_generation, 0) AS to_generation, at `

// LockLive locks the partitions of swaps against every other publish, in one order, without waiting, and returns the
// live generation of each; 0 where nothing is live. A partition that another publish holds is SQLSTATE 55P03.
func (l Ledger) LockLive(ctx context.Context, q Querier, swaps []generation.Swap) (map[partition.Key]map[string]int64, error) {
	outputs, partitions := make([]string, len(swaps)), make([]string, len(swaps))
	for i, s := range swaps {
		outputs[i], partitions[i] = s.Output, string(s.Partition)
	}
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.live (output, partition)
		SELECT output, partition
		FROM unnest($1::text[], $2::text[]) AS wanted (output, partition)
		WHERE NOT EXISTS (SELECT FROM ledger.live l WHERE l.output = wanted.output AND l.partition = wanted.partition)
		ON CONFLICT DO NOTHING`), outputs, partitions); err != nil {
		return nil, fmt.Errorf("enter partitions: %w", err)
	}
	rows, err := q.Query(ctx, l.sql(`
		SELECT l.output, l.partition, coalesce(l.generation, 0)
		FROM ledger.live l
		JOIN unnest($1::text[], $2::text[]) AS wanted (output, partition) USING (output, partition)
		ORDER BY l.output, l.partition
		FOR UPDATE OF l NOWAIT`), outputs, partitions)
	if err != nil {
		return nil, fmt.Errorf("lock partitions in the ledger: %w", err)
	}
	live := map[partition.Key]map[string]int64{}
	var output, key string
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&output, &key, &id}, func() error {
		if live[partition.Key(key)] == nil {
			live[partition.Key(key)] = map[string]int64{}
		}
		live[partition.Key(key)][output] = id
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lock partitions in the ledger: %w", err)
	}
	return live, nil
}

// RecordSwaps moves what is live, and the states of both sides. The caller holds the locks of LockLive.
func (l Ledger) RecordSwaps(ctx context.Context, q Querier, key string, kind SwapKind, swaps []generation.Swap) error {
	n := len(swaps)
	outputs, partitions, from, to := make([]string, n), make([]string, n), make([]*int64, n), make([]*int64, n)
	id := func(v int64) *int64 {
		if v == 0 {
			return nil
		}
		return &v
	}
	for i, s := range swaps {
		outputs[i], partitions[i], from[i], to[i] = s.Output, string(s.Partition), id(s.From), id(s.To)
	}
	statements := []struct {
		sql  string
		args []any
	}{
		{`UPDATE ledger.generation SET state = 'retired', at = clock_timestamp() WHERE id = ANY($1)`, []any{from}},
		{`UPDATE ledger.generation SET state = 'live', shadow = '', at = clock_timestamp() WHERE id = ANY($1)`, []any{to}},
		{`UPDATE ledger.live l SET generation = s.generation
		  FROM unnest($1::text[], $2::text[], $3::bigint[]) AS s (output, partition, generation)
		  WHERE l.output = s.output AND l.partition = s.partition`, []any{outputs, partitions, to}},
		{
			`INSERT INTO ledger.swap (effect_key, kind, output, partition, from_generation, to_generation)
		  SELECT $1, $2, s.* FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[]) AS s`,
			[]any{key, string(kind), outputs, partitions, from, to},
		},
	}
	for _, s := range statements {
		if _, err := q.Exec(ctx, l.sql(s.sql), s.args...); err != nil {
			return fmt.Errorf("record swaps of %s: %w", key, err)
		}
	}
	return nil
}

// SwapsOfPipeline lists the swaps of outputs, newest first.
func (l Ledger) SwapsOfPipeline(ctx context.Context, q Querier, outputs []string, limit int) ([]Swap, error) {
	return l.swaps(ctx, q, `SELECT`+swapColumns+`FROM ledger.swap WHERE output = ANY($1) ORDER BY id DESC LIMIT $2`, outputs, limit)
}

func (l Ledger) swaps(ctx context.Context, q Querier, text string, args ...any) ([]Swap, error) {
	rows, err := q.Query(ctx, l.sql(text), args...)
	if err != nil {
		return nil, fmt.Errorf("read swaps: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Swap])
	if err != nil {
		return nil, fmt.Errorf("read swaps: %w", err)
	}
	return list, nil
}
