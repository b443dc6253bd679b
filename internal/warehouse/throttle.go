package warehouse

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/postgres"
	"drawbridge/internal/throttle"
)

// sampleWait bounds what one look at a signal may take.
const sampleWait = 5 * time.Second

// Sample reads signals of the server, in the order of their limits. The WAL is what was written in all: whoever asks twice knows the
// rate. A signal that the login cannot see is not guessed: its reading says what is missing.
func (w *Warehouse) Sample(ctx context.Context, limits []throttle.Limit) ([]throttle.Reading, error) {
	readings := make([]throttle.Reading, len(limits))
	for i, l := range limits {
		r, err := w.sample(ctx, l)
		if err != nil {
			return nil, postgres.Classify("look at", string(l.Signal)+" of the server", err)
		}
		readings[i] = r
	}
	return readings, nil
}

// others are the client sessions of somebody else.
const others = `backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'drawbridge/%'`

// hidden says whether what pg_stat_* has of other sessions is kept from the login.
const hidden = `NOT pg_has_role('pg_read_all_stats', 'USAGE')`

func (w *Warehouse) sample(ctx context.Context, l throttle.Limit) (throttle.Reading, error) {
	r := throttle.Reading{Limit: l}
	text := map[throttle.Signal]string{
		throttle.ReplicaLag: `SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8, ` + hidden + ` FROM pg_stat_replication`,
		throttle.ReplicaBytes: `SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::float8, ` + hidden + `
			FROM pg_stat_replication`,
		throttle.WALRate: `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8, false`,
		throttle.WaitingLocks: `
			SELECT count(DISTINCT l.pid)::float8, ` + hidden + `
			FROM pg_locks l
			JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database() AND a.backend_type = 'client backend' AND a.application_name NOT LIKE 'drawbridge/%'`,
		throttle.ActiveSessions: `SELECT count(*) FILTER (WHERE state = 'active')::float8, ` + hidden + ` FROM pg_stat_activity WHERE ` + others,
		throttle.OldestTransaction: `
			SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8, ` + hidden + `
			FROM pg_stat_activity WHERE datname = current_database() AND ` + others,
		throttle.Size: `SELECT pg_database_size(current_database())::float8, false`,
	}[l.Signal]
	if l.Signal == throttle.Query {
		return w.ask(ctx, l)
	}
	var unseen bool
	var role string
	err := w.readOnly(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT *, current_user::text FROM (`+text+`) AS seen (value, hidden)`).Scan(&r.Value, &unseen, &role)
	})
	if unseen {
		r.Unseen, r.Remedy = "the role "+postgres.Ident(role)+" does not see what others do", "GRANT pg_read_all_stats TO "+postgres.Ident(role)
	}
	return r, err
}

// ask runs a query of the policy. Its text and what it returns are the policy's: an error is told by its code only.
func (w *Warehouse) ask(ctx context.Context, l throttle.Limit) (throttle.Reading, error) {
	r := throttle.Reading{Limit: l}
	var value *float64
	err := w.readOnly(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT seen.value::float8 FROM (`+l.SQL+`) AS seen (value)`).Scan(&value)
	})
	pg, refused := errors.AsType[*pgconn.PgError](err)
	switch {
	case refused:
		r.Unseen, err = "its query fails with SQLSTATE "+pg.Code, nil
	case errors.Is(err, pgx.ErrNoRows), err == nil && value == nil:
		r.Unseen, err = "its query returns nothing", nil
	case err == nil:
		r.Value = *value
	}
	if r.Unseen != "" {
		r.Remedy = "mend the query " + l.Name + " under throttle of the environment's policy"
	}
	return r, err
}

func (w *Warehouse) readOnly(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, sampleWait); err != nil {
			return err
		}
		return do(tx)
	})
}
