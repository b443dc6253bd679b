package alter

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

const (
	// inTurn is how often it is looked whether another session has ended that builds on the table, or is in the way.
	inTurn = 200 * time.Millisecond
	// concurrentLock is what a session holds that builds or drops an index of a table without a transaction.
	concurrentLock = `hashtextextended('drawbridge index of ' || $1::text, 0)`
)

// concurrently does a step that no transaction can hold: in a session of its own, which waits for old snapshots as long as they are there,
// and keeps nobody waiting. What a killed one left half done is cleaned away first. One at a time works on a table.
func (s *step) concurrently(ctx context.Context) (result migrate.StepResult, err error) {
	err = s.t.pool.Pinned(ctx, s.spec.Application, func(conn *pgx.Conn) error {
		started := time.Now()
		stop := postgres.Beating(func() { s.beat(time.Since(started)) }, longestScan)
		defer stop()
		mine, err := s.inTurn(ctx, conn)
		if err != nil {
			return err
		}
		if !mine {
			result, err = s.others(ctx)
			return err
		}
		there, err := s.whole(ctx, conn)
		if err == nil && !there && len(s.statements()) == 0 && !s.spec.Undo {
			err = s.fruitless()
		}
		if err == nil && !there {
			err = s.undisturbed(ctx, conn)
		}
		if err == nil && !there && len(s.statements()) > 0 {
			result, err = s.build(ctx, conn)
			if len(result.Blocked) > 0 {
				return err
			}
		}
		if err != nil {
			return err
		}
		result, err = postgres.Once(ctx, s.t.pool, s.t.ledger, s.effect(), func(tx pgx.Tx) (migrate.StepResult, error) {
			return migrate.StepResult{Done: true}, s.stay(ctx, tx, false)
		})
		return err
	})
	return result, err
}

// inTurn waits until no other session builds on the table, as long as there is budget.
func (s *step) inTurn(ctx context.Context, conn *pgx.Conn) (mine bool, err error) {
	for started := time.Now(); ; {
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+concurrentLock+`)`, s.table()).Scan(&mine); err != nil || mine {
			return mine, err
		}
		if s.spec.WaitedLocks+time.Since(started) > s.spec.LockBudget {
			return false, nil
		}
		if err := postgres.Pause(ctx, inTurn); err != nil {
			return false, err
		}
	}
}

// others are the sessions that build on the table.
func (s *step) others(ctx context.Context) (migrate.StepResult, error) {
	var pids []int32
	err := s.t.pool.QueryRow(ctx, `
		SELECT coalesce(array_agg(l.pid), '{}')
		FROM pg_locks l, (SELECT `+concurrentLock+` AS key) AS k
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND l.classid = (k.key >> 32 & x'ffffffff'::bigint)::oid AND l.objid = (k.key & x'ffffffff'::bigint)::oid`, s.table()).Scan(&pids)
	if err != nil {
		return migrate.StepResult{}, err
	}
	sessions, err := s.t.pool.Sessions(ctx, pids)
	return inTheWay(sessions), err
}

// table is the name under which sessions take turns.
func (s *step) table() string { return s.t.name(s.spec.Plan.Migration.Table) }

// whole says whether nothing is left to do, and nothing half done is there.
func (s *step) whole(ctx context.Context, q catalog.Querier) (bool, error) {
	there, err := s.there(ctx, q)
	if err != nil || !there {
		return false, err
	}
	if !s.spec.Undo {
		return true, nil
	}
	broken, err := s.broken(ctx, q)
	return !broken, err
}

// broken says whether something half done is there.
func (s *step) broken(ctx context.Context, q catalog.Querier) (found bool, err error) {
	if s.step.Half == "" {
		return false, nil
	}
	err = q.QueryRow(ctx, s.step.Half, pgx.QueryExecModeDescribeExec).Scan(&found)
	return found, err
}

// build cleans, acts, and looks what it has come to. What has failed is cleaned away as far as that can be done now.
func (s *step) build(ctx context.Context, conn *pgx.Conn) (migrate.StepResult, error) {
	if _, err := conn.Exec(ctx, `SELECT set_config('lock_timeout', '0', false), set_config('statement_timeout', '0', false)`); err != nil {
		return migrate.StepResult{}, err
	}
	defer func() {
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.CancelGrace)
		defer cancel()
		_, _ = conn.Exec(tidy, `RESET lock_timeout; RESET statement_timeout`, pgx.QueryExecModeSimpleProtocol) // a session that is lost is replaced
	}()
	broken, err := s.broken(ctx, conn)
	if err != nil {
		return migrate.StepResult{}, err
	}
	if broken {
		if blocked, err := s.run(ctx, conn, s.step.Clean); err != nil || len(blocked) > 0 {
			return inTheWay(blocked), err
		}
		if there, err := s.whole(ctx, conn); err != nil || there {
			return migrate.StepResult{}, err // what was to be dropped is gone
		}
	}
	blocked, err := s.run(ctx, conn, s.statements())
	if err == nil && len(blocked) == 0 {
		there, err := s.whole(ctx, conn)
		if err == nil && !there {
			err = s.fruitless()
		}
		return migrate.StepResult{}, err
	}
	s.tidy(ctx)
	return inTheWay(blocked), err
}

// run runs statements one by one, none in a transaction. Who keeps one waiting for longer than the budget is named, and it is given up.
func (s *step) run(ctx context.Context, conn *pgx.Conn, statements []string) ([]generation.Session, error) {
	for _, sql := range statements {
		working, give := context.WithCancel(ctx)
		blocked := make(chan []generation.Session, 1)
		go func() {
			blocked <- s.watch(working, int32(conn.PgConn().PID()), give)
		}()
		_, err := conn.Exec(working, sql, pgx.QueryExecModeExec)
		give()
		if sessions := <-blocked; len(sessions) > 0 && err != nil && ctx.Err() == nil {
			return sessions, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.step.ID, err)
		}
	}
	return nil, nil
}

// watch gives up what a session does when others keep it waiting for longer than the budget, and names them; none, where it ends by itself.
func (s *step) watch(ctx context.Context, pid int32, give func()) []generation.Session {
	var since time.Time // of the wait
	for postgres.Pause(ctx, inTurn) == nil {
		pids, err := s.t.pool.Blocking(ctx, pid)
		switch {
		case err != nil: // whoever waits is told by the statement itself
		case len(pids) == 0:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case s.spec.WaitedLocks+time.Since(since) > s.spec.LockBudget:
			sessions, err := s.t.pool.Sessions(ctx, pids)
			if err == nil && len(sessions) > 0 {
				give()
				return sessions
			}
		}
	}
	return nil
}

// tidy drops what was left half done, where nobody is in the way of that; else the next attempt does.
func (s *step) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.CancelGrace)
	defer cancel()
	_ = s.t.pool.Pinned(ctx, s.spec.Application, func(conn *pgx.Conn) error {
		if broken, err := s.broken(ctx, conn); err != nil || !broken {
			return err
		}
		for _, sql := range s.step.Clean {
			if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeExec); err != nil {
				return err
			}
		}
		return nil
	})
}
