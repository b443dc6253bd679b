package catalog

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/release"
)

// Hold is why nothing is published in an environment for now; its ID is 0 when nothing holds.
type Hold struct {
	ID     int64
	Reason string
	By     string
	Since  time.Time
}

// Standing reads the hold that stands.
func (l Ledger) Standing(ctx context.Context, q Querier) (h Hold, err error) {
	err = l.together(ctx, q, readStanding(&h))
	return h, err
}

func readStanding(h *Hold) statement {
	return statement{what: "look at holds", sql: `
		SELECT id, reason, set_by, since
		FROM ledger.hold
		WHERE released_at IS NULL`, into: []any{&h.ID, &h.Reason, &h.By, &h.Since}}
}

// SetHold sets a hold. Where one stands already that stays as it is, and is returned: the new one was not set. The caller holds
// ExcludeChange, so that nothing is published afterwards by who has looked before.
func (l Ledger) SetHold(ctx context.Context, q Querier, by, reason string, asked effect.Owner) (standing Hold, err error) {
	tag, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.hold (reason, set_by, set_in)
		VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`), fault.Bound(reason), fault.Bound(by), string(asked))
	if err != nil {
		return Hold{}, fmt.Errorf("set a hold: %w", err)
	}
	if tag.RowsAffected() > 0 {
		return Hold{}, nil
	}
	return l.Standing(ctx, q)
}

// ReleaseHold ends the hold that stands, and returns it; its ID is 0 where none did. The caller holds ExcludeChange, so that
// none is about to be taken over.
func (l Ledger) ReleaseHold(ctx context.Context, q Querier, by string, asked effect.Owner) (Hold, error) {
	stood, err := l.Standing(ctx, q)
	if err != nil || stood.ID == 0 {
		return Hold{}, err
	}
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.hold
		SET released_by = $2, released_in = $3, released_at = now()
		WHERE id = $1`), stood.ID, fault.Bound(by), string(asked)); err != nil {
		return Hold{}, fmt.Errorf("release the hold: %w", err)
	}
	return stood, nil
}

// Stands is the hold as others know it; nil where none stands.
func (h Hold) Stands() *release.Hold {
	if h.ID == 0 {
		return nil
	}
	return &release.Hold{Reason: h.Reason, By: h.By, Since: h.Since.UTC()}
}
