package warehouse

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/postgres"
)

// settled is what became of an effect that is settled once: what it came to, or why it was refused.
type settled[T any] struct {
	Value   T        `json:"value"`
	Refused *refusal `json:"refused,omitempty"`
}

// refusal is a fault as the ledger keeps it.
type refusal struct {
	Class  fault.Class `json:"class"`
	Op     string      `json:"op"`
	Object string      `json:"object"`
	Hint   string      `json:"hint"`
	Reason string      `json:"reason"`
}

// settle does something at most once under a key, and refuses it at most once: an attempt that was stopped, and comes back
// when its workflow has gone on, finds what became of it, and begins nothing anew. What a refusal had done by then is undone.
func settle[T any](ctx context.Context, w *Warehouse, key effect.Key, kind string, do func(tx pgx.Tx) (T, error)) (T, error) {
	out, err := postgres.Once(ctx, w.pool, w.ledger, postgres.Effect{Key: key.String(), Kind: kind}, func(tx pgx.Tx) (settled[T], error) {
		var out settled[T]
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			if err := postgres.Bound(ctx, tx, ledgerWait); err != nil {
				return err
			}
			var err error
			out.Value, err = do(tx)
			return err
		})
		if f, ok := errors.AsType[*fault.Error](err); ok {
			reason := ""
			if f.Err != nil {
				reason = f.Err.Error()
			}
			return settled[T]{Refused: &refusal{Class: f.Class, Op: f.Op, Object: f.Object, Hint: fault.HintOf(f), Reason: reason}}, nil
		}
		return out, err
	})
	if err == nil && out.Refused != nil {
		r := out.Refused
		err = fault.Newf(r.Class, r.Op, r.Object, r.Hint, r.Reason)
	}
	return out.Value, err
}
