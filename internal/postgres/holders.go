package postgres

import (
	"context"
	"slices"
	"time"

	"drawbridge/internal/generation"

	"github.com/jackc/pgx/v5"
)

// Holders lists other sessions that hold a lock on one of the relations, in transactions older than age. It reads no
// query text.
func (p *Pool) Holders(ctx context.Context, relations []uint32, age time.Duration) ([]generation.Session, error) {
	return p.sessions(ctx, `
		SELECT DISTINCT ON (a.pid)
		       a.pid, coalesce(a.usename, '') AS "user", coalesce(a.application_name, '') AS application,
		       coalesce(host(a.client_addr), '') AS client, coalesce(a.state, 'unknown') AS state,
		       coalesce(a.xact_start, a.backend_start, now()) AS since, l.relation::regclass::text AS holds
		FROM pg_locks l
		JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'relation'
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND l.relation = ANY($1)
		  AND l.granted
		  AND l.pid <> pg_backend_pid()
		  AND (a.xact_start IS NULL OR a.xact_start <= now() - make_interval(secs => $2))
		ORDER BY a.pid, l.relation`, relations, age.Seconds())
}

// Terminate ends those of the blocking sessions that a person named. A session that ended meanwhile is none of them, so
// that its successor under the same PID is safe.
func (p *Pool) Terminate(ctx context.Context, blocking []generation.Session, named []int32) error {
	for _, s := range blocking {
		if !slices.Contains(named, s.PID) {
			continue
		}
		if _, err := p.Exec(ctx, `SELECT pg_terminate_backend($1)`, s.PID); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) sessions(ctx context.Context, sql string, args ...any) ([]generation.Session, error) {
	rows, err := p.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s generation.Session, err error) {
		err = row.Scan(&s.PID, &s.User, &s.Application, &s.Client, &s.State, &s.Since, &s.Holds)
		return s, err
	})
}
