package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// effectWait bounds what one statement of an effect may take before it waits for tables.
const effectWait = 5 * time.Second

// Recorder keeps which effects have happened, with their results.
type Recorder interface {
	// Done reads the result of the effect under key into result and says whether it has happened.
	Done(ctx context.Context, tx pgx.Tx, key string, result any) (bool, error)
	// RecordEffect says that it has happened.
	RecordEffect(ctx context.Context, tx pgx.Tx, key, kind string, result any) error
}

// Effect names something that happens at most once.
type Effect struct {
	Key         string
	Kind        string
	Application string // of the session, while it happens; empty: the pool's
}

// Once runs do and the record of its result in one transaction, at most once under the effect's key: one that has
// happened returns its recorded result, also where the connection was lost at its commit. Two callers of one key come
// one after the other. do begins with both timeouts at effectWait and sets its own before it waits for longer.
func Once[T any](ctx context.Context, p *Pool, r Recorder, e Effect, do func(tx pgx.Tx) (T, error)) (T, error) {
	var none T
	tx, err := p.Begin(ctx)
	if err != nil {
		return none, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if e.Application != "" {
		if _, err := tx.Exec(ctx, `SELECT set_config('application_name', $1, true)`, Clip(e.Application)); err != nil {
			return none, err
		}
	}
	result, done, err := admit[T](ctx, tx, r, e.Key)
	if err != nil || done {
		return result, err
	}
	if result, err = do(tx); err != nil {
		return none, err
	}
	if err := r.RecordEffect(ctx, tx, e.Key, e.Kind, result); err != nil {
		return none, err
	}
	if err := tx.Commit(ctx); err != nil {
		return settle[T](ctx, p, r, e.Key, err)
	}
	return result, nil
}

// Done returns the recorded result of an effect that has happened.
func Done[T any](ctx context.Context, p *Pool, r Recorder, key string) (result T, done bool, err error) {
	err = pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
		done, err = r.Done(ctx, tx, key, &result)
		return err
	})
	return result, done, err
}

// admit locks the key until the transaction ends, before anything else is locked, and looks for the effect.
func admit[T any](ctx context.Context, tx pgx.Tx, r Recorder, key string) (result T, done bool, err error) {
	if err := Bound(ctx, tx, effectWait); err != nil {
		return result, false, err
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('drawbridge effect ' || $1::text, 0))`, key); err != nil {
		return result, false, err
	}
	done, err = r.Done(ctx, tx, key, &result)
	return result, done, err
}

// settle finds out what became of a commit whose answer was lost. The lock of the key tells when the lost session has
// ended: then its record is there, or never will be. Where the server stays away, the error stays transient, as the next
// call begins with the same look.
func settle[T any](ctx context.Context, p *Pool, r Recorder, key string, lost error) (result T, err error) {
	if SQLState(lost) != "" || ctx.Err() != nil {
		return result, lost
	}
	err = pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
		var done bool
		result, done, err = admit[T](ctx, tx, r, key)
		if err == nil && !done {
			return lost
		}
		return err
	})
	return result, err
}
