package warehouse

import (
	"context"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/postgres"
)

// settle does something in the ledger at most once under a key, and refuses it at most once.
func settle[T any](ctx context.Context, w *Warehouse, key effect.Key, kind string, do func(tx pgx.Tx) (T, error)) (T, error) {
	return postgres.Settle(ctx, w.pool, w.ledger, postgres.Effect{Key: key.String(), Kind: kind}, ledgerWait, do)
}
