package e2e_test

import (
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// report is the name of a session that somebody has opened, and forgotten in the middle of a transaction.
const report = "a-long-report"

// session opens a session under that name, and leaves it in the middle of whatever it does.
func (w *world) session(sql string) *pgx.Conn {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url+"&application_name="+report)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close(cleanup(w.t)) })
	_, err = conn.Exec(w.t.Context(), sql)
	require.NoError(w.t, err)
	return conn
}

// What a session in the middle of a transaction holds: a snapshot, which a publish waits for, or a table that it has read.
const (
	holdsSnapshot = `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`
	holdsOrders   = `BEGIN; SELECT count(*) FROM shop_dev.orders`
)

// A publish never waits in silence: it names who holds it up, changes nothing, and asks.
func TestABlockedPublishNamesWhoBlocksAndAsks(t *testing.T) {
	t.Parallel()
	w, patient := liveInDev(t)
	patient.kill()
	w.impatient("dev", "approval: {required: false}\n", "1s")
	w.worker("impatient", "--env", "dev", "--workflows")
	conn := w.session(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shop_dev.orders`)
	pid := strconv.Itoa(int(conn.PgConn().PID()))
	a := w.cli(4, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay)
	require.Contains(t, a.out, "pid "+pid)
	require.Contains(t, a.out, report)
	w.holds("dev", four)
	id := workflows.RunID(shop, "dev", middleDay)
	w.cli(0, "decide", id, "--choice", "retry", "--reason", "perhaps it is done")
	w.await("the gate to open again", func() bool { return len(w.status(id).Gates) == 2 })
	w.record(id, "parked")
	w.cli(0, "decide", id, "--choice", "terminate", "--reason", "nobody reads that report")
	w.cli(0, "status", id, "--watch")
	require.Error(t, conn.Ping(t.Context()), "the blocking session is ended")
	w.holds("dev", four)
	w.tidy("dev")
}

// A run that began with the release before is refused where a crossing has published in the meantime: it takes nothing of the
// newer release away, and the deployment goes on.
func TestARunOfTheReleaseBeforeOverwritesNothingNewer(t *testing.T) {
	t.Parallel()
	w, _ := liveInSteps(t)
	slow := w.pipe("2026-01-04") // is built after the middle day, and published with it
	w.rebuild(w.withCurrency("1.1.0"))
	slow.loading()
	a := w.cli(2, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay)
	require.Contains(t, a.out, "later tenure")
	slow.finish()
	w.done(fiveFilled, "1.1.0")
}
