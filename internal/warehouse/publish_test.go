package warehouse_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
	"drawbridge/internal/warehouse"
)

// two builds and publishes one generation of a day and builds the next.
func (b *bundle) two(t *testing.T) (live, next generation.Generation) {
	t.Helper()
	b.orders("2026-01-01", 10, 1)
	live = b.build(t, shop(), "2026-01-01").Generation
	b.publish(t, swap(live, 0))
	b.orders("2026-01-01", 10, 2)
	return live, b.build(t, shop(), "2026-01-01").Generation
}

// begin opens a transaction that ends with the test, also when that fails: a pool is only closed when all is released.
func (b *bundle) begin(t *testing.T, options pgx.TxOptions) pgx.Tx {
	t.Helper()
	tx, err := b.db.Pool.BeginTx(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func TestPublishingTwiceIsPublishingOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, next := b.two(t)
	spec := b.patient(swap(next, live.ID))
	first, err := b.attempt(t.Context(), spec, beat)
	require.NoError(t, err)
	second, err := b.attempt(t.Context(), spec, beat)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, "25.00", b.sum(t))

	// What was turned back since is not taken for done, and not done again.
	b.goBack(t, live)
	_, err = b.attempt(t.Context(), spec, beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.Equal(t, "15.00", b.sum(t))
}

func TestOfRivalsForOnePartitionOneWins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	live := b.build(t, shop(), "2026-01-01").Generation
	b.publish(t, swap(live, 0))
	const rivals = 5
	var next []generation.Generation
	for range rivals {
		next = append(next, b.build(t, shop(), "2026-01-01").Generation)
	}
	// A reader holds the table, so that every rival is past its first look before one of them can win.
	reader := b.begin(t, pgx.TxOptions{})
	_, err := reader.Exec(t.Context(), `SELECT count(*) FROM fct_orders`)
	require.NoError(t, err)
	results := make(chan generation.PublishResult, rivals)
	errs := make(chan error, rivals)
	waiting := make(chan struct{}, rivals*100)
	for _, g := range next {
		spec := b.patient(swap(g, live.ID))
		go func() {
			result, err := b.attempt(context.WithoutCancel(t.Context()), spec, func(_, _ time.Duration) { waiting <- struct{}{} })
			results <- result
			errs <- err
		}()
	}
	for range rivals {
		<-waiting // in the ladder: what they read before is all equal
	}
	require.NoError(t, reader.Rollback(t.Context()))
	var won, lost int
	for range rivals {
		require.NoError(t, <-errs)
		switch result := <-results; {
		case result.Done:
			won++
		default:
			require.Equal(t, generation.ForOthers, result.WaitingFor)
			require.Equal(t, live.ID, result.Moved[0].From, "it says what moved")
			lost++
		}
	}
	require.Equal(t, 1, won)
	require.Equal(t, rivals-1, lost)
}

func TestAPublishWaitsForSnapshotsThatPrecedeTheBuild(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	live := b.build(t, shop(), "2026-01-01").Generation
	b.publish(t, swap(live, 0))
	old := b.begin(t, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	_, err := old.Exec(t.Context(), `SELECT 1`) // takes the snapshot, and no lock on the table
	require.NoError(t, err)
	next := b.build(t, shop(), "2026-01-01").Generation

	impatient := b.patient(swap(next, live.ID))
	impatient.SnapshotWait = 50 * time.Millisecond
	result, err := b.attempt(t.Context(), impatient, beat)
	require.NoError(t, err)
	require.False(t, result.Done)
	require.Equal(t, "snapshots", result.WaitingFor)
	require.True(t, slices.ContainsFunc(result.Blocked, func(s generation.Session) bool { return s.PID == int32(old.Conn().PgConn().PID()) }), "%+v", result.Blocked)

	var rows int
	require.NoError(t, old.QueryRow(t.Context(), `SELECT count(*) FROM fct_orders`).Scan(&rows))
	require.Equal(t, 10, rows)
	looked := make(chan struct{}, 1000)
	done := make(chan error, 1)
	go func() {
		result, err := b.attempt(context.WithoutCancel(t.Context()), b.patient(swap(next, live.ID)), func(_, _ time.Duration) { looked <- struct{}{} })
		if err == nil && !result.Done {
			err = context.DeadlineExceeded
		}
		done <- err
	}()
	<-looked
	require.NoError(t, old.Rollback(t.Context()))
	require.NoError(t, <-done)
}

func TestIgnoringSnapshotsGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, _ := b.two(t)
	old := b.begin(t, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	_, err := old.Exec(t.Context(), `SELECT 1`)
	require.NoError(t, err)
	newer := b.build(t, shop(), "2026-01-01").Generation
	spec := b.patient(swap(newer, live.ID))
	spec.SnapshotWait, spec.IgnoreSnapshots = 0, true
	result, err := b.attempt(t.Context(), spec, beat)
	require.NoError(t, err)
	require.True(t, result.Done)
}

func TestALockHolderIsNamedAndMayBeEnded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, next := b.two(t)
	holder, err := b.db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer holder.Release()
	_, err = holder.Exec(t.Context(), `SET application_name = 'report'; BEGIN; SELECT count(*) FROM fct_orders`)
	require.NoError(t, err)
	spec := b.patient(swap(next, live.ID))
	spec.LockBudget = 300 * time.Millisecond
	result, err := b.attempt(t.Context(), spec, beat)
	require.NoError(t, err)
	require.False(t, result.Done)
	require.Equal(t, "locks", result.WaitingFor)
	require.Len(t, result.Blocked, 1)
	require.Equal(t, "report", result.Blocked[0].Application)
	require.EqualValues(t, holder.Conn().PgConn().PID(), result.Blocked[0].PID)
	require.Equal(t, "15.00", b.sum(t), "a publish that is blocked changes nothing")

	spec.ticket.Rule = gate.Approval{Approvers: []string{"bob"}}
	effect, session := admission.AboutEffect(spec.Key), admission.AboutSession(result.Blocked[0])
	other := result.Blocked[0]
	other.Transaction += "1"
	for why, say := range map[string]func(){
		"who may not say so":        func() { b.answered(t, "mallory", gate.Terminate, effect, session) },
		"about another effect":      func() { b.answered(t, "bob", gate.Terminate, admission.AboutEffect(b.key()), session) },
		"about another transaction": func() { b.answered(t, "bob", gate.Terminate, effect, admission.AboutSession(other)) },
		"and then only to try again, which is the last word": func() {
			b.answered(t, "bob", gate.Terminate, effect, session)
			b.answered(t, "bob", gate.Retry, effect)
		},
	} {
		say()
		result, err = b.attempt(t.Context(), spec, beat)
		require.NoError(t, err, why)
		require.Equal(t, "locks", result.WaitingFor, why)
	}
	require.NoError(t, holder.Ping(t.Context()), "nobody was ended")

	spec.LockBudget = 20 * time.Second
	b.answered(t, "bob", gate.Terminate, effect, session)
	result, err = b.attempt(t.Context(), spec, beat)
	require.NoError(t, err)
	require.True(t, result.Done)
	require.Equal(t, "25.00", b.sum(t))
}

// Anybody may open as many sessions as the server lets them: some are named, and the others counted.
func TestWhoHoldsAPublishUpIsNamedWithinBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, next := b.two(t)
	const readers = 25
	for range readers {
		reader, err := pgx.Connect(t.Context(), b.db.URL) // more than a pool has
		require.NoError(t, err)
		t.Cleanup(func() { _ = reader.Close(context.WithoutCancel(t.Context())) })
		_, err = reader.Exec(t.Context(), `BEGIN; SELECT count(*) FROM `+pgx.Identifier{b.db.Schema, "fct_orders"}.Sanitize())
		require.NoError(t, err)
	}
	spec := b.patient(swap(next, live.ID))
	spec.LockBudget = 300 * time.Millisecond
	result, err := b.attempt(t.Context(), spec, beat)
	require.NoError(t, err)
	require.Equal(t, "locks", result.WaitingFor)
	require.Less(t, len(result.Blocked), readers)
	require.Equal(t, readers, len(result.Blocked)+result.More)
}

// A worker may be lost while a publish waits. What its attempts have waited counts against one budget.
func TestTheBudgetsOfAPublishSpanItsAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	live := b.build(t, shop(), "2026-01-01").Generation
	b.publish(t, swap(live, 0))
	old := b.begin(t, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	_, err := old.Exec(t.Context(), `SELECT 1`)
	require.NoError(t, err)
	next := b.build(t, shop(), "2026-01-01").Generation
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	spec := b.patient(swap(next, live.ID))
	spec.SnapshotWait, spec.WaitedSnapshots = time.Hour, time.Hour
	spec.LockBudget, spec.WaitedLocks = time.Hour, time.Hour
	var snapshots, locks time.Duration
	remember := func(s, l time.Duration) { snapshots, locks = s, l }
	result, err := b.attempt(ctx, spec, remember)
	require.NoError(t, err)
	require.Equal(t, "snapshots", result.WaitingFor)
	require.GreaterOrEqual(t, snapshots, time.Hour)

	require.NoError(t, old.Rollback(t.Context()))
	reader := b.begin(t, pgx.TxOptions{})
	_, err = reader.Exec(t.Context(), `SELECT count(*) FROM fct_orders`)
	require.NoError(t, err)
	spec.IgnoreSnapshots = true // other tests share the server
	result, err = b.attempt(ctx, spec, remember)
	require.NoError(t, err)
	require.Equal(t, "locks", result.WaitingFor)
	require.GreaterOrEqual(t, locks, time.Hour)
}

// Scheduled reports and a long load elsewhere are the ordinary life of a warehouse: none of them holds up a publish, and
// none of them is ended for it.
func TestReportsThatBeginAfterTheBuildHoldUpNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	load := b.begin(t, pgx.TxOptions{})
	_, err := load.Exec(t.Context(), `CREATE TABLE elsewhere AS SELECT 1 AS i`)
	require.NoError(t, err)
	live, next := b.two(t)
	report := b.begin(t, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	_, err = report.Exec(t.Context(), `SELECT 1`)
	require.NoError(t, err)
	spec := b.patient(swap(next, live.ID))
	b.answered(t, "bob", gate.Terminate, admission.AboutEffect(spec.Key), admission.AboutSession(generation.Session{PID: int32(report.Conn().PgConn().PID())}))
	result, err := b.attempt(t.Context(), spec, beat)
	require.NoError(t, err)
	require.True(t, result.Done, "%+v", result)
	var seen string
	require.NoError(t, report.QueryRow(t.Context(), `SELECT sum(amount)::text FROM fct_orders`).Scan(&seen))
	require.Equal(t, "25.00", seen, "the report's snapshot sees the rows that it meets")
}

func TestGoingBackIsTheSameSwapAndTheSameRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, next := b.two(t)
	rows, sum, err := b.Checksum(t.Context(), "fct_orders")
	require.NoError(t, err)
	require.Equal(t, live.Rows, rows)
	b.publish(t, swap(next, live.ID))
	_, other, err := b.Checksum(t.Context(), "fct_orders")
	require.NoError(t, err)
	require.NotEqual(t, sum, other)
	b.goBack(t, live)
	_, again, err := b.Checksum(t.Context(), "fct_orders")
	require.NoError(t, err)
	require.Equal(t, sum, again)

	detach := b.patient(generation.Swap{Output: live.Output, Partition: live.Partition, From: live.ID})
	_, err = b.attempt(t.Context(), detach, beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Equal(t, "15.00", b.sum(t), "only a turn-back detaches")
}

func TestAnOldGenerationGainsTheColumnsThatTheTableGained(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	old := b.build(t, shop(), "2026-01-01").Generation
	b.publish(t, swap(old, 0))
	b.orders("2026-01-02", 10, 0)
	crossing := b.owner
	b.owner = workflow("run/shop/nightly")
	never := b.build(t, shop(), "2026-01-02").Generation // not attached when the table gains the column
	b.owner = crossing
	_, err := b.db.Pool.Exec(t.Context(), `
		CREATE VIEW revenue AS SELECT sum(amount) AS total FROM fct_orders;
		COMMENT ON TABLE fct_orders IS 'orders'`)
	require.NoError(t, err)

	before := b.tenure
	b.cross(t, "1.1.0")
	wider := shop()
	wider.Version = "1.1.0"
	wider.Outputs[0].SQL = `SELECT order_id, ordered_at::date AS order_date, channel, amount, 'EUR'::text AS currency FROM raw_orders`
	built, err := b.Build(t.Context(), b.spec(wider, "2026-01-01"))
	require.NoError(t, err)
	next := built[0].Generation
	spec := b.patient(swap(next, old.ID))
	_, err = b.attempt(t.Context(), spec, beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "currency")

	require.Equal(t, []string{"add fct_orders.currency text"}, b.expand(t, wider))
	require.Empty(t, b.expand(t, wider))
	crossing, b.owner = b.owner, workflow("run/shop/nightly")
	run := b.patient(swap(never, 0)) // of what is still active
	b.owner = crossing
	run.ticket.Question.Release, run.ticket.Question.Tenure = before.Release, before.Number
	b.done(t, run)
	b.publish(t, swap(next, old.ID))
	b.goBack(t, old)
	require.NoError(t, b.Verify(t.Context(), []int64{old.ID, next.ID, never.ID}, func() {}), "the recorded checksum covers the recorded columns")

	var comment string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT obj_description('fct_orders'::regclass)`).Scan(&comment))
	require.Equal(t, "orders", comment)
	var total string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT total::text FROM revenue`).Scan(&total))
	require.Equal(t, "20.00", total)
}

func TestAColumnOfAnotherTypeIsNoExpansion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	b.publish(t, swap(b.build(t, shop(), "2026-01-01").Generation, 0))
	p := shop()
	p.Outputs[0].SQL = `SELECT order_id, ordered_at::date AS order_date, channel, amount::text AS amount FROM raw_orders`
	_, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
}

func TestAPublishedChildRefusesEveryWrite(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	b.publish(t, swap(b.build(t, shop(), "2026-01-01").Generation, 0))
	for _, sql := range []string{
		`INSERT INTO fct_orders SELECT 99, order_date, channel, amount FROM fct_orders LIMIT 1`,
		`UPDATE fct_orders SET amount = 0`, `DELETE FROM fct_orders`, `TRUNCATE fct_orders`,
	} {
		_, err := b.db.Pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "nobody writes it in place", sql)
	}
}

func TestAChildThatCouldHaveBeenWrittenDoesNotGoLiveAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ tamper, says string }{
		"its trigger was disabled":   {"ALTER TABLE %s DISABLE TRIGGER drawbridge_refuse_write", "write-refusing triggers"},
		"somebody else may write it": {"GRANT UPDATE ON %s TO PUBLIC", "another role may write it"},
		"a column was dropped":       {"ALTER TABLE %s DROP COLUMN amount", "columns are not those"},
		"its table is gone":          {"DROP TABLE %s", "its table is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			live, next := b.two(t)
			b.publish(t, swap(next, live.ID))
			_, err := b.db.Pool.Exec(t.Context(), fmt.Sprintf(c.tamper, b.child(live.ID)))
			require.NoError(t, err)
			_, err = b.back(t, live)
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, "25.00", b.sum(t))
		})
	}
}

func TestVerifyFindsRowsThatAreNotThoseRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live, next := b.two(t)
	b.publish(t, swap(next, live.ID))
	require.NoError(t, b.Verify(t.Context(), []int64{live.ID}, func() {}))
	_, err := b.db.Pool.Exec(t.Context(), fmt.Sprintf("ALTER TABLE %[1]s DISABLE TRIGGER USER; UPDATE %[1]s SET amount = amount + 1; ALTER TABLE %[1]s ENABLE TRIGGER USER", b.child(live.ID)))
	require.NoError(t, err)
	err = b.Verify(t.Context(), []int64{live.ID}, func() {})
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	_, err = b.back(t, live)
	require.ErrorContains(t, err, "cannot be again")
}

func TestAControlIsNeverPublished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	b.build(t, shop(), "2026-01-01")
	spec := b.spec(shop(), "2026-01-01")
	spec.Control = true
	built, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	_, err = b.attempt(t.Context(), b.patient(swap(built[0].Generation, 0)), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
}

func TestAPlainTableIsRefusedWithTheWaysOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.db.Pool.Exec(t.Context(), `CREATE TABLE fct_orders (id int)`)
	require.NoError(t, err)
	b.orders("2026-01-01", 10, 1)
	_, err = b.Build(t.Context(), b.spec(shop(), "2026-01-01"))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Contains(t, fault.HintOf(err), "RENAME TO")
	observed, err := b.Observe(t.Context(), shop(), header())
	require.NoError(t, err)
	require.Equal(t, generation.Plain, observed.Outputs[0].Kind)
	require.Equal(t, "plain-table", blocking(observed)[0].Rule)
}

func header() warehouse.Headers {
	return warehouse.Headers{"raw_orders": {"order_id", "ordered_at", "channel", "amount"}}
}

func blocking(o plan.Observed) (list []plan.Problem) {
	for _, p := range o.Problems {
		if p.Blocking {
			list = append(list, p)
		}
	}
	return list
}
