package alter_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
)

// noteLocks lets the ledger note what a step has locked, in the moment in which the step is recorded: it holds all of it then.
func (b *bundle) noteLocks(t *testing.T) {
	t.Helper()
	b.db.Exec(t, `CREATE TABLE `+b.ledger.Schema()+`.taken (mode text, relation oid)`)
	b.db.Exec(t, `CREATE FUNCTION `+b.ledger.Schema()+`.note_locks() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO `+b.ledger.Schema()+`.taken SELECT l.mode, l.relation FROM pg_catalog.pg_locks l WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted;
			RETURN NEW;
		END $$`)
	b.db.Exec(t, `CREATE TRIGGER note_locks BEFORE INSERT ON `+b.ledger.Schema()+`.effect FOR EACH ROW EXECUTE FUNCTION `+b.ledger.Schema()+`.note_locks()`)
}

// modes are the locks in which a step differs from reading and writing, from the weakest, with their names in pg_locks.
func modes() ([]migrate.Lock, []string) {
	return []migrate.Lock{migrate.NoLock, migrate.ShareUpdateExclusive, migrate.ShareRowExclusive, migrate.AccessExclusive},
		[]string{"", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock", "AccessExclusiveLock"}
}

// taken is the strongest lock on a table that was noted since it was asked last.
func (b *bundle) taken(t *testing.T, table uint32) migrate.Lock {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `DELETE FROM `+b.ledger.Schema()+`.taken RETURNING CASE WHEN relation = $1 THEN mode ELSE '' END`, table)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, found, "nothing was noted")
	return strongest(t, found)
}

// lockName is how pg_locks calls a lock.
func lockName(lock migrate.Lock) string {
	if lock == migrate.NoLock {
		return ""
	}
	words := strings.Fields(strings.ToLower(string(lock)))
	for i, word := range words {
		words[i] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "") + "Lock"
}

func strongest(t *testing.T, found []string) migrate.Lock {
	t.Helper()
	locks, names := modes()
	at := 0
	for _, mode := range found {
		if slices.Contains([]string{"", "AccessShareLock", "RowShareLock", "RowExclusiveLock"}, mode) {
			continue
		}
		require.Contains(t, names, mode)
		at = max(at, slices.Index(names, mode))
	}
	return locks[at]
}

// longestWait is how long anybody may wait for a lock of the table: a rung, and what a busy machine adds to it.
const longestWait = 1500 * time.Millisecond

// proveLocks does all steps while four sessions read and four write.
func proveLocks(t *testing.T, s scenario) {
	t.Helper()
	b := setup(t)
	b.make(t, s, plainly)
	p := b.planned(t, naming(plainly).migration(s))
	b.noteLocks(t)
	b.begin(t, p)
	b.db.Exec(t, `TRUNCATE `+b.ledger.Schema()+`.taken`)
	var table uint32
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT 'customers'::regclass::oid`).Scan(&table))
	end := sync.OnceValue(b.traffic(t, table))
	b.steps(t, p, len(p.Steps), func(step migrate.Step) {
		if step.Phase == s.refuses {
			end()
		}
		if step.Class == migrate.Concurrent {
			require.Equal(t, step.Lock, b.takenAside(t, p, step, table), step.ID)
			return
		}
		b.once(t, b.asked(p, step, false))
		require.Equal(t, strongest(t, []string{lockName(step.Lock)}), b.taken(t, table), step.ID)
	})
	require.Less(t, end(), longestWait)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
}

// takenAside does a step that no transaction can hold while a writer keeps it from its end, and looks what it holds meanwhile.
func (b *bundle) takenAside(t *testing.T, p migrate.Plan, step migrate.Step, table uint32) migrate.Lock {
	t.Helper()
	leave := b.holder(t, `UPDATE customers SET web = web WHERE id = 60`)
	done := make(chan error, 1)
	spec := b.asked(p, step, false)
	go func() {
		r, err := b.DoStep(context.WithoutCancel(t.Context()), spec, beat)
		if err == nil && !r.Done {
			err = fmt.Errorf("it is blocked: %+v", r)
		}
		done <- err
	}()
	var found []string
	require.Eventually(t, func() bool {
		rows, err := b.db.Pool.Query(t.Context(), `
			SELECT l.mode
			FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.relation = $1 AND l.locktype = 'relation' AND l.granted AND starts_with($2, a.application_name)
			  AND EXISTS (SELECT FROM pg_locks w WHERE w.pid = l.pid AND w.locktype IN ('virtualxid', 'transactionid') AND NOT w.granted)`, table, spec.Application)
		if err != nil {
			return false
		}
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err == nil && len(found) > 0
	}, 20*time.Second, time.Millisecond)
	leave()
	require.NoError(t, <-done)
	b.taken(t, table)
	return strongest(t, found)
}

// traffic lets four sessions read the table and four write it until end, which says how long somebody has waited for a lock of it at most.
// What they write is a copy of what is there, so it is right in whatever shape.
func (b *bundle) traffic(t *testing.T, table uint32) (end func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	failed := make(chan error, 9)
	var wg sync.WaitGroup
	var longest time.Duration
	session := func(do func(conn *pgx.Conn, i int) error) {
		wg.Go(func() {
			conn, err := pgx.Connect(ctx, b.db.URL)
			if err != nil {
				if ctx.Err() == nil {
					failed <- err
				}
				return
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			_, err = conn.Exec(ctx, `SET search_path = `+b.db.Schema)
			for i := 0; err == nil && ctx.Err() == nil; i++ {
				err = do(conn, i)
			}
			if ctx.Err() == nil {
				failed <- err
			}
		})
	}
	exec := func(conn *pgx.Conn, sql string, args ...any) error {
		_, err := conn.Exec(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
		return err
	}
	for n := range 4 {
		session(func(conn *pgx.Conn, i int) error {
			return exec(conn, `SELECT * FROM customers WHERE id = $1`, int64((i*7+n)%60+1))
		})
		session(func(conn *pgx.Conn, i int) error {
			switch own := int64(1000 + n); i % 3 {
			case 0:
				return exec(conn, `INSERT INTO customers SELECT (jsonb_populate_record(c, jsonb_build_object('id', $1::bigint))).* FROM customers c WHERE id = $2`, own, int64(i%60+1))
			case 1:
				return exec(conn, `UPDATE customers SET web = NOT web WHERE id = $1`, own)
			default:
				return exec(conn, `DELETE FROM customers WHERE id = $1`, own)
			}
		})
	}
	session(func(conn *pgx.Conn, _ int) error {
		var waited *time.Duration
		err := conn.QueryRow(ctx, `SELECT max(clock_timestamp() - waitstart) FROM pg_locks WHERE relation = $1 AND locktype = 'relation' AND NOT granted`, table).Scan(&waited)
		if waited != nil {
			longest = max(longest, *waited)
		}
		return err
	})
	return func() time.Duration {
		cancel()
		wg.Wait()
		select {
		case err := <-failed:
			require.NoError(t, err)
		default:
		}
		return longest
	}
}
