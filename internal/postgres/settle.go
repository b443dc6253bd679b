package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
)

// Settled is what became of an effect that is settled once: what it came to, or why it was refused.
type Settled[T any] struct {
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

// Settle does something at most once under a key, and refuses it at most once: an attempt that was stopped, and comes back
// when its workflow has gone on, finds what became of it, and begins nothing anew. What a refusal had done by then is undone. wait bounds
// each statement.
func Settle[T any](ctx context.Context, p *Pool, r Recorder, e Effect, wait time.Duration, do func(tx pgx.Tx) (T, error)) (T, error) {
	out, err := Once(ctx, p, r, e, func(tx pgx.Tx) (Settled[T], error) {
		var out Settled[T]
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			if err := Bound(ctx, tx, wait); err != nil {
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
			return Settled[T]{Refused: &refusal{Class: f.Class, Op: f.Op, Object: f.Object, Hint: fault.HintOf(f), Reason: reason}}, nil
		}
		return out, err
	})
	if err == nil && out.Refused != nil {
		r := out.Refused
		err = fault.Newf(r.Class, r.Op, r.Object, r.Hint, r.Reason)
	}
	return out.Value, err
}
