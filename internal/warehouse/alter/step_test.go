package alter_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// effects counts the recorded effects of the migration's steps.
func (b *bundle) effects(t *testing.T) string {
	t.Helper()
	return b.one(t, `SELECT count(*) FROM `+b.ledger.Schema()+`.effect WHERE kind IN ('do step', 'undo step')`)
}

func TestAStepThatWasDoneIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	b.begin(t, p)
	spec := b.spec(p, "expand-add-source")
	for range 2 {
		r, err := b.DoStep(t.Context(), spec, beat)
		require.NoError(t, err)
		require.Equal(t, migrate.StepResult{Done: true}, r)
	}
	require.Equal(t, "1", b.effects(t))
	// Under a new key the probe says so: whoever took it over does not do it again.
	b.step(t, p, "expand-add-source")
	require.Equal(t, "2", b.effects(t))
}

// Whoever was killed after the act, and before anything was recorded, has left the world as the step leaves it.
func TestACrashAtAnyBoundaryOfAStepGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 500)
	p := b.replacement()
	b.begin(t, p)
	for _, phase := range migrate.Phases() {
		require.NoError(t, b.EnterPhase(t.Context(), b.owner, phase))
		if phase == migrate.Backfill {
			_, err := b.fill(t.Context(), p)
			require.NoError(t, err)
		}
		for _, s := range p.Of(phase) {
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := b.DoStep(cancelled, b.spec(p, s.ID), beat)
			require.ErrorIs(t, err, context.Canceled, "before the act")
			for _, sql := range s.Act {
				b.db.Exec(t, sql) // done, and the worker is gone
			}
			b.step(t, p, s.ID)
		}
	}
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.Equal(t, "500", b.one(t, `SELECT count(source) FROM orders`))
}

func TestStepsAreUndoneToWhereTheyBegan(t *testing.T) {
	t.Parallel()
	for _, last := range []migrate.Phase{migrate.Expand, migrate.DualWrite, migrate.Verify, migrate.Switch, migrate.Deprecating} {
		t.Run(string(last), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.orders(t, 500)
			p := b.replacement()
			before, err := b.DescribeTable(t.Context(), "orders", nil)
			require.NoError(t, err)
			rows := b.one(t, `SELECT string_agg(o::text, ';' ORDER BY id) FROM orders o`)
			b.begin(t, p)
			done := 0
			for _, phase := range migrate.Phases() {
				b.phase(t, p, phase)
				done += len(p.Of(phase))
				if phase == migrate.Backfill {
					_, err := b.fill(t.Context(), p)
					require.NoError(t, err)
				}
				if phase == last {
					break
				}
			}
			forward := b.spec(p, p.Steps[done-1].ID)
			for _, s := range slices.Backward(p.Steps[:done]) {
				undo := b.spec(p, s.ID)
				undo.Undo = true
				for range 2 {
					r, err := b.DoStep(t.Context(), undo, beat)
					require.NoError(t, err, s.ID)
					require.True(t, r.Done, s.ID)
				}
			}
			_, err = b.DoStep(t.Context(), forward, beat)
			require.Equal(t, fault.Conflict, fault.ClassOf(err), "a step that comes late does nothing any more")
			require.ErrorContains(t, err, "its steps are being undone")
			require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
			after, err := b.DescribeTable(t.Context(), "orders", nil)
			require.NoError(t, err)
			before.Bytes, before.Pages, after.Bytes, after.Pages = 0, 0, 0, 0
			require.Equal(t, before, after)
			require.Equal(t, rows, b.one(t, `SELECT string_agg(o::text, ';' ORDER BY id) FROM orders o`))
			require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_proc WHERE proname = 'm0001_channel' AND pronamespace = $1::regnamespace`, b.ledger.Schema()))
		})
	}
}

func TestOnlyStepsOfThePlanAndOfThePhaseAreDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	b.begin(t, p)
	refused := func(class fault.Class, why string, change func(*migrate.StepSpec)) {
		spec := b.spec(p, "expand-add-source")
		change(&spec)
		_, err := b.DoStep(t.Context(), spec, beat)
		require.Equal(t, class, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, why)
	}
	refused(fault.Invalid, "the plan has no such step", func(s *migrate.StepSpec) { s.Step.ID = "nothing" })
	refused(fault.Conflict, "it is a step of dual_write, and the migration is in expand", func(s *migrate.StepSpec) { s.Step.ID = "dual-function" })
	refused(fault.Conflict, "not the plan with which", func(s *migrate.StepSpec) { s.Plan.Steps = append(slices.Clone(s.Plan.Steps), migrate.Step{ID: "more"}) })
	refused(fault.Refused, "belongs to the environment prod", func(s *migrate.StepSpec) { s.Plan.Environment = "dev" })
	refused(fault.Refused, "its key is not one of the migration's", func(s *migrate.StepSpec) { s.Key.Environment = "dev" })
	refused(fault.Refused, "its key is not one of the migration's", func(s *migrate.StepSpec) { s.Key.Owner = start() })
	refused(fault.Conflict, "it has not begun here", func(s *migrate.StepSpec) { s.Owner = start(); s.Key.Owner = s.Owner })

	spec := b.spec(p, "expand-add-source")
	spec.Step.Act = []string{"DROP TABLE " + b.db.Schema + ".orders"} // what it does is what the plan says
	r, err := b.DoStep(t.Context(), spec, beat)
	require.NoError(t, err)
	require.True(t, r.Done)
	require.Equal(t, "10", b.one(t, `SELECT count(*) FROM orders`))

	b.phase(t, p, migrate.DualWrite)
	b.db.Exec(t, `DROP TRIGGER m0001_channel ON orders`)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Backfill))
	refused(fault.Conflict, "the migration is past it, in the phase backfill, and it is not there any more", func(s *migrate.StepSpec) { s.Step.ID = "dual-trigger" })
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	refused(fault.Refused, "the contract has begun", func(s *migrate.StepSpec) { s.Undo = true })
}

func TestAStepThatDoesNotComeToWhatIsLookedForIsTakenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	p.Steps[0].Probe = `SELECT false`
	b.begin(t, p)
	_, err := b.DoStep(t.Context(), b.spec(p, "expand-add-source"), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "what is looked for is not as it has to be")
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'source'`))
	require.Equal(t, "0", b.effects(t))
}

// holder has a transaction open that holds a lock on the table.
func (b *bundle) holder(t *testing.T, sql string) (leave func()) {
	t.Helper()
	tx, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), sql)
	require.NoError(t, err)
	left := false
	leave = func() {
		if !left {
			left = true
			require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context())))
		}
	}
	t.Cleanup(leave)
	return leave
}

func TestABlockedStepNamesWhoIsInTheWayAndReadersDoNotQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 1000)
	p := b.replacement()
	b.begin(t, p)
	leave := b.holder(t, `SELECT FROM orders LIMIT 1`)
	stop, worst := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var longest time.Duration
		for {
			select {
			case <-stop:
				worst <- longest
				return
			default:
			}
			begun := time.Now()
			if _, err := b.db.Pool.Exec(context.WithoutCancel(t.Context()), `SELECT FROM orders WHERE id = 7`); err != nil {
				longest = time.Hour
			}
			longest = max(longest, time.Since(begun))
		}
	}()
	spec := b.spec(p, "expand-add-source")
	spec.LockBudget = 2500 * time.Millisecond
	var beats []time.Duration
	spec.WaitedLocks = 500 * time.Millisecond
	r, err := b.DoStep(t.Context(), spec, func(waited time.Duration) { beats = append(beats, waited) })
	close(stop)
	require.NoError(t, err)
	require.False(t, r.Done)
	require.NotEmpty(t, r.Blocked)
	require.Contains(t, r.Blocked[0].Holds, "orders")
	require.Less(t, <-worst, 1500*time.Millisecond, "a reader waits for a rung at most")
	require.NotEmpty(t, beats)
	require.GreaterOrEqual(t, beats[0], spec.WaitedLocks)
	require.Equal(t, "0", b.effects(t))
	leave()
	b.step(t, p, "expand-add-source")
}

func TestAStepThatReadersPassDoesNotWaitForThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 100)
	p := b.replacement()
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.DualWrite))
	b.step(t, p, "dual-function")
	b.holder(t, `SELECT FROM orders LIMIT 1`)
	b.step(t, p, "dual-trigger") // SHARE ROW EXCLUSIVE
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Backfill))
	_, err := b.fill(t.Context(), p)
	require.NoError(t, err)
}

func TestRowsThatBreakACheckStopItsValidation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 100)
	p := b.replacement()
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	b.step(t, p, "verify-check")
	_, err := b.DoStep(t.Context(), b.spec(p, "verify-validate"), beat)
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.ErrorContains(t, err, "a row violates a check constraint (constraint source_there)")
	b.db.Exec(t, `UPDATE orders SET source = 'x'`)
	leave := b.holder(t, `UPDATE orders SET amount = 1 WHERE id = 1`) // writers pass
	b.step(t, p, "verify-validate")
	leave()
}

// verifying is a migration whose index is next.
func verifying(t *testing.T) (*bundle, migrate.Plan) {
	t.Helper()
	b := setup(t)
	b.orders(t, 2000)
	p := b.replacement()
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	return b, p
}

const indexes = `SELECT count(*) || ' ' || count(*) FILTER (WHERE indisvalid) FROM pg_index WHERE indrelid = 'orders'::regclass AND NOT indisprimary`

func TestAnIndexBuildThatIsKilledLeavesNothingAndIsRepeated(t *testing.T) {
	t.Parallel()
	b, p := verifying(t)
	leave := b.holder(t, `UPDATE orders SET amount = 1 WHERE id = 1`) // a build waits for who writes
	failed := make(chan error, 1)
	go func() {
		_, err := b.DoStep(t.Context(), b.spec(p, "verify-index"), beat)
		failed <- err
	}()
	require.Eventually(t, func() bool { return b.one(t, indexes) == "1 0" }, 10*time.Second, 5*time.Millisecond)
	b.kill(t, "CREATE INDEX")
	require.Error(t, <-failed)
	leave()
	b.step(t, p, "verify-index")
	require.Equal(t, "1 1", b.one(t, indexes))

	leave = b.holder(t, `SELECT FROM orders LIMIT 1`)
	undo := b.spec(p, "verify-index")
	undo.Undo = true
	go func() {
		_, err := b.DoStep(t.Context(), undo, beat)
		failed <- err
	}()
	require.Eventually(t, func() bool { return b.one(t, indexes) == "1 0" }, 10*time.Second, 5*time.Millisecond)
	b.kill(t, "DROP INDEX")
	require.Error(t, <-failed)
	leave()
	r, err := b.DoStep(t.Context(), undo, beat)
	require.NoError(t, err)
	require.True(t, r.Done)
	require.Equal(t, "0 0", b.one(t, indexes), "an invalid index is not what was before")
}

// kill ends the session that runs a statement on the bundle's schema.
func (b *bundle) kill(t *testing.T, begins string) {
	t.Helper()
	require.Equal(t, "true", b.one(t, `
		SELECT bool_and(pg_terminate_backend(pid))
		FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND state = 'active' AND starts_with(query, $1) AND position($2 in query) > 0`, begins, b.db.Schema))
}

func TestAnIndexBuildThatIsBlockedIsGivenUpAndNamesWhoBlocksIt(t *testing.T) {
	t.Parallel()
	b, p := verifying(t)
	leave := b.holder(t, `UPDATE orders SET amount = 1 WHERE id = 1`)
	spec := b.spec(p, "verify-index")
	spec.LockBudget = time.Second
	r, err := b.DoStep(t.Context(), spec, beat)
	require.NoError(t, err)
	require.False(t, r.Done)
	require.Len(t, r.Blocked, 1)
	require.Equal(t, "idle in transaction", r.Blocked[0].State)
	leave()
	spec.LockBudget = 20 * time.Second
	r, err = b.DoStep(t.Context(), spec, beat)
	require.NoError(t, err)
	require.True(t, r.Done)
	require.Equal(t, "1 1", b.one(t, indexes))
}

func TestTwoWorkersDoNotBuildOneIndexAtOnce(t *testing.T) {
	t.Parallel()
	b, p := verifying(t)
	leave := b.holder(t, `UPDATE orders SET amount = 1 WHERE id = 1`)
	spec := b.spec(p, "verify-index")
	results := make(chan error, 2)
	for range 2 {
		go func() {
			r, err := b.DoStep(t.Context(), spec, beat)
			if err == nil && !r.Done {
				err = errors.New("it is blocked")
			}
			results <- err
		}()
	}
	require.Eventually(t, func() bool { return b.one(t, indexes) == "1 0" }, 10*time.Second, 5*time.Millisecond)
	second := spec
	second.LockBudget = 300 * time.Millisecond
	second.Key = effect.Key{Owner: b.owner, Environment: prod, Step: "another"}
	r, err := b.DoStep(t.Context(), second, beat)
	require.NoError(t, err)
	require.Len(t, r.Blocked, 1)
	require.Equal(t, "drawbridge/test/verify-index", r.Blocked[0].Application)
	leave()
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	require.Equal(t, "1 1", b.one(t, indexes))
}

// The lock that a plan tells people is the strongest that the step takes.
func TestAStepTakesNoStrongerLockThanItSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 100)
	p := b.replacement()
	b.begin(t, p)
	strength := []string{"", "AccessShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock", "AccessExclusiveLock"}
	said := map[migrate.Lock]int{migrate.NoLock: 1, migrate.ShareUpdateExclusive: 3, migrate.ShareRowExclusive: 4, migrate.AccessExclusive: 5}
	for _, s := range p.Steps {
		if s.Class == migrate.Concurrent {
			continue // no transaction holds it
		}
		if s.Phase == migrate.Verify {
			b.db.Exec(t, `UPDATE orders SET source = upper(channel)`)
		}
		require.NoError(t, pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error {
			for _, sql := range s.Act {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					return err
				}
			}
			rows, err := tx.Query(t.Context(), `SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'orders'::regclass`)
			if err != nil {
				return err
			}
			modes, err := pgx.CollectRows(rows, pgx.RowTo[string])
			for _, mode := range modes {
				require.LessOrEqual(t, slices.Index(strength, mode), said[s.Lock], s.ID)
			}
			return err
		}))
	}
}

// slow is a migration whose next step reads the whole table for some seconds.
func slow(t *testing.T) (*bundle, migrate.Plan) {
	t.Helper()
	b := setup(t)
	b.orders(t, 400)
	p := b.replacement()
	for i := range p.Steps {
		if p.Steps[i].ID == "verify-check" {
			p.Steps[i].Act = []string{"ALTER TABLE " + b.db.Schema + ".orders ADD CONSTRAINT source_there CHECK (pg_catalog.pg_sleep(0.01) IS NOT NULL) NOT VALID"}
		}
	}
	b.begin(t, p)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	b.step(t, p, "verify-check")
	return b, p
}

func TestALongScanKeepsNobodyWaitingAndIsHeardOf(t *testing.T) {
	t.Parallel()
	b, p := slow(t)
	beats := make(chan time.Duration, 100)
	done := make(chan error, 1)
	go func() {
		_, err := b.DoStep(t.Context(), b.spec(p, "verify-validate"), func(waited time.Duration) { beats <- waited })
		done <- err
	}()
	<-beats
	require.Positive(t, <-beats, "it is told of within the scan")
	begun := time.Now()
	b.db.Exec(t, `UPDATE orders SET amount = 3 WHERE id = 1`)
	b.db.Exec(t, `SELECT FROM orders WHERE id = 1`)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.ledger.ExcludeChange(t.Context(), tx) }), "nor who stops changes")
	require.Less(t, time.Since(begun), time.Second)
	require.NoError(t, <-done)
	require.Equal(t, "true", b.one(t, `SELECT convalidated FROM pg_constraint WHERE conname = 'source_there' AND conrelid = 'orders'::regclass`))
}

func TestACancelledScanEnds(t *testing.T) {
	t.Parallel()
	b, p := slow(t)
	ctx, cancel := context.WithCancel(t.Context())
	spec := b.spec(p, "verify-validate")
	heard := 0
	_, err := b.DoStep(ctx, spec, func(time.Duration) {
		if heard++; heard == 2 {
			cancel()
		}
	})
	require.Error(t, err)
	require.Empty(t, fault.ClassOf(err), "it may be tried again")
	require.Equal(t, "false", b.one(t, `SELECT convalidated FROM pg_constraint WHERE conname = 'source_there' AND conrelid = 'orders'::regclass`))
	b.db.Exec(t, `DELETE FROM orders WHERE id > 10`)
	b.step(t, p, "verify-validate")
}
