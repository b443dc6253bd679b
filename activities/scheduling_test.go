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
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/scaffold"
	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
)

// clockwork is Temporal's schedules in memory: it takes what is put unless it was changed since it was read, and says nothing of that.
type clockwork struct {
	have    *schedule.Applied
	changes int
	madeUp  []time.Time
	broken  error
	// before is called as something is about to be put, as somebody else would be.
	before func()
}

func (c *clockwork) Applied(context.Context, string) (*schedule.Applied, error) {
	if c.have == nil || c.broken != nil {
		return nil, c.broken
	}
	read := *c.have
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
