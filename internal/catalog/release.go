package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drawbridge/internal/release"

	"github.com/jackc/pgx/v5"
)

// Active reads the active release of a pipeline; nil when none is.
func (l Ledger) Active(ctx context.Context, q Querier, pipeline string) (*release.Release, error) {
	found := release.Release{Pipeline: pipeline}
	err := q.QueryRow(ctx, l.sql(`
		SELECT version, digest
		FROM ledger.active_release
		WHERE pipeline = $1`), pipeline).Scan(&found.Version, &found.Digest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the active release of %s: %w", pipeline, err)
	}
	return &found, nil
}

// SetActive makes to the active release of pipeline, nil: none, and records the change under the effect that made it.
// Where to is active already it does nothing.
func (l Ledger) SetActive(ctx context.Context, q Querier, key, pipeline string, to *release.Release) error {
	from, err := l.Active(ctx, q, pipeline)
	if err != nil {
		return err
	}
	if from == to || from != nil && to != nil && from.Digest == to.Digest {
		return nil
	}
	if to == nil {
		_, err = q.Exec(ctx, l.sql(`DELETE FROM ledger.active_release WHERE pipeline = $1`), pipeline)
	} else {
		_, err = q.Exec(ctx, l.sql(`
			INSERT INTO ledger.active_release (pipeline, version, digest, effect_key)
			VALUES ($1, $2, $3, $4)
			ON CONFLICT (pipeline) DO UPDATE
			SET version = excluded.version, digest = excluded.digest, effect_key = excluded.effect_key, since = now()`),
			pipeline, to.Version, to.Digest, key)
	}
	if err != nil {
		return fmt.Errorf("set the active release of %s: %w", pipeline, err)
	}
	version := func(r *release.Release) (v, d *string) {
		if r == nil {
			return nil, nil
		}
		return &r.Version, &r.Digest
	}
	toVersion, toDigest := version(to)
	fromVersion, fromDigest := version(from)
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.release_event (pipeline, version, digest, previous_version, previous_digest, effect_key)
		VALUES ($1, $2, $3, $4, $5, $6)`), pipeline, toVersion, toDigest, fromVersion, fromDigest, key); err != nil {
		return fmt.Errorf("record the active release of %s: %w", pipeline, err)
	}
	return nil
}

// ReleaseEvent is one change of a pipeline's active release.
type ReleaseEvent struct {
	Pipeline        string    `db:"pipeline"`
	Version         string    `db:"version"` // empty: none is active any more
	Digest          string    `db:"digest"`
	PreviousVersion string    `db:"previous_version"` // empty: none was
	PreviousDigest  string    `db:"previous_digest"`
	EffectKey       string    `db:"effect_key"`
	At              time.Time `db:"at"`
}

// To is the release that became active; nil: none.
func (e ReleaseEvent) To() *release.Release { return named(e.Pipeline, e.Version, e.Digest) }

// From is the release that was active before; nil: none.
func (e ReleaseEvent) From() *release.Release {
	return named(e.Pipeline, e.PreviousVersion, e.PreviousDigest)
}

func named(pipeline, version, digest string) *release.Release {
	if digest == "" {
		return nil
	}
	return &release.Release{Pipeline: pipeline, Version: version, Digest: digest}
}

// ReleaseEvents lists the changes of the active release, newest first.
func (l Ledger) ReleaseEvents(ctx context.Context, q Querier, pipeline string, limit int) ([]ReleaseEvent, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT pipeline, coalesce(version, '') AS version, coalesce(digest, '') AS digest,
		       coalesce(previous_version, '') AS previous_version, coalesce(previous_digest, '') AS previous_digest,
		       effect_key, at
		FROM ledger.release_event
		WHERE pipeline = $1
		ORDER BY id DESC
		LIMIT $2`), pipeline, limit)
	if err != nil {
		return nil, fmt.Errorf("read the releases of %s: %w", pipeline, err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByName[ReleaseEvent])
	if err != nil {
		return nil, fmt.Errorf("read the releases of %s: %w", pipeline, err)
	}
	return events, nil
}
