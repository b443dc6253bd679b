package warehouse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse"
)

func TestOneDeploymentCrossesAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	next := deployment(workflow("deploy/shop/next"), "1.1.0")
	_, err := b.Enter(t.Context(), next, anew(effect.Owner(next.Owner)), outputs(), false)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, b.owner.Workflow())
	again, err := b.Enter(t.Context(), deployment(b.owner, "1.0.0"), anew(b.owner), outputs(), false)
	require.NoError(t, err)
	require.Equal(t, b.tenure.Number, again.Number, "who enters again has the same tenure")
	_, err = b.Enter(t.Context(), deployment(b.owner, "1.1.0"), anew(b.owner), outputs(), false)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "a workflow has one tenure: %v", err)

	require.NoError(t, b.Leave(t.Context(), "shop", next.Owner))
	_, err = b.Enter(t.Context(), next, anew(effect.Owner(next.Owner)), outputs(), false)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "nobody leaves for another: %v", err)
	for range 2 { // twice is once
		require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	}
	entered, err := b.Enter(t.Context(), next, anew(effect.Owner(next.Owner)), outputs(), false)
	require.NoError(t, err)
	require.Greater(t, entered.Number, b.tenure.Number)

	other := deployment(workflow("deploy/other/1"), "1.0.0")
	other.Release.Pipeline = "other"
	_, err = b.Enter(t.Context(), other, anew(effect.Owner(other.Owner)), []string{"fct_other"}, false)
	require.NoError(t, err, "another pipeline crosses beside it")
}

func TestARunUsesWhatIsActiveAndCrossesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	run := release.Tenure{Release: releaseOf("0.9.0"), Kind: release.ByRun, Owner: string(workflow("run/shop/1"))}
	got, err := b.Enter(t.Context(), run, anew(effect.Owner(run.Owner)), outputs(), false)
	require.NoError(t, err)
	require.Equal(t, b.tenure.Number, got.Number)
	require.Equal(t, "1.0.0", got.Release.Version)
	crossing, err := b.Crossing(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, string(b.owner), crossing.Owner)
}

func TestTheFirstPublishOfARunActivatesItsRelease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	active := func() int64 {
		tenure, err := b.Active(t.Context(), "shop")
		require.NoError(t, err)
		return tenure.Number
	}
	b.owner = workflow("run/shop/1")
	var err error
	b.tenure, err = b.Enter(t.Context(), release.Tenure{Release: releaseOf("1.0.0"), Kind: release.ByRun, Owner: string(b.owner)}, anew(b.owner), outputs(), false)
	require.NoError(t, err)
	b.orders("2026-01-01", 10, 1)
	first := b.patient(b.swaps(t, mart("1.0.0"), "2026-01-01")...)
	require.Zero(t, active(), "what is reserved is not active")

	reader := b.begin(t, pgx.TxOptions{})
	_, err = reader.Exec(t.Context(), `SELECT count(*) FROM fct_orders`)
	require.NoError(t, err)
	impatient := first
	impatient.LockBudget = 300 * time.Millisecond
	result, err := b.attempt(t.Context(), impatient, beat)
	require.NoError(t, err)
	require.False(t, result.Done)
	require.Zero(t, active(), "a publish that is blocked activates nothing")
	require.NoError(t, reader.Rollback(t.Context()))
	b.done(t, first)
	require.Equal(t, b.tenure.Number, active())

	late, err := b.Enter(t.Context(), release.Tenure{Release: releaseOf("1.0.0"), Kind: release.ByRun, Owner: string(workflow("run/shop/2"))}, anew(workflow("run/shop/2")), outputs(), false)
	require.NoError(t, err)
	require.Equal(t, b.tenure.Number, late.Number)
}

func TestASchemaBelongsToTheEnvironmentThatWroteItFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.Enter(t.Context(), deployment(workflow("deploy/shop/dev"), "1.1.0"), anew(workflow("deploy/shop/dev"), "dev"), outputs(), false)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	b.orders("2026-01-01", 10, 1)
	stray := b.patient(b.swaps(t, mart("1.0.0"), "2026-01-01")...)
	stray.ticket.Question.Environment = "dev"
	_, err = b.attempt(t.Context(), stray, beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Empty(t, b.live(t))
}

func TestATableBelongsToThePipelineThatPublishedItFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := deployment(workflow("deploy/other/1"), "1.0.0")
	other.Release.Pipeline = "other"
	entered, err := b.Enter(t.Context(), other, anew(effect.Owner(other.Owner)), []string{"fct_orders"}, false)
	require.NoError(t, err, "nobody has published it")
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	_, err = b.Enter(t.Context(), other, anew(effect.Owner(other.Owner)), []string{"fct_orders"}, false)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)

	there := b.live(t)
	b.owner, b.tenure = workflow("deploy/other/1"), entered
	p := shop()
	p.Name = "other"
	spec := b.spec(p, "2026-01-01")
	spec.Release = entered.Release
	built, err := b.Build(t.Context(), spec)
	if err == nil {
		_, err = b.attempt(t.Context(), b.patient(swap(built[0].Generation, built[0].From)), beat)
	}
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "belongs to the pipeline shop")
	require.Equal(t, there, b.live(t))
}

// What is true when a publish begins may not be true any more when it has its locks: it looks again, in its transaction.
func TestAPublishLooksAgainWhenItHasItsLocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, b *bundle)
		class     fault.Class // of the refusal; empty: it waits, and says why
		says      string
	}{
		"a hold was set": {
			meanwhile: func(t *testing.T, b *bundle) {
				t.Helper()
				b.hold(t, anew(workflow("hold/prod/1")), "ann", "quarter end")
			},
			says: "quarter end",
		},
		"a deployment wants to publish first": {
			meanwhile: func(t *testing.T, b *bundle) {
				t.Helper()
				require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
				_, err := b.Enter(t.Context(), deployment(workflow("deploy/shop/next"), "1.1.0"), anew(workflow("deploy/shop/next")), outputs(), true)
				require.NoError(t, err)
			},
			says: "deploy/shop/next publishes first",
		},
		"its release was turned back": {
			meanwhile: func(t *testing.T, b *bundle) {
				t.Helper()
				_, ok, err := b.BeginTurnBack(t.Context(), compensation(b.owner), anew(workflow("deploy/shop/stop")))
				require.NoError(t, err)
				require.True(t, ok)
			},
			class: fault.Conflict, says: "turned it back",
		},
		"its workflow was stopped": {
			meanwhile: func(t *testing.T, b *bundle) {
				t.Helper()
				_, ok, err := b.BeginTurnBack(t.Context(), compensation(workflow("run/shop/nightly")), anew(workflow("cancel/1")))
				require.NoError(t, err)
				require.False(t, ok)
			},
			class: fault.Conflict, says: "stopped",
		},
		"another tenure is active": {
			meanwhile: func(t *testing.T, b *bundle) {
				t.Helper()
				require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
				next := b.enter(t, workflow("deploy/shop/next"), "1.1.0")
				require.NoError(t, catalog.New(b.db.Schema).Activate(t.Context(), b.db.Pool, "shop", next.Number))
			},
			class: fault.Conflict, says: "not active any more",
		},
		"the table has got another owner": {
			meanwhile: func(t *testing.T, b *bundle) {
				t.Helper()
				_, err := b.db.Pool.Exec(t.Context(), `UPDATE `+b.db.Schema+`__ledger.output SET pipeline = 'other' WHERE output = 'fct_orders'`)
				require.NoError(t, err)
			},
			class: fault.Refused, says: "belongs to the pipeline other",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.deploy(t, "1.0.0", 1, "2026-01-01")
			there := b.live(t)
			b.orders("2026-01-01", 10, 2)
			crossing := b.owner
			b.owner = workflow("run/shop/nightly")
			run := b.patient(b.swaps(t, mart("1.0.0"), "2026-01-01")...)
			b.owner = crossing
			var ids []int64 // in shadow they are not given up with their workflow: it is the second look that refuses them
			for _, s := range run.ticket.Question.Swaps {
				ids = append(ids, s.To)
			}
			require.NoError(t, b.AttachShadow(t.Context(), "run/shop/nightly", ids))

			reader := b.begin(t, pgx.TxOptions{})
			_, err := reader.Exec(t.Context(), `SELECT count(*) FROM fct_orders`)
			require.NoError(t, err)
			climbs := make(chan struct{}, 10_000)
			type end struct {
				result generation.PublishResult
				err    error
			}
			ended := make(chan end, 1)
			run.LockBudget = time.Minute
			go func() {
				result, err := b.attempt(context.WithoutCancel(t.Context()), run, func(_, locks time.Duration) {
					if locks > 0 { // past its first look
						climbs <- struct{}{}
					}
				})
				ended <- end{result, err}
			}()
			select {
			case <-climbs:
			case e := <-ended:
				require.Fail(t, "it did not wait", "%+v %v", e.result, e.err)
			}
			c.meanwhile(t, b)
			require.NoError(t, reader.Rollback(t.Context()))
			e := <-ended
			if c.class == "" {
				require.NoError(t, e.err)
				require.Equal(t, generation.ForHold, e.result.WaitingFor)
				require.Contains(t, e.result.Why, c.says)
			} else {
				require.Equal(t, c.class, fault.ClassOf(e.err), "%v", e.err)
				require.ErrorContains(t, e.err, c.says)
			}
			require.Equal(t, there, b.live(t))
		})
	}
}

func (b *bundle) hold(t *testing.T, key effect.Key, by, reason string) *release.Hold {
	t.Helper()
	standing, err := b.Hold(t.Context(), key, by, reason)
	require.NoError(t, err)
	return standing
}

func TestAHoldEndsWhenAPersonReleasesIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	held := b.patient(b.swaps(t, mart("1.0.0"), "2026-01-01")...)
	_, err := b.Hold(t.Context(), anew(workflow("hold/prod/1")), "ann", "")
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	first := anew(workflow("hold/prod/1"))
	for range 2 { // twice is once: it does not meet itself
		require.Nil(t, b.hold(t, first, "ann", "quarter end"))
	}
	stood := b.hold(t, anew(workflow("hold/prod/1")), "ben", "lunch")
	require.NotNil(t, stood, "the one that stands stays, and is told")
	require.Equal(t, []string{"ann", "quarter end"}, []string{stood.By, stood.Reason})
	require.NotZero(t, stood.Since)
	result, err := b.attempt(t.Context(), held, beat)
	require.NoError(t, err)
	require.False(t, result.Done)
	require.Contains(t, result.Why, "quarter end (set by ann)")
	free := anew(workflow("hold/prod/2"))
	for range 2 { // twice is once
		released, err := b.ReleaseHold(t.Context(), free, "ann")
		require.NoError(t, err)
		require.Equal(t, stood.Reason, released.Reason)
		require.WithinDuration(t, stood.Since, released.Since, 0)
	}
	released, err := b.ReleaseHold(t.Context(), anew(workflow("hold/prod/2")), "ann")
	require.NoError(t, err)
	require.Nil(t, released, "none stood any more")
	b.done(t, held)
}

// A call that was stopped comes back when its effect was undone: it is not done again.
func TestAStoppedAttemptEntersWatchesAndHoldsNothingAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := workflow("deploy/shop/late")
	hold, enter, watch := anew(workflow("hold/prod/1")), anew(owner), anew(owner)
	b.hold(t, hold, "ann", "quarter end")
	stood, err := b.ReleaseHold(t.Context(), anew(workflow("hold/prod/2")), "ann")
	require.NoError(t, err)
	require.NotNil(t, stood)
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	first, err := b.Enter(t.Context(), deployment(owner, "1.1.0"), enter, outputs(), false)
	require.NoError(t, err)
	require.NoError(t, b.Watch(t.Context(), "shop", watch, time.Hour))
	require.NoError(t, b.Leave(t.Context(), "shop", string(owner)))

	b.hold(t, hold, "ann", "quarter end")
	again, err := b.Enter(t.Context(), deployment(owner, "1.1.0"), enter, outputs(), false)
	require.NoError(t, err)
	require.Equal(t, first.Number, again.Number)
	require.NoError(t, b.Watch(t.Context(), "shop", watch, time.Hour))
	crossing, err := b.Crossing(t.Context(), "shop")
	require.NoError(t, err)
	require.Empty(t, crossing.Owner)
	standing, err := b.Standing(t.Context())
	require.NoError(t, err)
	require.Nil(t, standing.Hold)
	for _, p := range standing.Pipelines {
		require.Empty(t, p.Watching)
	}
	var asked string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT set_in || ' ' || released_in FROM `+b.db.Schema+`__ledger.hold`).Scan(&asked))
	require.Equal(t, string(workflow("hold/prod/1"))+" "+string(workflow("hold/prod/2")), asked, "the ledger knows which workflows asked")
}

// When a hold stands, nothing is on its way any more that has looked for one before.
func TestAHoldWaitsForWhoeverHasLookedBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	first := b.patient(b.swaps(t, mart("1.0.0"), "2026-01-01")...)
	const gate = 17
	keeper, err := b.db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	release := sync.OnceValue(func() error {
		defer keeper.Release()
		_, err := keeper.Exec(context.WithoutCancel(t.Context()), `SELECT pg_advisory_unlock_all()`)
		return err
	})
	defer func() { require.NoError(t, release()) }()
	_, err = keeper.Exec(t.Context(), `SELECT pg_advisory_lock($1, hashtext($2))`, gate, b.db.Schema)
	require.NoError(t, err)
	b.db.Exec(t, fmt.Sprintf(`
		CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
		BEGIN PERFORM pg_advisory_xact_lock_shared(%d, hashtext('%s')); RETURN NULL; END $$`, gate, b.db.Schema))
	b.db.Exec(t, fmt.Sprintf(`
		CREATE CONSTRAINT TRIGGER stop AFTER INSERT ON %s__ledger.swap
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stop()`, b.db.Schema))
	waiting := func(what string, args ...any) func() bool {
		return func() bool {
			var n int
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND `+what, args...).Scan(&n))
			return n > 0
		}
	}
	published := make(chan error, 1)
	go func() {
		result, err := b.attempt(context.WithoutCancel(t.Context()), first, beat)
		if err == nil && !result.Done {
			err = fmt.Errorf("not done: %+v", result)
		}
		published <- err
	}()
	require.Eventually(t, waiting(`locktype = 'advisory' AND classid = $1 AND objid = (hashtext($2)::bigint & 4294967295)::oid`, gate, b.db.Schema),
		20*time.Second, 10*time.Millisecond, "the publish to come to its commit")
	held := make(chan error, 1)
	go func() {
		_, err := b.Hold(context.WithoutCancel(t.Context()), anew(workflow("hold/prod/1")), "ann", "quarter end")
		held <- err
	}()
	isWaiting := waiting(`locktype = 'relation' AND relation = to_regclass($1)::oid`, b.db.Schema+"__ledger.change")
	require.Eventually(t, func() bool { return len(held) > 0 || isWaiting() }, 20*time.Second, 10*time.Millisecond)
	require.Empty(t, held, "it stands, and the publish is still on its way")
	require.NoError(t, release())
	require.NoError(t, <-published)
	require.NoError(t, <-held)
	b.orders("2026-01-02", 10, 1)
	built, err := b.Build(t.Context(), b.spec(mart("1.0.0"), "2026-01-02"))
	require.NoError(t, err)
	result, err := b.attempt(t.Context(), b.patient(swap(built[0].Generation, built[0].From)), beat)
	require.NoError(t, err)
	require.Contains(t, result.Why, "quarter end")
}

// What readers see of a table is its columns, too: none is added while a hold stands, also where it was set meanwhile.
func TestATableGetsNoColumnWhileAHoldStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	b.publish(t, swap(b.build(t, shop(), "2026-01-01").Generation, 0))
	b.cross(t, "1.1.0")
	wider := shop()
	wider.Version = "1.1.0"
	wider.Outputs[0].SQL = strings.Replace(wider.Outputs[0].SQL, "channel, amount", "channel, amount, 1 AS extra", 1)
	_, err := b.Build(t.Context(), b.spec(wider, "2026-01-01"))
	require.NoError(t, err)
	columns := func() (n int) {
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_attribute WHERE attrelid = 'fct_orders'::regclass AND attname = 'extra'`).Scan(&n))
		return n
	}
	ticket := b.ticket()
	ticket.Question.What = admission.Expand
	expand := func(beat func(time.Duration)) (generation.ExpandResult, error) {
		return b.Expand(context.WithoutCancel(t.Context()), wider, generation.ExpandSpec{LockBudget: time.Minute}, ticket, beat)
	}

	reader := b.begin(t, pgx.TxOptions{})
	_, err = reader.Exec(t.Context(), `SELECT count(*) FROM fct_orders`)
	require.NoError(t, err)
	climbs, ended := make(chan struct{}, 10_000), make(chan generation.ExpandResult, 1)
	go func() {
		result, err := expand(func(waited time.Duration) {
			if waited > 100*time.Millisecond { // past its first look
				climbs <- struct{}{}
			}
		})
		if err != nil {
			result.Held = err.Error()
		}
		ended <- result
	}()
	select {
	case <-climbs:
	case r := <-ended:
		require.Fail(t, "it did not wait", "%+v", r)
	}
	b.hold(t, anew(workflow("hold/prod/1")), "ann", "quarter end")
	require.NoError(t, reader.Rollback(t.Context()))
	r := <-ended
	require.False(t, r.Done)
	require.Contains(t, r.Held, "on hold: quarter end (set by ann)")
	require.Zero(t, columns())

	r, err = expand(func(time.Duration) {})
	require.NoError(t, err)
	require.False(t, r.Done)
	require.Contains(t, r.Held, "quarter end")
	require.Zero(t, columns())
	_, err = b.ReleaseHold(t.Context(), anew(workflow("hold/prod/2")), "ann")
	require.NoError(t, err)
	b.expand(t, wider)
	require.Equal(t, 1, columns())
}

// A ledger says whose it is. What others call a ledger is not read: to read it could be to run their SQL.
func TestTheLedgersOfAnEnvironmentAreThoseOfOurOwnThatSaySo(t *testing.T) {
	t.Parallel()
	b, author := authored(t)
	pool, err := postgres.Open(t.Context(), postgres.Options{URL: b.db.URL, Object: "test"})
	require.NoError(t, err)
	defer pool.Close()
	admin, err := pgx.Connect(t.Context(), onDatabase(t, testdb.Superuser(t), b.db.URL))
	require.NoError(t, err)
	defer func() { _ = admin.Close(t.Context()) }()
	mine, forged := "of_"+b.db.Schema, b.db.Schema+"_x__ledger"
	b.db.Exec(t, `UPDATE `+b.db.Schema+`__ledger.environment SET name = $1`, mine)
	_, err = admin.Exec(t.Context(), fmt.Sprintf(`
		CREATE SCHEMA %[1]s AUTHORIZATION %[2]s;
		CREATE TABLE %[1]s.environment AS SELECT '%[3]s'::text AS name;
		ALTER TABLE %[1]s.environment OWNER TO %[2]s;
		GRANT USAGE ON SCHEMA %[1]s TO PUBLIC;
		GRANT SELECT ON %[1]s.environment TO PUBLIC`, forged, author, mine))
	require.NoError(t, err)
	found, _, err := warehouse.Ledgers(t.Context(), pool, mine)
	require.NoError(t, err)
	require.Equal(t, []string{b.db.Schema}, found)
	other := open(t, testdb.New(t)) // whose nobody is yet
	require.NoError(t, other.EnsureLedger(t.Context()))
	found, _, err = warehouse.Ledgers(t.Context(), pool, mine)
	require.NoError(t, err)
	require.NotContains(t, found, other.Schema())
	none := func(context.Context) (*release.Hold, error) { return nil, nil }
	require.NoError(t, other.Join(t.Context(), anew(workflow("deploy/shop/1"), mine), none))
	found, _, err = warehouse.Ledgers(t.Context(), pool, mine)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{b.db.Schema, other.Schema()}, found)

	// One that somebody has locked has its own time, and is named; the others say.
	lock, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), `LOCK TABLE `+b.db.Schema+`__ledger.environment`)
	require.NoError(t, err)
	found, unread, err := warehouse.Ledgers(t.Context(), pool, mine)
	require.NoError(t, err)
	require.Equal(t, []string{other.Schema()}, found)
	require.ErrorContains(t, unread[b.db.Schema], "its ledger is locked")
	require.NoError(t, lock.Rollback(t.Context()))
	require.Equal(t, fault.Refused, fault.ClassOf(other.Join(t.Context(), anew(workflow("deploy/shop/1"), "another"), none)))
}

// Whoever sets or releases a hold finds a ledger that joins, or is found by it: in the middle of its look the ledger is listed, and
// whoever changes a hold here waits for what comes of it.
func TestALedgerJoinsAndHoldsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	there := &release.Hold{By: "ann", Reason: "quarter end"}
	for name, c := range map[string]struct {
		found *release.Hold
		do    func(context.Context, *warehouse.Warehouse, effect.Key) (bool, error)
		holds bool
	}{
		"what it takes over is released by who comes meanwhile": {found: there, do: func(ctx context.Context, w *warehouse.Warehouse, key effect.Key) (bool, error) {
			released, err := w.ReleaseHold(ctx, key, "ben")
			return released != nil, err
		}},
		"a hold that is set meanwhile stands": {do: func(ctx context.Context, w *warehouse.Warehouse, key effect.Key) (bool, error) {
			_, err := w.Hold(ctx, key, "ben", "lunch")
			return true, err
		}, holds: true},
		"one that is set twice is one": {found: there, do: func(ctx context.Context, w *warehouse.Warehouse, key effect.Key) (bool, error) {
			_, err := w.Hold(ctx, key, "ben", "lunch")
			return true, err
		}, holds: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			w := open(t, db)
			require.NoError(t, w.EnsureLedger(t.Context()))
			pool, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Object: "test"})
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			mine := "of_" + db.Schema
			ended := make(chan error, 1)
			join := anew(workflow("deploy/shop/1"), mine)
			looks := 0
			elsewhere := func(ctx context.Context) (*release.Hold, error) {
				looks++
				listed, _, err := warehouse.Ledgers(ctx, pool, mine)
				require.NoError(t, err)
				require.Equal(t, []string{db.Schema}, listed)
				go func() {
					did, err := c.do(context.WithoutCancel(ctx), w, anew(workflow("hold/1"), mine))
					if err == nil && !did {
						err = errors.New("it found no hold")
					}
					ended <- err
				}()
				for waits := false; !waits; {
					require.NoError(t, db.Pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted) FROM pg_sleep(0.01)`,
						db.Schema+"__ledger.change").Scan(&waits))
					select {
					case err := <-ended:
						require.Fail(t, "it did not wait", "%v", err)
					default:
					}
				}
				return c.found, nil
			}
			require.NoError(t, w.Join(t.Context(), join, elsewhere))
			require.NoError(t, <-ended)
			require.NoError(t, w.Join(t.Context(), join, elsewhere), "twice is once")
			require.Equal(t, 1, looks)
			standing, err := w.Standing(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.holds, standing.Hold != nil)
		})
	}
}

// The rule is the environment's own, whatever a caller says: what it has to find is the recorded answers.
func TestAPublishFindsTheAnswersThatItsRuleWants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	b.owner = workflow("deploy/shop/planned")
	wanted := deployment(b.owner, "1.0.0")
	wanted.Plan, wanted.By = "sha256:plan", "ann"
	var err error
	b.tenure, err = b.Enter(t.Context(), wanted, anew(effect.Owner(wanted.Owner)), outputs(), false)
	require.NoError(t, err)
	b.orders("2026-01-01", 10, 1)
	first := b.patient(b.swaps(t, mart("1.0.0"), "2026-01-01")...)
	first.ticket.Rule = gate.Approval{Required: true, Approvers: []string{"ann", "ben", "cy"}, Quorum: 2, FourEyes: true, Expires: time.Hour}
	refused := func(why string) {
		t.Helper()
		_, err := b.attempt(t.Context(), first, beat)
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%s: %v", why, err)
		require.Equal(t, fault.Refused, fault.ClassOf(b.Admit(t.Context(), first.ticket)), why)
	}
	answer := func(owner effect.Owner, plan string, by ...string) {
		t.Helper()
		g := gate.Gate{Name: gate.ApprovalOf(prod), Plan: plan, Requester: "ann"}
		for _, person := range by {
			g.Answers = append(g.Answers, gate.Answer{Decision: gate.Decision{Gate: g.Name, Plan: plan, By: person, Choice: gate.Approve, Reason: "fine"}, At: time.Now()})
		}
		require.NoError(t, b.RecordAnswers(t.Context(), owner, b.tenure.Release, g))
	}
	refused("nobody answered")
	answer(b.owner, "sha256:other", "ben", "cy")
	refused("they answered about another plan")
	answer(b.owner, "sha256:plan", "ben", "ann")
	refused("one of the two is who asked")
	expand := first.ticket
	expand.Question.What = admission.Expand
	_, err = b.Expand(t.Context(), mart("1.0.0"), generation.ExpandSpec{LockBudget: time.Second}, expand, func(time.Duration) {})
	require.Equal(t, fault.Refused, fault.ClassOf(err), "nor does it change readers' tables: %v", err)
	answer(workflow("deploy/shop/other"), "sha256:plan", "cy")
	refused("one of the two answered another deployment")
	answer(b.owner, "sha256:plan", "cy")
	late := first
	late.ticket.Rule.Expires = time.Nanosecond
	result, err := b.attempt(t.Context(), late, beat)
	require.NoError(t, err)
	require.Equal(t, generation.PublishResult{WaitingFor: generation.ForApproval, Why: result.Why}, result, "it may be asked for again")
	require.Contains(t, result.Why, "the approval of ben and cy expired at ")
	expand.Rule.Expires = time.Nanosecond
	room, err := b.Expand(t.Context(), mart("1.0.0"), generation.ExpandSpec{LockBudget: time.Second}, expand, func(time.Duration) {})
	require.NoError(t, err)
	require.False(t, room.Done)
	require.Equal(t, result.Why, room.Lapsed)
	b.done(t, first)
}
