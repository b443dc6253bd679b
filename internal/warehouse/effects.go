package warehouse

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/gate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

// Active is the release that runs of a pipeline use; nil when none is active, and where there is no ledger yet.
func (w *Warehouse) Active(ctx context.Context, pipeline string) (*release.Release, error) {
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return nil, postgres.Classify("read active release of", pipeline, err)
	}
	active, err := w.ledger.Active(ctx, w.pool, pipeline)
	return active, postgres.Classify("read active release of", pipeline, err)
}

// WasActive says whether a release of the pipeline is or was the active one.
func (w *Warehouse) WasActive(ctx context.Context, pipeline, digest string) (bool, error) {
	events, err := w.ledger.ReleaseEvents(ctx, w.pool, pipeline, eventsRead)
	was := slices.ContainsFunc(events, func(e catalog.ReleaseEvent) bool { return e.To() != nil && e.To().Digest == digest })
	return was, postgres.Classify("read releases of", pipeline, err)
}

// SetActive flips the active release of a pipeline, nil: to none, once under key: a repeated call changes nothing, even
// where another release is active since. Under a fenced key it is fault.Conflict.
func (w *Warehouse) SetActive(ctx context.Context, key, pipeline string, r *release.Release) error {
	effect := postgres.Effect{Key: key, Kind: "activate"}
	_, err := postgres.Once(ctx, w.pool, w.ledger, effect, func(tx pgx.Tx) (struct{}, error) {
		return struct{}{}, w.ledger.SetActive(ctx, tx, key, pipeline, r)
	})
	return postgres.Classify("activate release of", pipeline, err)
}

// RecordApproval stores an approval gate that closed, where publish reads it. Twice is once.
func (w *Warehouse) RecordApproval(ctx context.Context, planDigest, environment string, g gate.Gate) error {
	return postgres.Classify("record approval of", planDigest, w.ledger.RecordApproval(ctx, w.pool, planDigest, environment, g))
}

// Approved says whether an approval gate of the plan closed with approve in the environment.
func (w *Warehouse) Approved(ctx context.Context, planDigest, environment string) (bool, error) {
	approved, err := w.ledger.Approved(ctx, w.pool, planDigest, environment)
	return approved, postgres.Classify("read approvals of", planDigest, err)
}
