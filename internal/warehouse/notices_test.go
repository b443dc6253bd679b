package warehouse_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
)

// owed is an event that a receiver is owed since before.
func owed(id, receiver string, owner effect.Owner) notice.Owed {
	return notice.Owed{
		Event:    notice.Event{Schema: notice.Schema, ID: id, Kind: notice.RunFailed, At: time.Now(), What: "a run has failed", Pipeline: "shop"},
		Receiver: receiver, Owner: string(owner), Due: time.Now().Add(-time.Minute),
	}
}

// reminder is what is owed of an open question.
func reminder(id, receiver, question string, owner effect.Owner) notice.Owed {
	o := owed(id, receiver, owner)
	o.Event.Kind, o.Question = notice.GateReminded, question
	return o
}

// take takes all that a receiver is owed, in order.
func (b *bundle) take(t *testing.T, receiver string) (ids []string) {
	t.Helper()
	for {
		o, ok, err := b.TakeOwed(t.Context(), receiver, time.Hour)
		require.NoError(t, err)
		if !ok {
			return ids
		}
		ids = append(ids, o.Event.ID)
	}
}

func TestAnEventIsOwedOnceToEachReceiver(t *testing.T) {
	t.Parallel()
	b := setupEmpty(t)
	owner := workflow("run/shop/prod/2026-01-31")
	for range 2 {
		require.NoError(t, b.Owe(t.Context(), prod, owner, nil, []notice.Owed{owed("1", "team", owner), owed("1", "oncall", owner), owed("2", "team", owner)}))
	}
	require.Equal(t, []string{"1", "2"}, b.take(t, "team"), "in the order in which they were noted")
	require.Equal(t, []string{"1"}, b.take(t, "oncall"))
	first := owed("1", "team", owner)
	require.NoError(t, b.Told(t.Context(), first))
	require.NoError(t, b.Owe(t.Context(), prod, owner, nil, []notice.Owed{first}))
	next, err := b.NextOwed(t.Context(), []string{"team"})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), next, 5*time.Minute, "what was told is not owed again, what was only taken is")
	require.Equal(t, fault.Refused, fault.ClassOf(b.Owe(t.Context(), "dev", owner, nil, nil)), "the ledger is another environment's")
}

// Of several who tell people at the same time each event is one's; what he does not say he has told is told by who comes later.
func TestWhatIsTakenIsNobodyElsesForAWhile(t *testing.T) {
	t.Parallel()
	b := setupEmpty(t)
	owner := workflow("run/shop/prod/2026-01-31")
	var all []notice.Owed
	for i := range 20 {
		all = append(all, owed(string(rune('a'+i)), "team", owner))
	}
	require.NoError(t, b.Owe(t.Context(), prod, owner, nil, all))
	var mu sync.Mutex
	times := map[string]int{}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				o, ok, err := b.TakeOwed(context.WithoutCancel(t.Context()), "team", time.Hour)
				if err != nil || !ok {
					return
				}
				mu.Lock()
				times[o.Event.ID]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.Len(t, times, len(all))
	for id, n := range times {
		require.Equal(t, 1, n, id)
	}
	b.db.Exec(t, "UPDATE "+b.db.Schema+"__ledger.notice SET due = now() WHERE id = 'c'")
	require.Equal(t, []string{"c"}, b.take(t, "team"))
}

func TestAReceiverThatCouldNotBeToldRestsAndKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	b := setupEmpty(t)
	owner := workflow("run/shop/prod/2026-01-31")
	require.NoError(t, b.Owe(t.Context(), prod, owner, nil, []notice.Owed{owed("1", "team", owner), owed("2", "team", owner), owed("1", "oncall", owner)}))
	o, ok, err := b.TakeOwed(t.Context(), "team", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, b.Untold(t.Context(), o, "the webhook: it answered 500", time.Hour))
	require.Empty(t, b.take(t, "team"), "also what else it is owed")
	require.Equal(t, []string{"1"}, b.take(t, "oncall"))
	debts, err := b.Debts(t.Context())
	require.NoError(t, err)
	require.Len(t, debts, 2)
	require.Equal(t, "team", debts[1].Receiver)
	require.Equal(t, 2, debts[1].Owed)
	require.Equal(t, "the webhook: it answered 500", debts[1].Failure)
	b.db.Exec(t, "UPDATE "+b.db.Schema+"__ledger.notice SET due = now()")
	again, ok, err := b.TakeOwed(t.Context(), "team", time.Minute)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "1", again.Event.ID, "in order still")
	require.Equal(t, 1, again.Tries)
}

func TestNobodyIsRemindedOfADecidedGate(t *testing.T) {
	t.Parallel()
	b := setupEmpty(t)
	owner, other := workflow("deploy/shop/1.1.0"), workflow("deploy/shop/1.2.0")
	require.NoError(t, b.Owe(t.Context(), prod, owner, nil, []notice.Owed{
		owed("opened", "team", owner), reminder("r1", "team", "approval-prod", owner), reminder("r2", "team", "outage-prod", owner), reminder("r3", "team", "approval-prod", other),
	}))
	o, _, err := b.TakeOwed(t.Context(), "team", time.Hour)
	require.NoError(t, err)
	require.Equal(t, "opened", o.Event.ID)
	require.NoError(t, b.Owe(t.Context(), prod, owner, []string{"approval-prod"}, []notice.Owed{owed("decided", "team", owner)}))
	require.Equal(t, []string{"r2", "r3", "decided"}, b.take(t, "team"))

	// Whoever was about to be reminded when it was decided is not reminded once more.
	late := reminder("r1", "team", "approval-prod", owner)
	require.NoError(t, b.Told(t.Context(), late, reminder("r1-2", "team", "approval-prod", owner)))
	require.Empty(t, b.take(t, "team"))
	require.NoError(t, b.Told(t.Context(), reminder("r2", "team", "outage-prod", owner), reminder("r2-2", "team", "outage-prod", owner)))
	require.Equal(t, []string{"r2-2"}, b.take(t, "team"))
	require.NoError(t, b.Forgo(t.Context(), owner))
	next, err := b.NextOwed(t.Context(), []string{"team"})
	require.NoError(t, err)
	require.False(t, next.IsZero(), "what has happened is told all the same")
}

func TestWhoHasSomethingOpenIsKnownUntilItWasToldThatItIsAbandoned(t *testing.T) {
	t.Parallel()
	b := setup(t) // a deployment crosses
	gateKeeper := workflow("rollback/shop/prod")
	require.NoError(t, b.Owe(t.Context(), prod, gateKeeper, nil, []notice.Owed{reminder("r", "team", "turn-back", gateKeeper), owed("other", "gone", gateKeeper)}))
	open, err := b.Undertakings(t.Context(), []string{"team"})
	require.NoError(t, err)
	require.Equal(t, map[effect.Owner]string{b.owner: "shop", gateKeeper: "shop"}, open)
	require.Empty(t, b.take(t, "gone"), "nobody is called so any more")

	migrates := workflow("migrate/shop/prod/0001_channel")
	p := migrate.Plan{Migration: migrate.Migration{Name: "0001_channel", Table: "sales"}, Release: releaseOf("1.0.0"), Environment: prod, Schema: b.Schema()}
	_, err = b.BeginMigration(t.Context(), migrate.Entry{Plan: p, Digest: migrate.Digest(p), By: "ann"}, effect.Key{Owner: migrates, Environment: prod, Step: "begin"})
	require.NoError(t, err)
	open, err = b.Undertakings(t.Context(), []string{"team"})
	require.NoError(t, err)
	require.Equal(t, "shop", open[migrates])
	require.NoError(t, b.EndMigration(t.Context(), migrates, "rolled_back"))

	abandoned := owed("abandoned", "team", b.owner)
	abandoned.Event.Kind = notice.WorkflowAbandoned
	require.NoError(t, b.Owe(t.Context(), prod, b.owner, nil, []notice.Owed{abandoned}))
	require.NoError(t, b.Forgo(t.Context(), gateKeeper))
	open, err = b.Undertakings(t.Context(), []string{"team"})
	require.NoError(t, err)
	require.Empty(t, open)
}

// A policy that tells nobody costs a publish nothing: nothing of it is noted anywhere.
func TestNothingIsOwedOfWhatNobodyIsToldOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.RecordAnswers(t.Context(), b.owner, releaseOf("1.0.0"), gate.Gate{Name: "approval-prod"}))
	debts, err := b.Debts(t.Context())
	require.NoError(t, err)
	require.Empty(t, debts)
}

// What was told is kept for as long as the schedule is there, however long ago that was; another schedule counts anew.
func TestMissedTimesAreToldOfOneScheduleOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	since := time.Now()
	told := func(since time.Time) int {
		n, err := b.ToldMissed(t.Context(), "shop", since)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, told(since))
	for _, n := range []int{1, 1, 3} {
		require.NoError(t, b.TellMissed(t.Context(), "shop", since, n))
		require.Equal(t, n, told(since))
	}
	again := since.Add(time.Hour)
	require.Zero(t, told(again))
	require.NoError(t, b.TellMissed(t.Context(), "shop", again, 2))
	require.Equal(t, 2, told(again))
	require.Zero(t, told(since), "that one is gone")
}
