package postgres

import (
	"context"
	"time"

	"drawbridge/internal/generation"
)

const (
	firstLook = 10 * time.Millisecond
	nextLook  = 500 * time.Millisecond
)

// AwaitSnapshots waits until no client session of the database has a snapshot that may precede the transaction xid, or
// the wait is over: then it returns the sessions that still do. A swap is not MVCC: such a snapshot would see the new
// child as empty, without an error. It holds no lock while it waits.
//
// A session that the role may not look into (no pg_read_all_stats) counts as old while the transaction lasts that it was
// in at the first look; those that begin later have newer snapshots.
func (p *Pool) AwaitSnapshots(ctx context.Context, xid string, wait time.Duration, beat func()) ([]generation.Session, error) {
	deadline := time.Now().Add(wait)
	hidden, err := p.hiddenTransactions(ctx)
	if err != nil {
		return nil, err
	}
	for look := firstLook; ; look = min(2*look, nextLook) {
		old, err := p.oldSnapshots(ctx, xid, hidden)
		if err != nil || len(old) == 0 || time.Until(deadline) <= 0 {
			return old, err
		}
		beat()
		if err := pause(ctx, min(look, max(time.Until(deadline), time.Millisecond))); err != nil {
			return nil, err
		}
	}
}

// hiddenTransactions lists the open transactions of sessions that the role may not look into.
func (p *Pool) hiddenTransactions(ctx context.Context) ([]string, error) {
	var found []string
	err := p.QueryRow(ctx, `
		SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}')
		FROM pg_locks l
		JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'virtualxid'
		  AND a.backend_type IS NULL
		  AND a.datname = current_database()`).Scan(&found)
	return found, err
}

// oldSnapshots lists sessions whose snapshot may precede xid. The horizon of a snapshot is backend_xmin: all older
// transactions have ended for it. age() compares across the wrap-around of transaction ids.
//
// Loads of our own do not count: they may take hours, and a COPY into a temporary table reads nothing, nor does what
// follows it in its transaction.
func (p *Pool) oldSnapshots(ctx context.Context, xid string, hidden []string) ([]generation.Session, error) {
	return p.sessions(ctx, `
		SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
		       coalesce(a.state, 'unknown'), coalesce(a.xact_start, a.backend_start, now()), 'snapshot'
		FROM pg_stat_activity a
		WHERE a.datname = current_database()
		  AND a.pid <> pg_backend_pid()
		  AND NOT coalesce(a.usename = session_user AND a.application_name LIKE 'drawbridge/%'
		                   AND a.state = 'active' AND a.query LIKE 'COPY pg\_temp.% FROM STDIN %', false)
		  AND (a.backend_type = 'client backend' AND age(a.backend_xmin) >= age($1::text::xid8::xid)
		    OR a.backend_type IS NULL
		      AND EXISTS (
		        SELECT
		        FROM pg_locks l
		        WHERE l.pid = a.pid AND l.locktype = 'virtualxid' AND l.virtualtransaction = ANY($2)))
		ORDER BY a.xact_start NULLS FIRST, a.pid`, xid, hidden)
}
