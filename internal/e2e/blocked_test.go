package e2e_test

import (
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// reader is a session that reads orders in dev in one long transaction: a swap has to wait for it.
func (w *world) reader() *pgx.Conn {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url+"&application_name=a-long-report")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close(cleanup(w.t)) })
	_, err = conn.Exec(w.t.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shop_dev.orders`)
	require.NoError(w.t, err)
	return conn
}

// A publish never waits in silence: it names who holds it up, changes nothing, and asks.
func TestABlockedPublishNamesWhoBlocksAndAsks(t *testing.T) {
	t.Parallel()
	w, patient := liveInDev(t)
	patient.kill()
	w.impatient("dev", "approval: {required: false}\n", "1s")
	w.worker("impatient", "--env", "dev", "--workflows")
	conn := w.reader()
	pid := strconv.Itoa(int(conn.PgConn().PID()))
	a := w.cli(4, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay)
	require.Contains(t, a.out, "pid "+pid)
	require.Contains(t, a.out, "a-long-report")
	w.holds("dev", four)
	id := workflows.RunID(shop, "dev", middleDay)
	w.cli(0, "decide", id, "--choice", "retry", "--reason", "perhaps it is done")
	w.await("the gate to open again", func() bool { return len(w.status(id).Gates) == 2 })
	w.cli(0, "decide", id, "--choice", "terminate", "--reason", "nobody reads that report")
	w.cli(0, "status", id, "--watch")
	require.Error(t, conn.Ping(t.Context()), "the blocking session is ended")
	w.holds("dev", four)
	w.tidy("dev")
}

// A report that sits in an open transaction parks a publish under the policy that nobody has touched, in its first attempt
// and within its budget.
func TestABlockedPublishParksUnderTheDefaultPolicy(t *testing.T) {
	t.Parallel()
	w, patient := liveInDev(t)
	patient.kill()
	w.write("policies/policy.dev.yaml", "approval: {required: false}\n")
	w.worker("default", "--env", "dev", "--workflows")
	conn, err := pgx.Connect(t.Context(), w.url+"&application_name=a-long-report")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(cleanup(t)) })
	_, err = conn.Exec(t.Context(), `BEGIN; SELECT count(*) FROM shop_dev.orders`)
	require.NoError(t, err)
	a := w.cli(4, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay)
	require.Contains(t, a.out, "a-long-report")
	id := workflows.RunID(shop, "dev", middleDay)
	require.Len(t, w.status(id).Gates, 1)
	w.cli(0, "decide", id, "--choice", "terminate", "--reason", "nobody reads that report")
	w.cli(0, "status", id, "--watch")
	w.holds("dev", four)
	w.tidy("dev")
}

// A run that began with the release before is refused where a crossing has published in the meantime: it takes nothing of the
// newer release away, and the deployment goes on.
func TestARunOfTheReleaseBeforeOverwritesNothingNewer(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	slow := w.pipe("2026-01-04") // is built after the middle day, and published with it
	w.rebuild(w.withCurrency("1.1.0"))
	slow.loading()
	a := w.cli(2, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay)
	require.Contains(t, a.out, "later tenure")
	slow.finish()
	w.done(fiveFilled, "1.1.0")
}
