package workflows_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/generation"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// story is what a backfill has told.
func story(s workflows.Status) (texts []string) {
	for _, e := range s.Events {
		texts = append(texts, e.Text)
	}
	return texts
}

func TestABackfillWorksOnlyInItsWindow(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(2_000)
	var calls atomic.Int64
	var opens atomic.Int64 // when its window does
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		calls.Add(1)
		if in.Window != "22:00-06:00" || in.Target.Now.Unix() >= opens.Load() {
			return activities.Filled{}, false, nil
		}
		return activities.Filled{Next: in.From, Throttled: []string{"its window is closed"}, Opens: time.Unix(opens.Load(), 0).UTC()}, true, nil
	}
	set := func(window string) conduct.Command {
		return conduct.Command{Kind: conduct.SetWindow, By: "bob", Window: window}
	}
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		opens.Store(env.Now().Add(10 * time.Hour).Unix())
		steer(0, set("22:00-06:00"))(env)
		env.RegisterDelayedCallback(func() {
			waits := now(t, env)
			require.Equal(t, workflows.StageCrossing, waits.Stage, "nobody is asked")
			require.Equal(t, "its window is closed", waits.Backfill.Throttled)
			require.Equal(t, "22:00-06:00", waits.Window)
			require.Equal(t, 4, waits.Backfill.Lanes, "a closed window is no load")
			require.Less(t, calls.Load(), int64(4*(9*4+2)), "it does not look all the time")
			require.Zero(t, e.filler.live())
		}, 9*time.Hour)
		env.RegisterDelayedCallback(func() {
			require.Equal(t, workflows.StageDone, now(t, env).Stage)
		}, 11*time.Hour)
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Len(t, e.filler.times, 2_000)
}

// While its window is closed nobody is told how long the rest takes, whatever was done before, but when it opens.
func TestABackfillWhoseWindowIsClosedSaysWhenItOpensAndNotHowLongItTakes(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(2_000)
	var calls, opens atomic.Int64
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		switch n := calls.Add(1); {
		case n > 4 && n <= 8: // so that time goes by
			return activities.Filled{Next: in.From, Throttled: []string{"jobs is 6, the limit is 5"}}, true, nil
		case n <= 16 || in.Target.Now.Unix() >= opens.Load():
			return activities.Filled{}, false, nil
		}
		return activities.Filled{Next: in.From, Throttled: []string{"its window is closed"}, Opens: time.Unix(opens.Load(), 0).UTC()}, true, nil
	}
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		opens.Store(env.Now().Add(10 * time.Hour).Unix())
		env.RegisterDelayedCallback(func() {
			waits := now(t, env).Backfill
			require.NotZero(t, waits.Published)
			require.NotZero(t, waits.Speed)
			require.Empty(t, waits.Left)
			require.Equal(t, opens.Load(), waits.Opens.Unix())
		}, 9*time.Hour)
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Nil(t, s.Backfill.Opens)
}

// Whoever lets it work sooner need not wait for the window that was.
func TestANewWindowCountsAtOnce(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(500)
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		return activities.Filled{Next: in.From, Throttled: []string{"its window is closed"}, Opens: in.Target.Now.Add(100 * time.Hour)}, in.Window != "", nil
	}
	var took time.Duration
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		began := env.Now()
		steer(0, conduct.Command{Kind: conduct.SetWindow, By: "bob", Window: "22:00-06:00"})(env)
		steer(time.Hour, conduct.Command{Kind: conduct.SetWindow, By: "bob", Window: "no window"})(env)
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(workflows.Steer, "1", &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnComplete: func(any, error) {},
				OnReject: func(err error) { require.ErrorContains(t, err, "its times are not like") },
			}, conduct.Command{Kind: conduct.SetWindow, By: "bob", Window: "25:00-06:00"})
		}, time.Hour)
		steer(2*time.Hour, conduct.Command{Kind: conduct.SetWindow, By: "bob", Window: conduct.Always})(env)
		env.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) { took = env.Now().Sub(began) })
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Less(t, took, 2*time.Hour+time.Minute)
	require.Len(t, s.RefusedDecisions, 1, "what is no window is refused")
}

// A hold, or a load, may last for days: what waits hands its slice over to the next run, and nothing of it is done or counted twice.
func TestWhatWaitsForLongContinuesAsNew(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]activities.Filled{
		"a hold": {Parked: generation.PublishResult{WaitingFor: generation.ForHold, Why: "quarter end"}},
		"a load": {Throttled: []string{"jobs is 6, the limit is 5"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.filler = newFiller(2_000)
			e.filler.poison[key(10)] = true
			began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			clock := began
			e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
				if in.From == 0 || in.Target.Now.Sub(began) > 10*time.Hour { // each slice is begun, and then it is held
					return activities.Filled{}, false, nil
				}
				wait := held
				wait.Next = in.From
				return wait, true, nil
			}
			most := 0
			s, continued := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
				env.SetStartTime(clock)
				worked := 0
				env.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) {
					clock = env.Now()
					if worked++; worked == 200 {
						env.SetContinueAsNewSuggested(true)
					}
					most = max(most, worked)
				})
				steer(20*time.Hour, conduct.Command{Kind: conduct.Skip, By: "bob", Reason: "closed"})(env)
			})
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.GreaterOrEqual(t, continued, 3)
			require.LessOrEqual(t, most, 210, "no run goes on for ever")
			require.Len(t, e.filler.times, 1_999)
			for k, n := range e.filler.times {
				require.Equal(t, 1, n, k)
			}
			require.Equal(t, 1_999, s.Backfill.Published)
			require.Equal(t, 1, s.Backfill.Skipped)
		})
	}
}

func TestABackfillThatDoesNotGoOnSaysSoOnce(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(2_000)
	var calls atomic.Int64
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		return activities.Filled{Next: in.From, Throttled: []string{"jobs is 6, the limit is 5"}}, calls.Add(1) <= 200, nil
	}
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { require.Nil(t, now(t, env).Backfill.Stalled) }, 9*time.Minute)
		env.RegisterDelayedCallback(func() { require.NotNil(t, now(t, env).Backfill.Stalled) }, 21*time.Minute)
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Nil(t, s.Backfill.Stalled, "it has gone on")
	stalls := 0
	for _, text := range story(s) {
		if text == "stalled: nothing was done for 10m0s: jobs is 6, the limit is 5" {
			stalls++
		}
	}
	require.Equal(t, 1, stalls, story(s))
}

// What a person holds is no stall.
func TestAPausedBackfillIsNotStalled(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(2_000)
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		steer(0, conduct.Command{Kind: conduct.Pause, By: "bob", Reason: "wait"})(env)
		steer(5*time.Hour, conduct.Command{Kind: conduct.Resume, By: "bob"})(env)
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	for _, text := range story(s) {
		require.NotContains(t, text, "stalled")
	}
}
