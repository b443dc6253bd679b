package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// archive is a store that has plans, too.
type archive struct {
	folder
	plans map[string][]byte
}

func (a archive) Blob(_ context.Context, digest string) ([]byte, error) {
	if body, ok := a.plans[digest]; ok {
		return body, nil
	}
	return nil, fault.Newf(fault.Invalid, "fetch", digest, "pack it again", "there is none")
}

// moving is a migration of two consumers, that has begun in an office.
type moving struct {
	*office
	owner effect.Owner
	plan  migrate.Plan
	w     activities.Warehouse
}

// newMoving begins a migration in an office. Its window is two days; bi has to say that it is ready, and ops does not.
func newMoving(t *testing.T, receivers map[string]*receiver) *moving {
	t.Helper()
	o := newOffice(t, receivers)
	for name := range receivers {
		if r := o.Site.Policy.Notify.Receivers[name]; name != "team" { // a consumer's own channel
			r.Consumers = []string{name}
			o.Site.Policy.Notify.Receivers[name] = r
		}
	}
	m := &moving{office: o, owner: effect.OwnerOf(caller, uuid.NewString())}
	m.plan = migrate.Plan{
		Release: release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:10"}, Environment: "prod", Schema: o.db.Schema,
		Migration: migrate.Migration{
			Name: "0001_channel", Table: "sales", Why: "a better name", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "chan", To: "channel"}},
			Consumers: []migrate.Consumer{{Name: "bi", MustAck: true}, {Name: "ops"}}, Deprecate: migrate.Deprecate{Window: 48 * time.Hour},
		},
		Steps: []migrate.Step{{ID: "1-drop", Phase: migrate.Contract}}, Old: []string{"chan"},
	}
	o.Site.Store = archive{folder: o.Site.Store.(folder), plans: map[string][]byte{migrate.Digest(m.plan): migrate.Canonical(m.plan)}}
	var err error
	m.w, err = o.Site.Warehouse(t.Context(), pipeline.Config{Environment: "prod", Warehouse: "warehouse", WarehouseSchema: o.db.Schema, WriteMode: "replace"})
	require.NoError(t, err)
	require.NoError(t, m.w.EnsureLedger(t.Context()))
	_, err = m.w.BeginMigration(t.Context(), migrate.Entry{Plan: m.plan, Digest: migrate.Digest(m.plan), By: "ann", Reason: "needed"},
		effect.Key{Owner: m.owner, Environment: "prod", Step: "begin-migration"})
	require.NoError(t, err)
	m.now = time.Now()
	m.announce(t, m.owner, notice.Event{Kind: notice.MigrationStarted, ID: "0001_channel", What: "it begins"})
	return m
}

// switches has the new shape count.
func (m *moving) switches(t *testing.T) {
	t.Helper()
	require.NoError(t, m.w.EnterPhase(t.Context(), m.owner, migrate.Deprecating))
	m.now = time.Now()
	m.announce(t, m.owner, notice.Event{Kind: notice.MigrationDeprecates, ID: "0001_channel", What: "the old shape goes"})
}

func (m *moving) ack(t *testing.T, consumer string) {
	t.Helper()
	a := &activities.Migrating{Site: m.Site, Now: func() time.Time { return m.now }}
	_, err := act[any](t, a.Ack, activities.AckInput{
		Target: activities.Target{Environment: "prod", Owner: m.owner, Release: m.plan.Release}, Ack: migrate.Ack{Consumer: consumer, By: "bob", Reason: "we read channel", At: m.now},
	})
	require.NoError(t, err)
}

// heard is what a receiver was told of consumers, in order: the kind, and of whom.
func (r *receiver) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, e := range r.events {
		if e.Consumer != "" {
			all = append(all, strings.TrimPrefix(string(e.Kind), "consumer_")+" "+e.Consumer)
		}
	}
	return all
}

func TestAConsumerIsToldWhenAMigrationBeginsAndWhenItsNewShapeCounts(t *testing.T) {
	t.Parallel()
	team, bi := &receiver{}, &receiver{}
	m := newMoving(t, map[string]*receiver{"team": team, "bi": bi})
	m.announce(t, m.owner, notice.Event{Kind: notice.MigrationStarted, ID: "0001_channel", What: "it begins"}) // an attempt that is made again
	m.deliver(t)
	require.Equal(t, []string{"informed bi", "informed ops"}, team.heard())
	require.Equal(t, []string{"informed bi"}, bi.heard(), "its own channel hears of it alone")
	require.Len(t, bi.events, 1)

	m.switches(t)
	m.deliver(t)
	require.Equal(t, []string{"informed bi", "informed ops", "asked bi", "informed ops"}, team.heard())
	asked := bi.events[1]
	require.Equal(t, notice.Warning, asked.Severity)
	require.Equal(t, "sales-data", asked.Owner)
	require.WithinDuration(t, m.now.Add(48*time.Hour), *asked.Deadline, time.Minute)
	require.Contains(t, asked.Notice, `SELECT "channel" FROM`)
	require.Contains(t, asked.Commands[0], "drawbridge migrate ack "+m.owner.Workflow()+" --consumer bi")
}

func TestAConsumerIsRemindedUntilItIsReady(t *testing.T) {
	t.Parallel()
	team := &receiver{}
	m := newMoving(t, map[string]*receiver{"team": team})
	m.switches(t)
	m.deliver(t)
	said := len(team.heard())
	m.later(t, 23*time.Hour)
	m.deliver(t)
	require.Len(t, team.heard(), said, "half of its time is not over")
	m.later(t, 2*time.Hour)
	m.deliver(t)
	m.deliver(t)
	require.Equal(t, []string{"reminded bi"}, team.heard()[said:], "once, and of nobody who need not say anything")
	m.later(t, 24*time.Hour)
	m.deliver(t)
	require.Equal(t, []string{"reminded bi", "reminded bi", "overdue bi"}, team.heard()[said:])
	overdue := team.events[len(team.events)-1]
	require.Equal(t, notice.Critical, overdue.Severity)
	require.Equal(t, "sales-data", overdue.Owner, "the pipeline's owner hears of it")

	m.ack(t, "bi")
	m.ack(t, "bi")
	m.deliver(t)
	m.later(t, 3*24*time.Hour)
	m.deliver(t)
	require.Equal(t, []string{"reminded bi", "reminded bi", "overdue bi", "ready bi"}, team.heard()[said:], "who is ready is left alone")
}

func TestWhoTakesItsWordBackIsAskedAndRemindedAgain(t *testing.T) {
	t.Parallel()
	team := &receiver{}
	m := newMoving(t, map[string]*receiver{"team": team})
	m.switches(t)
	m.ack(t, "bi")
	m.deliver(t)
	said := len(team.heard())
	a := &activities.Migrating{Site: m.Site, Now: func() time.Time { return m.now }}
	for range 2 {
		_, err := act[any](t, a.WithdrawAck, activities.AckInput{
			Target: activities.Target{Environment: "prod", Owner: m.owner, Release: m.plan.Release}, Ack: migrate.Ack{Consumer: "bi", By: "bob", Reason: "the nightly job", At: m.now},
		})
		require.NoError(t, err)
	}
	m.deliver(t)
	m.later(t, 25*time.Hour)
	m.deliver(t)
	require.Equal(t, []string{"asked bi", "reminded bi"}, team.heard()[said:])
	m.now = m.now.Add(time.Hour)
	m.ack(t, "bi")
	m.deliver(t)
	m.later(t, 2*24*time.Hour)
	m.deliver(t)
	require.Equal(t, []string{"asked bi", "reminded bi", "ready bi"}, team.heard()[said:])
}

func TestWhoIsReadyBeforeTheSwitchIsNotAsked(t *testing.T) {
	t.Parallel()
	team := &receiver{}
	m := newMoving(t, map[string]*receiver{"team": team})
	m.ack(t, "bi")
	m.switches(t)
	m.deliver(t)
	m.later(t, 3*24*time.Hour)
	m.deliver(t)
	require.Equal(t, []string{"informed bi", "informed ops", "ready bi", "informed bi", "informed ops"}, team.heard())
}

func TestNobodyIsRemindedOfAMigrationThatHasEnded(t *testing.T) {
	t.Parallel()
	team := &receiver{}
	m := newMoving(t, map[string]*receiver{"team": team})
	m.switches(t)
	require.NoError(t, m.w.EndMigration(t.Context(), m.owner, migrate.RolledBack))
	m.announce(t, m.owner, notice.Event{Kind: notice.MigrationEnded, What: "rolled back"})
	m.deliver(t)
	m.later(t, 3*24*time.Hour)
	m.deliver(t)
	heard := team.heard()
	require.Equal(t, []string{"informed bi", "informed ops", "asked bi", "informed ops", "informed bi", "informed ops"}, heard)
	require.Contains(t, team.events[len(team.events)-1].Notice, "It was undone")
}
