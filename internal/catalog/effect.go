package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
)

// UndoPath follows a workflow's key in the keys of the effects that turn it back: its own fence lets them pass.
const UndoPath = "/undo/"

// Admit reads the result of the effect under key into result and says whether it has happened. It keeps the workflow's
// effects from being fenced until the transaction ends: what a survey of them does not see will never be. A fenced
// effect is a fault.Conflict, also where it had happened: it is being turned back, and must not be taken for done.
func (l Ledger) Admit(ctx context.Context, tx pgx.Tx, key string, result any) (bool, error) {
	if _, err := tx.Exec(ctx, l.sql(`LOCK TABLE ledger.fence IN SHARE MODE`)); err != nil {
		return false, fmt.Errorf("look at fences: %w", err)
	}
	var fenced bool
	if err := tx.QueryRow(ctx, l.sql(`
		SELECT EXISTS (
		  SELECT
		  FROM ledger.fence
		  WHERE starts_with($1, key || '/') AND NOT starts_with($1, key || $2))`), key, UndoPath).Scan(&fenced); err != nil {
		return false, fmt.Errorf("look at fences: %w", err)
	}
	if fenced {
		return false, fault.Newf(fault.Conflict, "do effect", key, "start a new deployment or run: its effects have keys of their own",
			"the effects of its workflow are being turned back")
	}
	var body string
	err := tx.QueryRow(ctx, l.sql(`
		SELECT result::text
		FROM ledger.effect
		WHERE key = $1`), key).Scan(&body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for effect %s: %w", key, err)
	}
	if err := json.Unmarshal([]byte(body), result); err != nil {
		return false, fmt.Errorf("decode effect %s: %w", key, err)
	}
	return true, nil
}

// RecordEffect says that the effect under key has happened, with its result, in the effect's own transaction.
func (l Ledger) RecordEffect(ctx context.Context, tx pgx.Tx, key, kind string, result any) error {
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode effect %s: %w", key, err)
	}
	if _, err := tx.Exec(ctx, l.sql(`
		INSERT INTO ledger.effect (key, kind, result)
		VALUES ($1, $2, $3::text::jsonb)`), key, kind, string(body)); err != nil {
		return fmt.Errorf("record effect %s: %w", key, err)
	}
	return nil
}

// Fence closes the effects of a workflow, named by the prefix of their keys: it waits for those that are under way, and
// from its commit on there are no others, also not by a worker that was stopped in the middle of one. What the workflow
// has built, or still builds, and did not publish is rejected. Twice is once.
func (l Ledger) Fence(ctx context.Context, q Querier, key string) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.fence (key)
		VALUES ($1)
		ON CONFLICT DO NOTHING`), key); err != nil {
		return fmt.Errorf("fence effects of %s: %w", key, err)
	}
	// In a statement of its own: only now there is no publish under way that could take one of them.
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation
		SET state = 'rejected', reason = 'its workflow was turned back', at = now()
		WHERE state IN ('building', 'built')
		  AND starts_with(effect_key, $1 || '/') AND NOT starts_with(effect_key, $1 || $2)`), key, UndoPath); err != nil {
		return fmt.Errorf("give up what %s has built: %w", key, err)
	}
	return nil
}
