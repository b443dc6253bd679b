package warehouse_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/throttle"
)

func sampled(t *testing.T, b *bundle, l throttle.Limit) throttle.Reading {
	t.Helper()
	readings, err := b.Sample(t.Context(), []throttle.Limit{l})
	require.NoError(t, err)
	require.Len(t, readings, 1)
	require.Equal(t, l, readings[0].Limit)
	return readings[0]
}

// session opens a session of somebody else, which begins a transaction.
func session(t *testing.T, b *bundle, application string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(b.db.URL)
	require.NoError(t, err)
	config.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	_, err = conn.Exec(t.Context(), `BEGIN; SELECT count(*) FROM pg_class`)
	require.NoError(t, err)
	return conn
}

func TestSignalsOfAWarehouseAreRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE `+b.db.Schema+`.busy (n int)`)
	oldest := throttle.Limit{Signal: throttle.OldestTransaction, Max: 1}

	readings := func(l throttle.Limit) float64 {
		r := sampled(t, b, l)
		require.Empty(t, r.Unseen)
		return r.Value
	}
	theirs := session(t, b, "a report")
	require.Positive(t, readings(oldest))

	waiting := throttle.Limit{Signal: throttle.WaitingLocks, Max: 1}
	_, err := theirs.Exec(t.Context(), `LOCK TABLE `+b.db.Schema+`.busy`)
	require.NoError(t, err)
	blocked := session(t, b, "a writer")
	done := make(chan error, 1)
	go func() {
		_, err := blocked.Exec(t.Context(), `INSERT INTO `+b.db.Schema+`.busy VALUES (1)`)
		done <- err
	}()
	require.Eventually(t, func() bool {
		return readings(waiting) >= 1 && readings(throttle.Limit{Signal: throttle.ActiveSessions}) >= 1
	}, 20*time.Second, 20*time.Millisecond)
	_, err = theirs.Exec(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	require.NoError(t, <-done)

	require.Positive(t, readings(throttle.Limit{Signal: throttle.Size}))
	first := readings(throttle.Limit{Signal: throttle.WALRate})
	b.db.Exec(t, `INSERT INTO `+b.db.Schema+`.busy SELECT generate_series(1, 1000)`)
	require.Greater(t, readings(throttle.Limit{Signal: throttle.WALRate}), first)
	require.Zero(t, readings(throttle.Limit{Signal: throttle.ReplicaLag}), "there is no standby")
	require.Zero(t, readings(throttle.Limit{Signal: throttle.ReplicaBytes}))
}

func TestASignalThatCannotBeObservedSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE `+b.db.Schema+`.secret (card text)`)
	b.db.Exec(t, `INSERT INTO `+b.db.Schema+`.secret VALUES ('4111-1111')`)
	query := func(sql string) throttle.Limit {
		return throttle.Limit{Signal: throttle.Query, Name: "jobs", SQL: sql, Max: 1}
	}
	require.InDelta(t, 7, sampled(t, b, query(`SELECT 7`)).Value, 0)
	for sql, says := range map[string]string{
		`SELECT count(*) FROM no_such_table`:                              "42P01",
		`SELECT n FROM (SELECT 1 AS n) AS x WHERE false`:                  "returns nothing",
		`SELECT NULL::int`:                                                "returns nothing",
		`SELECT card FROM ` + b.db.Schema + `.secret`:                     "22P02",
		`INSERT INTO ` + b.db.Schema + `.secret VALUES ('x') RETURNING 1`: "42601",
	} {
		r := sampled(t, b, query(sql))
		require.Contains(t, r.Unseen, says, sql)
		require.NotContains(t, r.Unseen, "4111")
		require.Contains(t, r.Remedy, "throttle of the environment's policy")
	}
	poor, _ := poorLogin(t, b.db)
	readings, err := poor.Sample(t.Context(), []throttle.Limit{{Signal: throttle.OldestTransaction, Max: 1}, {Signal: throttle.Size, Max: 1}})
	require.NoError(t, err)
	require.Contains(t, readings[0].Remedy, "GRANT pg_read_all_stats TO")
	require.Empty(t, readings[1].Unseen)
}
