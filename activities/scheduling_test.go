package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/scaffold"
	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
)

// clockwork is Temporal's schedules in memory: it takes what is put unless it was changed since it was read, and says nothing of that.
type clockwork struct {
	have    *schedule.Applied
	changes int
	missed  int
	madeUp  []time.Time
	broken  error
	// before is called as something is about to be put, as somebody else would be.
	before func()
}

func (c *clockwork) Find(context.Context, string) (*schedule.Standing, error) {
	if c.have == nil || c.broken != nil {
		return nil, c.broken
	}
	read := schedule.Standing{Applied: *c.have, Created: opened(), Missed: c.missed}
	read.Token = string(rune('a' + c.changes))
	return &read, nil
}

func (c *clockwork) Put(_ context.Context, want schedule.Applied) error {
	if c.before != nil {
		c.before()
		c.before = nil
	}
	if c.have == nil && want.Token != "" || c.have != nil && want.Token != string(rune('a'+c.changes)) {
		return nil
	}
	c.changes++
	want.Token = ""
	c.have = &want
	return nil
}

func (c *clockwork) Remove(context.Context, string) error {
	c.have = nil
	return nil
}

func (c *clockwork) MakeUp(_ context.Context, _ schedule.Input, after, _ time.Time) error {
	c.madeUp = append(c.madeUp, after)
	return nil
}

// hall is a site whose ledger says what a test says, and whose schedules are a clockwork.
type hall struct {
	*clockwork
	d    *desk
	site *activities.Site
}

func newHall(t *testing.T) *hall {
	t.Helper()
	files, err := scaffold.New("shop")
	require.NoError(t, err)
	plain, hourly := map[string][]byte{}, map[string][]byte{}
	for name, body := range files {
		plain[name], hourly[name] = body, body
	}
	hourly["config.prod.yaml"] = append(append([]byte{}, files["config.prod.yaml"]...), "schedule: {cron: '0 * * * *'}\n"...)
	h := &hall{clockwork: &clockwork{}, d: &desk{facts: admission.Facts{Environment: "prod", Crossing: owner}}}
	h.site = &activities.Site{
		Environment: "prod", Store: &shelf{releases: map[string]map[string][]byte{"sha256:plain": plain, "sha256:hourly": hourly}}, Schedules: h.clockwork,
		Warehouse: func(context.Context, pipeline.Config) (activities.Warehouse, error) { return h.d, nil },
	}
	return h
}

// becomes makes a release the active one, in the ledger alone.
func (h *hall) becomes(version string) {
	h.d.facts.Active = release.Tenure{Number: h.d.facts.Active.Number + 1, Release: release.Release{Pipeline: "shop", Version: version, Digest: "sha256:" + version}}
}

// publish makes the release that is active in the ledger so once more: what was done is done.
func (h *hall) publish(t *testing.T) (generation.PublishResult, *temporal.ApplicationError) {
	t.Helper()
	active := h.d.facts.Active
	in := activities.PublishInput{Step: "publish", Activate: true, Target: activities.Target{Environment: "prod", Owner: owner, Release: active.Release, Tenure: active.Number}}
	h.d.facts.Tenure = active
	return call(t, (&activities.Publishing{Site: h.site}).Publish, in)
}

func TestAnActivationAppliesItsSchedule(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.becomes("hourly")
	res, err := h.publish(t)
	require.Nil(t, err)
	require.Contains(t, res.Schedule, "the schedule is 0 * * * *")
	require.Equal(t, "hourly", h.have.Release.Version)
	res, err = h.publish(t)
	require.Nil(t, err)
	require.Empty(t, res.Schedule, "done again it does nothing")
	require.Equal(t, 1, h.changes)
	h.becomes("plain")
	_, err = h.publish(t)
	require.Nil(t, err)
	require.Nil(t, h.have)
}

// Another release becomes active, or a person pauses, just as a schedule is applied: what is left is what the ledger and the person say.
func TestWhoAppliesAScheduleLooksAgain(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.becomes("hourly")
	h.before = func() { h.becomes("plain") }
	_, err := h.publish(t)
	require.Nil(t, err)
	require.Nil(t, h.have, "what is active has none")

	h.becomes("hourly")
	_, err = h.publish(t)
	require.Nil(t, err)
	h.have.Release.Version = "another"
	h.before = func() {
		h.changes++
		h.have.Pause = &schedule.Pause{By: "ann", Reason: "late"}
	}
	_, err = h.publish(t)
	require.Nil(t, err)
	require.Equal(t, "hourly", h.have.Release.Version)
	require.Equal(t, "ann", h.have.Pause.By)
}

// What no retry mends is said, and undoes nothing; what a retry may mend is tried again.
func TestASchedulesTroubleKeepsNobody(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.becomes("hourly")
	h.broken = fault.Newf(fault.Refused, "read", "schedule/shop/prod", "let the worker", "no permission")
	res, err := h.publish(t)
	require.Nil(t, err)
	require.Contains(t, res.Schedule, "the schedule could not be changed")
	require.Contains(t, res.Schedule, "no permission")
	h.broken = errors.New("no answer")
	_, err = h.publish(t)
	require.NotNil(t, err)
	require.Contains(t, err.Message(), "no answer")
	h.broken = nil
	_, err = h.publish(t)
	require.Nil(t, err)
	require.NotNil(t, h.have)
}

// forgetful is a ledger that keeps what people are owed, and of how many missed times they were told.
type forgetful struct {
	desk
	owed []notice.Owed
	told map[time.Time]int
}

func (f *forgetful) BrownedOut(context.Context) ([]migrate.Standing, error) { return nil, nil }

func (f *forgetful) Housekeep(context.Context, time.Duration) error { return nil }

func (f *forgetful) Deprecated(context.Context) ([]migrate.Standing, error) { return nil, nil }

func (f *forgetful) Owe(_ context.Context, _ string, _ effect.Owner, _ []string, owed []notice.Owed) error {
	f.owed = append(f.owed, owed...)
	return nil
}

func (f *forgetful) ToldMissed(_ context.Context, _ string, since time.Time) (int, error) {
	return f.told[since], nil
}

func (f *forgetful) TellMissed(_ context.Context, _ string, since time.Time, times int) error {
	f.told[since] = times
	return nil
}

// Temporal was away for longer than it may make up: no run is there that could say so, and each time is told once.
func TestATimeForWhichNothingWasStartedIsToldByHousekeeping(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	ledger := &forgetful{desk: *h.d, told: map[time.Time]int{}}
	h.d = &ledger.desk
	h.site.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return ledger, nil }
	store := h.site.Store.(*shelf)
	store.releases[target("prod").Release.Digest] = store.releases["sha256:hourly"] // where its pipeline lives, any release says
	h.site.Policy.Notify.Receivers = map[string]pipeline.Receiver{"team": {}}
	h.becomes("hourly")
	keep := func() []notice.Owed {
		ledger.owed = nil
		_, err := call(t, func(ctx context.Context, in activities.HousekeepInput) (struct{}, error) {
			return struct{}{}, (&activities.Keeping{Site: h.site}).Housekeep(ctx, in)
		}, activities.HousekeepInput{Environment: "prod", Owner: owner})
		require.Nil(t, err)
		return ledger.owed
	}
	require.Empty(t, keep(), "it is applied, and has missed nothing")
	require.NotNil(t, h.have)
	h.missed = 1
	first := keep()
	require.Len(t, first, 1)
	e := first[0].Event
	require.Equal(t, notice.ScheduleMissed, e.Kind)
	require.Equal(t, "shop", e.Pipeline)
	require.Equal(t, "schedule/shop/prod", e.By)
	require.Equal(t, "schedule/shop/prod has started nothing: one of its times has passed", e.What)
	require.Equal(t, "Temporal was away for longer than 1d (catchup)", e.Why)
	require.Contains(t, e.Commands, "drawbridge gaps shop --env prod")
	require.Empty(t, keep(), "once")
	h.missed = 3
	second := keep()
	require.Len(t, second, 1)
	require.Contains(t, second[0].Event.What, "2 of its times have passed")
	require.NotEqual(t, e.ID, second[0].Event.ID)
}
