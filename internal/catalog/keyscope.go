package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// SetUniqueKey records that the key of generations is unique over all partitions of their output.
func (l Ledger) SetUniqueKey(ctx context.Context, q Querier, generations []int64, key []string) error {
	if _, err := q.Exec(ctx, l.sql(`UPDATE ledger.generation SET unique_key = $2 WHERE id = ANY($1)`), generations, key); err != nil {
		return fmt.Errorf("record the key of generations %v: %w", generations, err)
	}
	return nil
}

// UniqueKeys are the keys, by generation, of those of some generations whose key is unique over all partitions of their output.
func (l Ledger) UniqueKeys(ctx context.Context, q Querier, generations []int64) (map[int64][]string, error) {
	rows, err := q.Query(ctx, l.sql(`SELECT id, unique_key FROM ledger.generation WHERE id = ANY($1) AND unique_key <> '{}'`), generations)
	if err != nil {
		return nil, fmt.Errorf("read keys of generations: %w", err)
	}
	keys := map[int64][]string{}
	var id int64
	var key []string
	_, err = pgx.ForEachRow(rows, []any{&id, &key}, func() error {
		keys[id] = key
		key = nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read keys of generations: %w", err)
	}
	return keys, nil
}
