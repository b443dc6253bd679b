package workflows_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/notice"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
	"drawbridge/workflows"
)

// morning is a scheduled run of prod for a time at six, and what it finds.
type morning struct {
	*effects
	t       *testing.T
	ledger  *ledger
	env     *testsuite.TestWorkflowEnvironment
	at      time.Time
	waitFor time.Duration
	before  []partition.Key
	asked   []time.Time // the times for which it was asked what is due
	absent  func(key partition.Key) bool
}

func newMorning(t *testing.T) *morning {
	t.Helper()
	e := smooth(t, crossing("prod"))
	m := &morning{
		effects: e, t: t, ledger: e.ledgers["prod"], at: time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC), absent: func(partition.Key) bool { return false },
	}
	e.due = func(in activities.DueInput) (activities.Due, error) {
		m.asked = append(m.asked, in.At)
		active, err := m.ledger.Active(t.Context(), "shop")
		return activities.Due{
			Release: active.Release, Tenure: active.Number, Key: "2026-01-30", Before: m.before, WaitFor: m.waitFor, Tells: e.sites["prod"].Policy.Notify.Tells(),
		}, err
	}
	e.missing = func(in activities.MissingInput) (activities.Missing, error) {
		if m.absent(in.Partition) {
			return activities.Missing{Count: 1, Files: []string{"data/orders_" + string(in.Partition) + ".csv"}}, nil
		}
		return activities.Missing{}, nil
	}
	m.env = e.environment(t)
	m.env.SetStartTime(m.at.Add(time.Minute)) // a little late, as always
	require.NoError(t, m.env.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(
		temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime").ValueSet(m.at))))
	return m
}

func (m *morning) run() workflows.Status {
	m.t.Helper()
	m.env.ExecuteWorkflow(workflows.ScheduledName, schedule.Input{Pipeline: "shop", Environment: "prod"})
	s, err := result(m.t, m.env)
	require.NoError(m.t, err)
	return s
}

// told are the events that hold a text.
func told(s workflows.Status, text string) int {
	n := 0
	for _, e := range s.Events {
		if strings.Contains(e.Text, text) {
			n++
		}
	}
	return n
}

func TestAScheduledRunBuildsWhatIsDueAtTheTimeThatWasMeant(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	s := m.run()
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, "live: 2026-01-30", s.Sentence)
	require.Equal(t, previous(), s.Release)
	for _, at := range m.asked {
		require.True(t, at.Equal(m.at), "asked about %s", at)
	}
	require.Contains(t, m.seen(), "Publish prod publish")
}

// A run waits by timers alone: between two looks no activity runs, and there are few of them, however long it waits.
func TestAScheduledRunWaitsForItsFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ waitFor, comes time.Duration }{
		"for minutes": {time.Hour, 5 * time.Minute}, "for hours": {6 * time.Hour, 5 * time.Hour}, "for days": {14 * 24 * time.Hour, 13 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMorning(t)
			m.waitFor = c.waitFor
			m.absent = func(partition.Key) bool { return m.env.Now().Before(m.at.Add(c.comes)) }
			s := m.run()
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, 1, told(s, "waits until "+m.at.Add(c.waitFor).Format("2006-01-02 15:04 MST")+": data/orders_2026-01-30.csv is not there"))
			looks := len(slices.DeleteFunc(m.seen(), func(call string) bool { return !strings.HasPrefix(call, "Missing ") }))
			require.Less(t, looks, 400)
			late := m.env.Now().Sub(m.at.Add(c.comes))
			require.Less(t, late, max(2*time.Minute, c.waitFor/100), "it looks often enough")
		})
	}
}

func TestAFileThatDoesNotComeIsNamed(t *testing.T) {
	t.Parallel()
	for _, waitFor := range []time.Duration{0, 6 * time.Hour} {
		m := newMorning(t)
		m.waitFor = waitFor
		m.absent = func(partition.Key) bool { return true }
		s := m.run()
		require.Equal(t, workflows.StageRefused, s.Stage)
		require.Contains(t, s.Sentence, "data/orders_2026-01-30.csv is not there")
		require.Contains(t, s.Hint, "drawbridge run shop --env prod --partition 2026-01-30")
		require.NotContains(t, m.seen(), "Enter prod", "nothing is run")
		require.False(t, m.env.Now().Before(m.at.Add(waitFor)))
		require.Less(t, m.env.Now().Sub(m.at.Add(waitFor)), 5*time.Minute)
	}
}

// What comes late in files of earlier days is built again; a day that has no file is left to gaps.
func TestTheDaysBeforeAreRunAgain(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.before = []partition.Key{"2026-01-27", "2026-01-28", "2026-01-29"}
	m.absent = func(key partition.Key) bool { return key == "2026-01-28" }
	s := m.run()
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, "live: 2026-01-27, 2026-01-29, 2026-01-30; left out, as there are no files: 2026-01-28", s.Sentence)
}

func TestOneDayThatFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.before = []partition.Key{"2026-01-29"}
	build := m.build
	m.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
		if in.Partition == "2026-01-29" {
			return m.built(ctx, in, gate.Fail)
		}
		return build(ctx, in)
	}
	s := m.run()
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "2026-01-29: run/shop/prod/2026-01-29 is refused")
	require.Contains(t, s.Hint, "drawbridge gaps shop --env prod")
	require.Equal(t, 1, told(s, "running 2026-01-30"))
	active, err := m.ledger.Active(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, previous(), active.Release)
	require.Contains(t, m.seen(), "Publish prod publish", "the day that is due is published")
}

// While something is turned back nothing else may run; then it is what is active that runs.
func TestAScheduledRunWaitsWhileSomethingIsTurnedBack(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	due := m.due
	m.due = func(in activities.DueInput) (activities.Due, error) {
		out, err := due(in)
		if m.env.Now().Before(m.at.Add(20 * time.Minute)) {
			out.TurnBack = "rollback/shop/prod"
		}
		return out, err
	}
	s := m.run()
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, 1, told(s, "waits: rollback/shop/prod turns back"))
	require.False(t, m.env.Now().Before(m.at.Add(20*time.Minute)))
}

// Another release becomes active while its file is awaited, and while its run has begun: that one runs.
func TestAScheduledRunRunsWhatIsActive(t *testing.T) {
	t.Parallel()
	for name, moment := range map[string]string{"while it waits": "Missing 2026-01-30", "when its run has begun": "BuildSlice prod run"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMorning(t)
			m.waitFor = time.Hour
			m.absent = func(partition.Key) bool { return m.env.Now().Before(m.at.Add(10 * time.Minute)) }
			once := false
			m.on = func(call string) {
				if call == moment && !once {
					once = true
					m.ledger.published(candidate(), release.ByDeployment, "deploy/shop/1.1.0", "2026-01-31")
				}
			}
			s := m.run()
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, candidate(), s.Release)
		})
	}
}

func TestNothingIsRunWhereNothingIsDue(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.due = func(activities.DueInput) (activities.Due, error) {
		return activities.Due{Nothing: "no release is active, or the one that is has no schedule"}, nil
	}
	s := m.run()
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Contains(t, s.Sentence, "nothing is due")
	require.NotContains(t, m.seen(), "Enter prod")
}

func TestAScheduledRunThatIsCancelledCancelsItsRun(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.waitFor = time.Hour
	m.absent = func(partition.Key) bool { return true }
	m.env.RegisterDelayedCallback(m.env.CancelWorkflow, 10*time.Minute)
	m.env.ExecuteWorkflow(workflows.ScheduledName, schedule.Input{Pipeline: "shop", Environment: "prod"})
	s, err := result(t, m.env)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.NotContains(t, m.seen(), "Enter prod")
}

func TestWhatCannotBeDueIsSaid(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.due = func(activities.DueInput) (activities.Due, error) {
		return activities.Due{}, fault.Newf(fault.Refused, "find", "shop in prod", "deploy a release", "it was never published here")
	}
	s := m.run()
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "never published here")
	require.Equal(t, "deploy a release", s.Hint)
}

// Nobody looks when a clock starts a run: people are told where what was due is not there, once, and by its ID they tell which time it was.
func TestPeopleAreToldOfATimeThatWasMissed(t *testing.T) {
	t.Parallel()
	absent := func(partition.Key) bool { return true }
	for name, c := range map[string]struct {
		prepare func(*morning)
		told    []string
		why     string
	}{
		"its file does not come": {
			prepare: func(m *morning) { m.waitFor, m.absent = time.Hour, absent },
			told:    []string{"schedule_missed prod"}, why: "data/orders_2026-01-30.csv is not there, 1h after 2026-01-31 06:00 UTC",
		},
		"a day fails": {
			prepare: func(m *morning) {
				m.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
					return m.built(ctx, in, gate.Fail)
				}
			},
			told: []string{"run_failed prod", "schedule_missed prod"}, why: "2026-01-30: run/shop/prod/2026-01-30 is refused",
		},
		"a person cancels it": {
			prepare: func(m *morning) {
				m.waitFor, m.absent = time.Hour, absent
				m.env.RegisterDelayedCallback(m.env.CancelWorkflow, 10*time.Minute)
			},
			told: []string{"schedule_missed prod"}, why: "cancelled",
		},
		"all of it is live": {prepare: func(*morning) {}},
		"nothing is due": {prepare: func(m *morning) {
			m.due = func(activities.DueInput) (activities.Due, error) {
				return activities.Due{Nothing: "no release is active", Tells: true}, nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMorning(t)
			m.listening("prod")
			c.prepare(m)
			m.env.ExecuteWorkflow(workflows.ScheduledName, schedule.Input{Pipeline: "shop", Environment: "prod"})
			_, _ = result(t, m.env)
			require.Equal(t, c.told, m.kinds())
			if len(c.told) == 0 {
				return
			}
			e := m.event(t, notice.ScheduleMissed)
			require.Contains(t, e.Why, c.why)
			require.Equal(t, "drawbridge gaps shop --env prod", e.Commands[0])
			require.Equal(t, schedule.ID("shop", "prod"), e.By)
			require.Equal(t, previous().String(), e.Release)
		})
	}
}

// Where nobody listens the same is announced to nobody.
func TestWhereNobodyListensAMissedTimeIsNotAnnounced(t *testing.T) {
	t.Parallel()
	m := newMorning(t)
	m.absent = func(partition.Key) bool { return true }
	m.run()
	require.NotContains(t, m.seen(), "Announce prod")
}
