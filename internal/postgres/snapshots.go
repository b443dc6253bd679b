package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
)

const (
	firstLook = 10 * time.Millisecond
	nextLook  = 500 * time.Millisecond
)

// asideClass is the class of the advisory locks that say which sessions work aside: each holds the one of its own process. It
// waits for none, as anybody may have taken it: then it counts as a reader.
const asideClass = 0x64726177

// Aside marks a transaction of ours that reads nothing that a swap replaces: no swap waits for its snapshot, however
// long it takes. A pinned session is aside as a whole.
func Aside(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_try_advisory_xact_lock_shared($1::int, pg_backend_pid())`, asideClass)
	return err
}

// Written are rows that no reader may miss, and the transactions that may: a swap is not MVCC, so a snapshot from before
// the rows would see a table that is swapped in as empty, without an error.
type Written struct {
	XID   string   // the transaction that wrote them
	Older []string // as Older listed them right after its commit
}

// Older lists the transactions whose snapshots may precede xid, whose commit is behind us, with the moment C of the list. It is
// called once, outside a transaction, in which pg_stat_activity would be frozen. Snapshots that are taken later see the
// rows, so nobody joins the list. A horizon, backend_xmin, may be older than the snapshot itself, because it is that of
// the oldest transaction around: so what began after C does not count, whatever its horizon.
//
// Vacuums and what works aside read nothing that a swap replaces; a parallel worker ends before its leader; a physical
// walsender stands for the readers of a standby with hot_standby_feedback, by the name of that standby.
func (p *Pool) Older(ctx context.Context, xid string) (older []string, at time.Time, err error) {
	err = p.QueryRow(ctx, `
		WITH look AS MATERIALIZED (SELECT clock_timestamp() AS at),
		old AS (
		  SELECT a.pid || ' ' || l.virtualtransaction AS holder
		  FROM look, pg_stat_activity a
		  JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
		  WHERE a.datname = current_database()
		    AND a.pid <> pg_backend_pid()
		    AND age(a.backend_xmin) >= age($1::text::xid8::xid)
		    AND (a.xact_start IS NULL OR a.xact_start <= look.at)
		    AND a.usesysid IS NOT NULL -- autovacuum has none, also for those who may see no more of it
		    AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
		    AND NOT EXISTS (
		      SELECT
		      FROM pg_locks aside
		      WHERE aside.locktype = 'advisory' AND aside.database = a.datid AND aside.classid = $2 AND aside.objid = a.pid::bigint::oid
		        AND aside.objsubid = 2 AND aside.granted AND aside.pid = a.pid)
		  UNION
		  SELECT 'standby ' || name FROM `+standbys+` AS s WHERE age(s.xmin) >= age($1::text::xid8::xid))
		SELECT look.at, coalesce((SELECT array_agg(holder ORDER BY holder) FROM old), '{}')
		FROM look`, xid, asideClass).Scan(&at, &older)
	return older, at, err
}

// standbys are those that feed back the horizon of their readers: it is in their slot, or in their walsender.
const standbys = `(
	SELECT a.pid, a.application_name AS name, coalesce(s.xmin, a.backend_xmin) AS xmin, a.client_addr, a.backend_start
	FROM pg_stat_replication r
	JOIN pg_stat_activity a ON a.pid = r.pid AND a.datid IS NULL
	LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid AND s.slot_type = 'physical')`

// standby is the state of a session that stands for the readers of a standby.
const standby = "standby"

// AwaitSnapshots waits until none of the listed transactions can miss what was written, or the wait is over: then it
// returns those that still can. It holds no lock while it waits, and tells beat how long it has waited.
func (p *Pool) AwaitSnapshots(ctx context.Context, written []Written, wait time.Duration, beat func(waited time.Duration)) ([]generation.Session, error) {
	started := time.Now()
	for look := firstLook; ; look = min(2*look, nextLook) {
		old, err := p.StillOlder(ctx, written)
		waited := time.Since(started)
		beat(waited)
		if err != nil || len(old) == 0 || waited >= wait {
			return old, err
		}
		if err := Pause(ctx, min(look, max(wait-waited, time.Millisecond))); err != nil {
			return nil, err
		}
	}
}

// StillOlder returns those of the listed transactions that go on and whose horizon still precedes what was written.
func (p *Pool) StillOlder(ctx context.Context, written []Written) ([]generation.Session, error) {
	var holders, xids []string
	for _, w := range written {
		for _, holder := range w.Older {
			holders, xids = append(holders, holder), append(xids, w.XID)
		}
	}
	if len(holders) == 0 {
		return nil, nil
	}
	return p.sessions(ctx, `
		WITH listed AS (
		  SELECT split_part(holder, ' ', 1) AS who, substr(holder, strpos(holder, ' ') + 1) AS what,
		         (array_agg(xid::xid8 ORDER BY xid::xid8 DESC))[1] AS xid -- which has no max before Postgres 15
		  FROM unnest($1::text[], $2::text[]) AS l (holder, xid)
		  GROUP BY holder)
		SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
		       coalesce(a.state, 'unknown'), coalesce(a.xact_start, a.backend_start, now()) AS since, 'snapshot', o.what
		FROM listed o
		JOIN pg_stat_activity a ON a.pid::text = o.who
		WHERE age(a.backend_xmin) >= age(o.xid::xid)
		  AND EXISTS (
		    SELECT
		    FROM pg_locks l
		    WHERE l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted AND l.virtualtransaction = o.what)
		UNION ALL
		SELECT s.pid, '', s.name, coalesce(host(s.client_addr), ''), '`+standby+`', coalesce(s.backend_start, now()), 'snapshot', ''
		FROM listed o
		JOIN `+standbys+` AS s ON o.who = '`+standby+`' AND s.name = o.what
		WHERE age(s.xmin) >= age(o.xid::xid)
		ORDER BY since, 1`, holders, xids)
}
