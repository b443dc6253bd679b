package e2e_test

import (
	"context"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// srvParks waits until a workflow asks a person. Whatever it does meanwhile must be heard of: an attempt that counts as
// lost while its worker lives is why nobody is ever asked.
func (w *world) srvParks(id string, limit time.Duration) status {
	w.t.Helper()
	var s status
	require.True(w.t, w.becomes(limit, func() bool {
		d, err := w.temporal.DescribeWorkflowExecution(w.t.Context(), id, "")
		require.NoError(w.t, err)
		for _, a := range d.GetPendingActivities() {
			require.NotEqual(w.t, enumspb.TIMEOUT_TYPE_HEARTBEAT, a.GetLastFailure().GetTimeoutFailureInfo().GetTimeoutType(),
				"%s is not heard of, and is tried for the %d. time", a.GetActivityType().GetName(), a.GetAttempt())
		}
		s = w.status(id)
		return s.Stage == workflows.StageWaiting || s.Stage.Finished()
	}), "nobody was asked: %s", s.Sentence)
	require.Equal(w.t, workflows.StageWaiting, s.Stage, s.Sentence)
	return s
}

// srvDefaults starts a worker whose policy says nothing of how long a publish waits.
func (w *world) srvDefaults(name string) *worker {
	w.t.Helper()
	w.write("policies/policy.dev.yaml", "approval: {required: false}\n")
	return w.worker(name, "--env", "dev", "--workflows")
}

// The default budget for locks, and what reading and asking take on a busy machine.
const srvBudget = 30*time.Second + 45*time.Second

// A run whose publish is held up parks under the policy that nobody has touched, in its first attempt and within its budget,
// and goes on when it is told to.
func TestABlockedPublishParksUnderTheDefaultPolicy(t *testing.T) {
	t.Parallel()
	for name, frees := range map[gate.Choice]func(*pgx.Conn){
		gate.Retry:     func(c *pgx.Conn) { require.NoError(t, c.Close(t.Context())) },
		gate.Terminate: func(*pgx.Conn) {},
	} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			w, first := liveInDev(t)
			first.kill()
			w.srvDefaults("default")
			conn := w.session(holdsOrders)
			pid := strconv.Itoa(int(conn.PgConn().PID()))
			w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay, "--detach")
			id := workflows.RunID(shop, "dev", middleDay)
			w.srvParks(id, srvBudget)
			a := w.try("status", id)
			require.Contains(t, a.out, pid)
			require.Contains(t, a.out, report)
			w.holds("dev", four)
			frees(conn)
			w.cli(0, "decide", id, "--choice", string(name), "--reason", "nobody reads that report")
			w.cli(0, "status", id, "--watch")
			w.holds("dev", four)
			w.tidy("dev")
		})
	}
}

// So does whatever else changes what readers read: a deployment's publish, its new column, and the way back.
func TestWhateverIsBlockedAsksByTheDefaultPolicy(t *testing.T) {
	t.Parallel()
	for name, begins := range map[string]func(*world) (id string){
		"a publish": func(w *world) string {
			w.rebuild(w.release("1.1.0", "Orders and channels", "Channels and orders"))
			return w.srvID(shop)
		},
		"a column": func(w *world) string {
			w.rebuild(w.withCurrency("1.1.0"))
			return w.srvID(shop)
		},
		"the way back": func(w *world) string {
			w.cli(0, "rollback", shop, "--env", "dev", "--to", "1.0.0", "--reason", "bad", "--detach")
			return workflows.RollbackID(shop, "dev")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, first := liveInDev(t)
			if name == "the way back" {
				w.cli(0, "deploy", w.release("1.0.1", "Orders and channels", "Channels and orders"), "--to", "dev", "--rebuild", "all")
			}
			first.kill()
			w.srvDefaults("default")
			w.session(holdsOrders)
			s := w.srvParks(begins(w), srvBudget)
			require.NotEmpty(t, s.Gates)
			w.holds("dev", four)
		})
	}
}

// What a publish has waited is not forgotten with its worker: the budget is one for all attempts.
func TestABudgetSpansAttempts(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	first.kill()
	const budget = time.Minute // much longer than it takes to notice that a worker is gone
	w.impatient("dev", "approval: {required: false}\n", budget.String())
	second := w.worker("second", "--env", "dev", "--workflows")
	w.session(holdsOrders)
	w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay, "--detach")
	id := workflows.RunID(shop, "dev", middleDay)
	var began time.Time
	require.False(t, w.becomes(budget*3/4, func() bool {
		d, err := w.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		require.NoError(t, err)
		for _, a := range d.GetPendingActivities() {
			require.NotEqual(t, enumspb.TIMEOUT_TYPE_HEARTBEAT, a.GetLastFailure().GetTimeoutFailureInfo().GetTimeoutType(),
				"%s is not heard of, and is tried for the %d. time", a.GetActivityType().GetName(), a.GetAttempt())
		}
		if began.IsZero() && w.number(`SELECT count(*) FROM shop_dev__ledger.generation WHERE state = 'built'`) > 0 {
			began = time.Now()
		}
		return w.status(id).Stage.Finished()
	}), "it ended though it was held up")
	require.False(t, began.IsZero(), "it has not begun to publish")
	second.kill()
	w.worker("third", "--env", "dev", "--workflows")
	killed := time.Now()
	require.True(t, w.becomes(patience, func() bool { return w.status(id).Stage == workflows.StageWaiting }), "nobody was asked")
	require.Less(t, time.Since(killed), budget-time.Second, "the next attempt has begun to count anew")
}

// A long build of our own is waited for, or passed; nobody is asked to end it.
func TestALongBuildParksNoOtherPipeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\n", "3s")
	w.worker("worker", "--env", "dev", "--workflows")
	w.truDays("quick", "a", middleDay, newestDay)
	w.truDays("long", "a", newestDay)
	w.cli(0, "deploy", w.truFolder("quick", "1.0.0", truSpec{}), "--to", "dev")
	h := w.newHold()
	h.waiting, h.unlock, h.undo = "locktype = 'advisory' AND objid = 4712", `SELECT pg_advisory_unlock(4712)`, `SELECT`
	h.exec(`SELECT pg_advisory_lock(4712)`)
	long := w.truFolder("long", "1.0.0", truSpec{sql: "SELECT id, d, v FROM raw WHERE pg_advisory_xact_lock_shared(4712) IS NOT NULL"})
	w.cli(0, "run", long, "--env", "dev", "--partition", newestDay, "--detach")
	h.reached()
	w.cli(0, "run", "quick", "--env", "dev", "--partition", middleDay, "--detach")
	id := workflows.RunID("quick", "dev", middleDay)
	w.becomes(12*time.Second, func() bool {
		s := w.status(id)
		require.NotEqual(t, workflows.StageWaiting, s.Stage, "a person is asked about our own build: %s", s.Sentence)
		return s.Stage.Finished()
	})
	h.release()
	w.cli(0, "status", id, "--watch")
	w.cli(0, "status", workflows.RunID("long", "dev", newestDay), "--watch")
}

// A publish waits for the snapshots that are older than its build, and for none that is taken while it waits: whoever
// has an old transaction open without a snapshot, and whoever only comes to read, hold up nobody.
func TestReadersWhoComeLaterHoldUpNoPublish(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	first.kill()
	w.impatient("dev", "approval: {required: false}\n", "5s")
	w.worker("impatient", "--env", "dev", "--workflows")
	writer, err := pgx.Connect(t.Context(), w.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = writer.Close(cleanup(t)) })
	_, err = writer.Exec(t.Context(), `BEGIN; SELECT pg_current_xact_id()`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for range 3 {
		group.Go(func() {
			for ctx.Err() == nil {
				_, _ = w.db.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT pg_sleep(0.4); COMMIT`)
			}
		})
	}
	id := workflows.RunID(shop, "dev", middleDay)
	w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay, "--detach")
	var s status
	require.True(t, w.becomes(patience, func() bool {
		s = w.status(id)
		return s.Stage.Finished() || s.Stage == workflows.StageWaiting
	}))
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	w.holds("dev", four)
}

// Only what is ours is passed as ours: a session that claims to be one has its snapshot kept whole.
func TestASessionThatClaimsToBeOursKeepsItsSnapshot(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	first.kill()
	w.impatient("dev", "approval: {required: false}\n", "4s")
	w.worker("impatient", "--env", "dev", "--workflows")
	conn, err := pgx.Connect(t.Context(), w.url+"&application_name=drawbridge%2Fsomebody")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(cleanup(t)) })
	for _, sql := range []string{`CREATE TEMP TABLE mine (v text)`, `BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT 1`} {
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	feed := &srvFeed{more: make(chan struct{})}
	var group sync.WaitGroup
	var copied error
	group.Go(func() {
		_, copied = conn.PgConn().CopyFrom(t.Context(), feed, `COPY pg_temp.mine FROM STDIN WITH (FORMAT text)`)
	})
	pid := int(conn.PgConn().PID())
	w.await("the copy to begin", func() bool {
		return w.number(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query LIKE 'COPY%' AND state = 'active'`, pid) > 0
	})
	w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay, "--detach")
	id := workflows.RunID(shop, "dev", middleDay)
	w.await("the run to publish, or to ask", func() bool {
		s := w.status(id)
		return s.Stage.Finished() || s.Stage == workflows.StageWaiting
	})
	close(feed.more)
	group.Wait()
	require.NoError(t, copied)
	var seen int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM shop_dev.orders`, pgx.QueryExecModeSimpleProtocol).Scan(&seen))
	require.Equal(t, ordersPerDay*len(w.days), seen, "a transaction saw a partition go")
}

// srvFeed is a file that ends when more is closed.
type srvFeed struct{ more chan struct{} }

func (f *srvFeed) Read([]byte) (int, error) {
	<-f.more
	return 0, io.EOF
}
