package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
)

// queued are the modes behind which SHARE UPDATE EXCLUSIVE waits: who holds one is waited for where readers pass.
const queued = `'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'`

// Holders lists who else holds a lock on one of the relations: sessions, and prepared transactions, which have none and
// are known by their gid. It reads no query text.
func (p *Pool) Holders(ctx context.Context, relations []uint32) ([]generation.Session, error) {
	return p.holders(ctx, holding{relations: relations, mode: AccessExclusive})
}

// holding are the locks by which others stand in the way.
type holding struct {
	relations []uint32
	mode      Mode // that is wanted of them
	// read are relations that are only to be read: who keeps readers with FOR KEY SHARE out is in the way there.
	read []uint32
	// age is how old a transaction has to be, and passed leaves those out whom SHARE UPDATE EXCLUSIVE waits for.
	age    time.Duration
	passed bool
}

// stalling lists those whom no rung would outlast, while readers queued behind us: transactions older than longHolder.
// Who holds a mode that SHARE UPDATE EXCLUSIVE waits for keeps nobody from trying: a vacuum, an ANALYZE or an index build
// is met before readers are held up, and an autovacuum only yields to somebody who waits for it.
func (p *Pool) stalling(ctx context.Context, h holding) ([]generation.Session, error) {
	h.age, h.passed = longHolder, true
	return p.holders(ctx, h)
}

func (p *Pool) holders(ctx context.Context, h holding) ([]generation.Session, error) {
	return p.sessions(ctx, `
		WITH held AS (
		  SELECT coalesce(l.pid, 0) AS pid, l.virtualtransaction, min(l.relation::oid) AS relation, bool_or(l.mode IN (`+queued+`)) AS queued
		  FROM pg_locks l
		  WHERE l.locktype = 'relation'
		    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		    AND (l.relation = ANY($1) AND l.mode IN (`+h.mode.conflicting()+`)
		         OR l.relation = ANY($4) AND l.mode IN ('ExclusiveLock', 'AccessExclusiveLock'))
		    AND l.granted
		    AND l.pid IS DISTINCT FROM pg_backend_pid()
		  GROUP BY l.pid, l.virtualtransaction),
		prepared AS (
		  SELECT l.virtualtransaction, x.gid, x.owner, x.prepared
		  FROM pg_prepared_xacts x
		  JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = x.transaction AND l.pid IS NULL AND l.granted)
		SELECT h.pid, coalesce(a.usename, x.owner, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
		       CASE WHEN x.gid IS NULL THEN coalesce(a.state, 'unknown') ELSE '`+generation.PreparedState+`' END,
		       coalesce(a.xact_start, x.prepared, a.backend_start, now()), h.relation::regclass::text, coalesce(x.gid, h.virtualtransaction)
		FROM held h
		LEFT JOIN pg_stat_activity a ON a.pid = h.pid
		LEFT JOIN prepared x ON h.pid = 0 AND h.virtualtransaction = x.virtualtransaction
		WHERE (a.pid IS NOT NULL OR x.gid IS NOT NULL)
		  AND coalesce(a.xact_start, x.prepared, '-infinity') <= now() - make_interval(secs => $2)
		  AND NOT ($3 AND h.queued)
		ORDER BY h.pid, 8`, h.relations, h.age.Seconds(), h.passed, h.read)
}

// LockSlots is the size of the server's lock table.
func (p *Pool) LockSlots(ctx context.Context) (slots int64, err error) {
	err = p.QueryRow(ctx, `
		SELECT current_setting('max_locks_per_transaction')::bigint
		     * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)`).Scan(&slots)
	return slots, err
}

// Blocking are the sessions that another one waits for; 0 stands for a prepared transaction.
func (p *Pool) Blocking(ctx context.Context, pid int32) (pids []int32, err error) {
	err = p.QueryRow(ctx, `SELECT pg_blocking_pids($1)`, pid).Scan(&pids)
	return pids, err
}

// Sessions are those of some processes, as far as they are there.
func (p *Pool) Sessions(ctx context.Context, pids []int32) ([]generation.Session, error) {
	return p.sessions(ctx, `
		SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.state, 'unknown'),
		       coalesce(a.xact_start, a.backend_start, now()), 'snapshot', coalesce(l.virtualtransaction, '')
		FROM pg_stat_activity a
		LEFT JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
		WHERE a.pid = ANY($1)
		ORDER BY a.pid`, pids)
}

// Terminate ends sessions, each only while it is in the very transaction in which it was seen. A prepared transaction and a
// standby are nobody's session.
func (p *Pool) Terminate(ctx context.Context, sessions []generation.Session) error {
	for _, s := range sessions {
		if s.PID == 0 || s.State == standby {
			continue
		}
		if _, err := p.Exec(ctx, `
			SELECT pg_terminate_backend($1)
			WHERE EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND virtualtransaction = $2)`, s.PID, s.Transaction); err != nil {
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
		err = row.Scan(&s.PID, &s.User, &s.Application, &s.Client, &s.State, &s.Since, &s.Holds, &s.Transaction)
		return s, err
	})
}
