package postgres_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
)

const repeatable = `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`

// write writes a row and lists, right after its commit, who may not see it.
func (b *bundle) write(t *testing.T, p *postgres.Pool) []postgres.Written {
	t.Helper()
	var xid string
	b.db.Exec(t, `CREATE TABLE IF NOT EXISTS written (i int)`)
	require.NoError(t, b.QueryRow(t.Context(), `INSERT INTO `+b.db.Schema+`.written VALUES (1) RETURNING pg_current_xact_id()::text`).Scan(&xid))
	older, at, err := p.Older(t.Context(), xid)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Hour)
	return []postgres.Written{{XID: xid, Older: older}}
}

func (b *bundle) still(t *testing.T, written []postgres.Written) []int32 {
	t.Helper()
	old, err := b.StillOlder(t.Context(), written)
	require.NoError(t, err)
	return pids(old)
}

// A long writer makes the horizon of every later snapshot old. Only snapshots from before the write count all the same.
func TestReadersThatBeganAfterTheWriteNeverCount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.session(t, `BEGIN; CREATE TABLE long_writer (i int)`)
	old := b.session(t, repeatable)
	written := b.write(t, b.Pool)
	young := b.session(t, repeatable)
	var precedes bool
	require.NoError(t, b.QueryRow(t.Context(), `SELECT age(backend_xmin) >= age($1::text::xid8::xid) FROM pg_stat_activity WHERE pid = $2`,
		written[0].XID, pid(young)).Scan(&precedes))
	require.True(t, precedes, "the horizon of the young snapshot does not tell it from an old one")

	held, err := b.AwaitSnapshots(t.Context(), written, 100*time.Millisecond, silent)
	require.NoError(t, err)
	require.Contains(t, pids(held), pid(old))
	require.NotContains(t, pids(held), pid(young))

	run(t, old, `COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`)
	require.NotContains(t, b.still(t, written), pid(old), "its next transaction sees the rows, although the horizon is as old")
	require.NotContains(t, b.still(t, written), pid(young))
}

func TestWorkAsideNeverCountsAndNoTextMakesASessionAside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	liar := b.session(t, `SET application_name = 'drawbridge/run/build'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'COPY pg_temp.x FROM STDIN '`)
	err := b.Pinned(t.Context(), "drawbridge/run/build", func(conn *pgx.Conn) error {
		run(t, conn, repeatable)
		tx, err := b.BeginTx(t.Context(), postgres.ReadOnly())
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
		require.NoError(t, postgres.Aside(t.Context(), tx))

		still := b.still(t, b.write(t, b.Pool))
		require.NotContains(t, still, pid(conn), "a pinned session")
		require.NotContains(t, still, pid(tx.Conn()), "a transaction that was marked")
		require.Contains(t, still, pid(liar))
		return nil
	})
	require.NoError(t, err)

	// The session goes back to the pool as it came: the next transaction in it counts.
	for _, conn := range b.AcquireAllIdle(t.Context()) {
		defer conn.Release()
		run(t, conn.Conn(), repeatable)
		defer run(t, conn.Conn(), `ROLLBACK`)
		require.Contains(t, b.still(t, b.write(t, b.Pool)), pid(conn.Conn()))
	}
}

func TestASessionThatTheRoleMayNotSeeCountsByItsVirtualTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	super := connect(t, testdb.Superuser(t), "")
	blind := open(t, b.role(t, super), b.db.Schema)
	reader := b.session(t, repeatable)
	written := b.write(t, blind)
	held, err := blind.StillOlder(t.Context(), written)
	require.NoError(t, err)
	require.Contains(t, pids(held), pid(reader))
	run(t, reader, `COMMIT; `+repeatable)
	held, err = blind.StillOlder(t.Context(), written)
	require.NoError(t, err)
	require.NotContains(t, pids(held), pid(reader))
}

// A standby with hot_standby_feedback says how old the oldest snapshot of its readers is. The test speaks for it.
func TestTheReadersOfAStandbyAreWaitedForByItsFeedback(t *testing.T) {
	t.Parallel()
	b := setup(t)
	config, err := pgconn.ParseConfig(testdb.Superuser(t))
	require.NoError(t, err)
	name := "standby " + b.db.Schema
	config.RuntimeParams["replication"] = "true"
	config.RuntimeParams["application_name"] = name
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	result, err := conn.Exec(t.Context(), `IDENTIFY_SYSTEM`).ReadAll()
	require.NoError(t, err)
	conn.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION PHYSICAL " + string(result[0].Rows[0][2])})
	require.NoError(t, conn.Frontend().Flush())
	feedback := func(xid uint64) {
		t.Helper()
		message := binary.BigEndian.AppendUint64([]byte{'h'}, 0)
		message = binary.BigEndian.AppendUint32(message, uint32(xid))
		message = binary.BigEndian.AppendUint32(message, uint32(xid>>32))
		message = binary.BigEndian.AppendUint64(message, 0) // no catalog horizon
		conn.Frontend().Send(&pgproto3.CopyData{Data: message})
		require.NoError(t, conn.Frontend().Flush())
		await(t, b, `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND backend_xmin = $2::text::xid)`,
			name, strconv.FormatUint(xid&0xffffffff, 10))
	}
	var before uint64
	require.NoError(t, b.QueryRow(t.Context(), `SELECT pg_current_xact_id()::text::bigint`).Scan(&before))
	feedback(before)
	written := b.write(t, b.Pool)
	held, err := b.AwaitSnapshots(t.Context(), written, 0, silent)
	require.NoError(t, err)
	var names []string
	for _, s := range held {
		names = append(names, s.Application+" "+s.State)
	}
	require.Contains(t, names, name+" standby")
	held = slices.DeleteFunc(held, func(s generation.Session) bool { return s.Application != name }) // the others are other tests'
	require.NoError(t, b.Terminate(t.Context(), held))

	after, err := strconv.ParseUint(written[0].XID, 10, 64)
	require.NoError(t, err)
	feedback(after + 1)
	held, err = b.StillOlder(t.Context(), written)
	require.NoError(t, err)
	for _, s := range held {
		require.NotEqual(t, name, s.Application)
	}
}

// await polls a condition of the server: with round trips, so that it never spins.
func await(t *testing.T, b *bundle, condition string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		var true_ bool
		require.NoError(t, b.QueryRow(t.Context(), condition, args...).Scan(&true_))
		if true_ {
			return
		}
		require.True(t, time.Now().Before(deadline), "%s", strings.TrimSpace(fmt.Sprint(condition, args)))
		_, err := b.Exec(t.Context(), `SELECT pg_sleep(0.05)`)
		require.NoError(t, err)
	}
}
