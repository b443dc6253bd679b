package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Done reads the result of the effect under key into result, and says whether it has happened.
func (l Ledger) Done(ctx context.Context, tx pgx.Tx, key string, result any) (bool, error) {
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
