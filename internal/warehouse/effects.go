package warehouse

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

// Active is the release that runs of a pipeline use; nil when none is active, and where there is no ledger yet.
func (w *Warehouse) Active(ctx context.Context, pipeline string) (*release.Release, error) {
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return nil, classify("read active release of", pipeline, err)
	}
	active, err := w.ledger.Active(ctx, w.pool, pipeline)
	return active, classify("read active release of", pipeline, err)
}

// WasActive says whether a release of the pipeline is or was the active one.
func (w *Warehouse) WasActive(ctx context.Context, pipeline, digest string) (bool, error) {
	events, err := w.ledger.ReleaseEvents(ctx, w.pool, pipeline, eventsRead)
	was := slices.ContainsFunc(events, func(e catalog.ReleaseEvent) bool { return e.To() != nil && e.To().Digest == digest })
	return was, classify("read releases of", pipeline, err)
}

// SetActive flips the active release of a pipeline, nil: to none, once under key: a repeated call changes nothing, even
// where another release is active since. Under a fenced key it is fault.Conflict.
func (w *Warehouse) SetActive(ctx context.Context, key, pipeline string, r *release.Release) error {
	return classify("activate release of", pipeline, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := bound(ctx, tx, "$1::int", ledgerWait); err != nil {
			return err
		}
		var nothing struct{}
		if done, err := w.ledger.Admit(ctx, tx, key, &nothing); err != nil || done {
			return err
		}
		if err := w.ledger.SetActive(ctx, tx, key, pipeline, r); err != nil {
			return err
		}
		return w.ledger.RecordEffect(ctx, tx, key, "activate", nothing)
	}))
}

// RecordApproval stores an approval gate that closed, where publish reads it. Twice is once.
func (w *Warehouse) RecordApproval(ctx context.Context, planDigest, environment string, g gate.Gate) error {
	return classify("record approval of", planDigest, w.ledger.RecordApproval(ctx, w.pool, planDigest, environment, g))
}

// Approved says whether an approval gate of the plan closed with approve in the environment.
func (w *Warehouse) Approved(ctx context.Context, planDigest, environment string) (bool, error) {
	approved, err := w.ledger.Approved(ctx, w.pool, planDigest, environment)
	return approved, classify("read approvals of", planDigest, err)
}
