package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
)

// take is a change that takes all locks of a table.
func (b *bundle) take(r postgres.Relation) func(context.Context, postgres.Rung) error {
	return func(ctx context.Context, rung postgres.Rung) error {
		return pgx.BeginFunc(ctx, b, func(tx pgx.Tx) error {
			return postgres.Lock(ctx, tx, postgres.Levels{Parents: []postgres.Relation{r}}, rung, func() error { return nil })
		})
	}
}

func (b *bundle) ladder(r postgres.Relation, budget time.Duration) postgres.Ladder {
	return postgres.Ladder{Pool: b.Pool, Relations: []uint32{r.OID}, Budget: budget, Beat: silent}
}

func TestALongReaderIsNotTriedAgainstAndIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.table(t)
	reader := b.session(t, `BEGIN; SELECT count(*) FROM t; SELECT pg_sleep(2.1)`)
	l := b.ladder(r, 300*time.Millisecond)
	var beats atomic.Int64
	l.Beat = func(time.Duration) { beats.Add(1) }
	done, blocked, err := l.Climb(t.Context(), func(context.Context, postgres.Rung) error {
		t.Error("readers would have queued behind this attempt in vain")
		return nil
	})
	require.NoError(t, err)
	require.False(t, done)
	require.Equal(t, []int32{pid(reader)}, pids(blocked))
	require.Greater(t, beats.Load(), int64(1), "it is alive while it waits")
}

func TestWhoAWeakerLockPassesStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	for mode, passes := range map[postgres.Mode]string{
		postgres.ShareUpdateExclusive: `BEGIN; DELETE FROM t; SELECT pg_sleep(2.1)`,
		postgres.ShareRowExclusive:    `BEGIN; SELECT count(*) FROM t; SELECT pg_sleep(2.1)`,
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := b.table(t)
			b.session(t, passes)
			l := b.ladder(r, 300*time.Millisecond)
			l.Mode = mode
			var taken string
			done, blocked, err := l.Climb(t.Context(), func(ctx context.Context, rung postgres.Rung) error {
				return pgx.BeginFunc(ctx, b, func(tx pgx.Tx) error {
					if err := postgres.Lock(ctx, tx, postgres.Levels{Mode: mode, Parents: []postgres.Relation{r}}, rung, func() error { return nil }); err != nil {
						return err
					}
					return tx.QueryRow(ctx, `SELECT max(upper(regexp_replace(replace(mode, 'Lock', ''), '([a-z])([A-Z])', '\1 \2', 'g')))
						FROM pg_locks WHERE pid = pg_backend_pid() AND relation = $1 AND ($2 <> 'SHARE ROW EXCLUSIVE' OR mode = 'ShareRowExclusiveLock')`, r.OID, string(mode)).Scan(&taken)
				})
			})
			require.NoError(t, err)
			require.True(t, done, "blocked: %+v", blocked)
			require.Equal(t, string(mode), taken)
		})
	}
}

// Who is met at SHARE UPDATE EXCLUSIVE, which readers pass, is tried against however long it has been there.
func TestAVacuumIsTriedAgainstHoweverOld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.table(t)
	b.session(t, `BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(2.1)`)
	tried := false
	done, _, err := b.ladder(r, 20*time.Second).Climb(t.Context(), func(context.Context, postgres.Rung) error {
		tried = true
		return nil
	})
	require.NoError(t, err)
	require.True(t, done)
	require.True(t, tried)
}

func TestAnAutovacuumYieldsToTheLadder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	super := connect(t, testdb.Superuser(t), "")
	r := b.table(t)
	b.db.Exec(t, `ALTER TABLE t SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1,
		autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)`)
	writer := b.session(t, `INSERT INTO t SELECT i FROM generate_series(1, 500000) AS i; DELETE FROM t WHERE i % 2 = 0`)
	require.NoError(t, writer.Close(t.Context())) // before Postgres 15 an idle session keeps to itself what it has written
	run(t, super, `ALTER SYSTEM SET autovacuum_naptime = '1s'`)
	run(t, super, `SELECT pg_reload_conf()`)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, _ = super.Exec(ctx, `ALTER SYSTEM RESET autovacuum_naptime`)
		_, _ = super.Exec(ctx, `SELECT pg_reload_conf()`)
	})
	await(t, b, `
		SELECT EXISTS (
		  SELECT
		  FROM pg_locks l
		  JOIN pg_stat_activity a ON a.pid = l.pid
		  WHERE l.relation = $1 AND l.granted AND a.backend_type = 'autovacuum worker' AND a.xact_start < now() - interval '2.1 seconds')`, r.OID)
	done, blocked, err := b.ladder(r, time.Minute).Climb(t.Context(), b.take(r))
	require.NoError(t, err)
	require.True(t, done, "%+v", blocked)
}

// However long a rung is asked for, readers queue behind a waiting ACCESS EXCLUSIVE for no longer than the top one.
func TestAccessExclusiveNeverWaitsLongerThanTheTopRung(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.table(t)
	b.session(t, `BEGIN; SELECT count(*) FROM t`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := b.take(r)(ctx, postgres.Rung{Wait: time.Hour, Patient: true})
	require.True(t, postgres.Contended(err), "%v", err)
	require.NoError(t, ctx.Err())
}

func TestTheLadderBeatsWithinARung(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.table(t)
	l := b.ladder(r, time.Minute)
	beaten := make(chan time.Duration, 1000)
	l.Beat = func(waited time.Duration) { beaten <- waited }
	done, _, err := l.Climb(t.Context(), func(context.Context, postgres.Rung) error {
		<-beaten // before the rung
		for last := time.Duration(0); last < 2*time.Second; {
			now := <-beaten
			require.Greater(t, now, last)
			last = now
		}
		return nil
	})
	require.NoError(t, err)
	require.True(t, done)
}

// Whoever was in the way may be gone when the ladder looks who it was: then it is neither done nor does it name anyone.
func TestALadderThatIsNotDoneSaysSoAlsoWhenNobodyIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.table(t)
	tries := 0
	done, blocked, err := b.ladder(r, 0).Climb(t.Context(), func(context.Context, postgres.Rung) error {
		tries++
		return &pgconn.PgError{Code: pgerrcode.LockNotAvailable}
	})
	require.NoError(t, err)
	require.False(t, done)
	require.Empty(t, blocked)
	require.Equal(t, 2, tries, "once more when nobody is found")
}

func TestAPreparedTransactionIsNamedByItsGid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.table(t)
	gid := "left over " + b.db.Schema
	owner := b.session(t, `BEGIN; SELECT count(*) FROM t; PREPARE TRANSACTION `+postgres.Literal(gid))
	t.Cleanup(func() {
		_, err := b.db.Pool.Exec(context.WithoutCancel(t.Context()), `ROLLBACK PREPARED `+postgres.Literal(gid))
		require.NoError(t, err)
	})
	require.NoError(t, owner.Close(t.Context()))
	done, blocked, err := b.ladder(r, 100*time.Millisecond).Climb(t.Context(), b.take(r))
	require.NoError(t, err)
	require.False(t, done)
	require.Len(t, blocked, 1)
	require.Equal(t, generation.PreparedState, blocked[0].State)
	require.Contains(t, blocked[0].Name(), gid)
	require.NoError(t, b.Terminate(t.Context(), blocked), "it has no session that could be ended")
	again, err := b.Holders(t.Context(), []uint32{r.OID})
	require.NoError(t, err)
	require.Equal(t, blocked, again)

	// It makes every horizon old; no snapshot is waited for on its account.
	written := b.write(t, b.Pool)
	young := b.session(t, repeatable)
	require.NotContains(t, b.still(t, written), pid(young))
}

// A person names a session by what they saw. What it does since, nobody has decided about.
func TestTerminateEndsASessionOnlyInTheTransactionThatWasSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.table(t)
	reader := b.session(t, `BEGIN; SELECT count(*) FROM t`)
	seen, err := b.Holders(t.Context(), []uint32{r.OID})
	require.NoError(t, err)
	require.Equal(t, []int32{pid(reader)}, pids(seen))
	run(t, reader, `COMMIT; BEGIN; SELECT count(*) FROM t`)
	now, err := b.Holders(t.Context(), []uint32{r.OID})
	require.NoError(t, err)
	require.NoError(t, b.Terminate(t.Context(), seen), "a stale list of holders changes nothing")
	require.NoError(t, reader.Ping(t.Context()))
	require.NoError(t, b.Terminate(t.Context(), now))
	require.Error(t, reader.Ping(t.Context()))
}
