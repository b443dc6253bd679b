package warehouse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/generation"
)

const (
	// The rungs of the ladder: readers queue behind a waiting ACCESS EXCLUSIVE for at most one rung.
	firstRung = 50 * time.Millisecond
	topRung   = 500 * time.Millisecond
	// autovacuumYields is added to deadlock_timeout: only then does a waiting lock make an autovacuum give way.
	autovacuumYields = 200 * time.Millisecond
	// longHolder is how old a transaction is that no rung would outlast; trying would only stall readers.
	longHolder = 2 * time.Second
)

// target is a relation that a change locks.
type target struct {
	oid  uint32
	name string // quoted
}

func (t target) less(o target) int {
	if t.oid < o.oid {
		return -1
	}
	return 1
}

func joinTargets(targets []target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = "ONLY " + t.name
	}
	return strings.Join(names, ", ")
}

// ladder tries attempt with growing patience until it is done, fails for good, or the budget is spent; then it returns
// false and the sessions that stand in the way. Before each rung it looks for holders that no rung would outlast.
func (w *Warehouse) ladder(ctx context.Context, budget time.Duration, relations []uint32, attempt func(ctx context.Context, rung time.Duration) error) (done bool, blocked []generation.Session, err error) {
	deadline := time.Now().Add(budget)
	for rung := firstRung; ; rung = min(2*rung, topRung) {
		blocked, err = w.holders(ctx, relations, longHolder)
		if err != nil {
			return false, nil, err
		}
		if len(blocked) == 0 {
			err = attempt(ctx, jitter(rung))
			if err == nil || !contended(err) || ctx.Err() != nil {
				return err == nil, nil, err
			}
		}
		if time.Until(deadline) < rung {
			break
		}
		if err := pause(ctx, jitter(rung)); err != nil {
			return false, nil, err
		}
	}
	if len(blocked) == 0 {
		blocked, err = w.holders(ctx, relations, 0)
	}
	return false, blocked, err
}

// jitter spreads rivals that would else try in step: between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// lock takes what a change of partitions needs, so that readers never wait for anyone but us, and we never deadlock
// with them. First SHARE UPDATE EXCLUSIVE on all: it queues behind vacuums and other changes while readers pass. Then
// ACCESS EXCLUSIVE on the parents: a reader takes the parent before its children, so once we have it nobody holds a
// child and waits for us. The children last. Each group in the order of OIDs; rung bounds each statement as a whole.
func lock(ctx context.Context, tx pgx.Tx, parents, children []target, rung time.Duration) error {
	for _, group := range [][]target{parents, children} {
		slices.SortFunc(group, target.less)
	}
	all := slices.Concat(parents, children)
	if len(all) == 0 {
		return nil
	}
	if err := bound(ctx, tx, "(SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout') + $1::int", int(autovacuumYields.Milliseconds())); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+joinTargets(all)+" IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := bound(ctx, tx, "$1::int", int(rung.Milliseconds())); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+joinTargets(all)+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	// The DDL that follows waits for nothing: it holds every lock.
	return bound(ctx, tx, "$1::int", int((10 * time.Second).Milliseconds()))
}

// bound sets both timeouts of the transaction: lock_timeout bounds one lock, statement_timeout the statement.
func bound(ctx context.Context, tx pgx.Tx, milliseconds string, value int) error {
	_, err := tx.Exec(ctx, fmt.Sprintf(`
		SELECT set_config('lock_timeout', ms::text, true), set_config('statement_timeout', ms::text, true)
		FROM (SELECT %s AS ms) AS t`, milliseconds), value)
	return err
}

// holders lists other sessions that hold a lock on one of the relations, in transactions older than age. It reads no
// query text.
func (w *Warehouse) holders(ctx context.Context, relations []uint32, age time.Duration) ([]generation.Session, error) {
	return sessions(ctx, w.pool, `
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

// terminate ends those of the blocking sessions that a person named. A session that ended meanwhile is none of them, so
// that its successor under the same PID is safe.
func (w *Warehouse) terminate(ctx context.Context, blocking []generation.Session, named []int32) error {
	for _, s := range blocking {
		if !slices.Contains(named, s.PID) {
			continue
		}
		if _, err := w.pool.Exec(ctx, `SELECT pg_terminate_backend($1)`, s.PID); err != nil {
			return err
		}
	}
	return nil
}

func sessions(ctx context.Context, q catalog.Querier, sql string, args ...any) ([]generation.Session, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s generation.Session, err error) {
		err = row.Scan(&s.PID, &s.User, &s.Application, &s.Client, &s.State, &s.Since, &s.Holds)
		return s, err
	})
}
