package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/release"
	"drawbridge/workflows"
)

// question is one that people ask about dev.
func question(kind activities.InspectKind) activities.InspectInput {
	return activities.InspectInput{Kind: kind, Target: activities.Target{Environment: "dev", Release: release.Release{Pipeline: "shop"}}}
}

// reply is what became of a question.
type reply struct {
	rejected, failed error
	answer           workflows.Answer
	done             bool
}

func (r *reply) callback() *testsuite.TestUpdateCallback {
	return &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { r.rejected = err },
		OnComplete: func(value any, err error) {
			r.failed, r.done = err, true
			if err == nil {
				r.answer = value.(workflows.Answer)
			}
		},
	}
}

// asks puts a question some time after the start.
func asks(env *testsuite.TestWorkflowEnvironment, after time.Duration, id string, in activities.InspectInput) *reply {
	r := &reply{}
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(workflows.Ask, id, r.callback(), in) }, after)
	return r
}

func (e *effects) live(t *testing.T, env *testsuite.TestWorkflowEnvironment) {
	t.Helper()
	env.ExecuteWorkflow(workflows.EnvironmentName, workflows.EnvironmentInput{Environment: "dev"})
	require.True(t, env.IsWorkflowCompleted())
	require.True(t, workflow.IsContinueAsNewError(env.GetWorkflowError()), "%v", env.GetWorkflowError())
}

// at notes the moments of a call, since the start.
func (e *effects) at(env *testsuite.TestWorkflowEnvironment, call string) *[]time.Duration {
	var moments []time.Duration
	start := env.Now()
	e.on = func(now string) {
		if now == call {
			moments = append(moments, env.Now().Sub(start))
		}
	}
	return &moments
}

func TestAnEnvironmentKeepsHouseByTheHour(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.survey = []activities.Surveyed{{House: activities.House{Connection: "warehouse", Schema: "shop_dev"}}}
	env := e.environment(t)
	moments := e.at(env, "Housekeep shop_dev")
	e.live(t, env)
	require.Len(t, *moments, 25, "in a day, and one at its beginning")
	for i, m := range *moments {
		require.InDelta(t, float64(i)*60, m.Minutes(), 1)
	}
}

// A change is looked after within seconds, and changes that go on and on are not as many rounds.
func TestAnEnvironmentKeepsHouseSoonAfterChanges(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.survey = []activities.Surveyed{{House: activities.House{Schema: "shop_dev"}}}
	env := e.environment(t)
	moments := e.at(env, "Housekeep shop_dev")
	ring := func(after time.Duration) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.Changed, nil) }, after)
	}
	ring(30 * time.Minute)
	const many = 120 // twenty minutes
	for i := range many {
		ring(5*time.Hour + time.Duration(i)*10*time.Second)
	}
	e.live(t, env)
	soon := slices.IndexFunc(*moments, func(m time.Duration) bool { return m >= 30*time.Minute })
	require.InDelta(t, (30 * time.Minute).Seconds(), (*moments)[soon].Seconds(), 20)
	var during int
	for _, m := range *moments {
		if m >= 5*time.Hour && m < 5*time.Hour+many*10*time.Second {
			during++
		}
	}
	require.Greater(t, during, 3)
	require.Less(t, during, 12, "the rounds become rarer")
}

// What cannot be done in one house keeps no other from being kept, and is done another time.
func TestAHouseThatCannotBeKeptStopsNoOther(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.survey = []activities.Surveyed{
		{House: activities.House{Schema: "first"}},
		{House: activities.House{Schema: "away"}, Unreached: "no route to host"},
		{House: activities.House{Schema: "last"}, Standing: release.Standing{
			Hold:      &release.Hold{Reason: "quarter | end", By: "ann"},
			Pipelines: []release.Pipeline{{Name: "shop", Active: "1.2.0", Crossing: "deploy/shop/1.3.0", Watching: []string{"deploy/shop/1.2.0"}}},
		}},
	}
	e.housekeep = func(h activities.House) error {
		if h.Schema == "first" {
			return fault.Newf(fault.Refused, "drop", "g7", "grant it", "the role may not")
		}
		return nil
	}
	env := e.environment(t)
	var page string
	env.RegisterDelayedCallback(func() { page = details(t, env) }, time.Minute)
	e.live(t, env)
	count := func(call string) (n int) {
		for _, c := range e.seen() {
			if c == call {
				n++
			}
		}
		return n
	}
	require.Equal(t, count("Housekeep first"), count("Housekeep last"))
	require.Equal(t, 25, count("Housekeep last"))
	require.Zero(t, count("Housekeep away"))
	for _, text := range []string{"the role may not", "no route to host", "on hold", `quarter \| end`, "ann", "1.2.0", "deploy/shop/1.3.0 crosses", "deploy/shop/1.2.0 watches"} {
		require.Contains(t, page, text)
	}
}

// details is the live page of a workflow.
func details(t *testing.T, env *testsuite.TestWorkflowEnvironment) string {
	t.Helper()
	answer, err := env.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(t, answer.Get(&metadata))
	return metadata.GetCurrentDetails()
}

func TestAShortQuestionIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.inspect = func(_ context.Context, in activities.InspectInput) (activities.InspectResult, error) {
		if in.Kind == activities.InspectDoctor {
			return activities.InspectResult{}, activities.ApplicationError(fault.Newf(fault.Refused, "look", "shop", "mend it", "it is broken"))
		}
		return activities.InspectResult{Rows: 7}, nil
	}
	env := e.environment(t)
	good, bad := asks(env, time.Minute, "a", question(activities.InspectHistory)), asks(env, time.Minute, "b", question(activities.InspectDoctor))
	other := question(activities.InspectHistory)
	other.Target.Environment = "prod"
	foreign := asks(env, time.Minute, "c", other)
	e.live(t, env)
	require.NoError(t, good.failed)
	require.True(t, good.answer.Done)
	require.EqualValues(t, 7, good.answer.Rows)
	require.ErrorContains(t, bad.failed, "it is broken")
	require.ErrorContains(t, foreign.rejected, "another environment")
}

// A long question has a number at once and its answer later. Few are worked on at a time, and more than ten are refused.
func TestLongQuestionsAreAskedByNumber(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	var running, most atomic.Int32
	e.inspect = func(ctx context.Context, in activities.InspectInput) (activities.InspectResult, error) {
		now := running.Add(1)
		defer running.Add(-1)
		for {
			before := most.Load()
			if now <= before || most.CompareAndSwap(before, now) {
				break
			}
		}
		if in.Kind == activities.InspectDiff {
			return activities.InspectResult{}, activities.ApplicationError(fault.Newf(fault.Invalid, "compare", "t", "name another", "there are not two"))
		}
		return activities.InspectResult{Rows: 9}, nil
	}
	env := e.environment(t)
	var taken []*reply
	env.RegisterDelayedCallback(func() {
		for i := range 12 {
			kind := activities.InspectChecksum
			if i == 0 {
				kind = activities.InspectDiff
			}
			r := &reply{}
			taken = append(taken, r)
			env.UpdateWorkflow(workflows.Ask, fmt.Sprint(i), r.callback(), question(kind))
		}
	}, time.Minute)
	answers := map[int]workflows.Answer{}
	env.RegisterDelayedCallback(func() {
		for _, r := range taken[:10] {
			value, err := env.QueryWorkflow(workflows.AnswerQuery, r.answer.Number)
			require.NoError(t, err)
			var a workflows.Answer
			require.NoError(t, value.Get(&a))
			answers[r.answer.Number] = a
		}
		_, err := env.QueryWorkflow(workflows.AnswerQuery, 999)
		require.Error(t, err)
	}, time.Hour)
	e.live(t, env)
	for _, r := range taken[:10] {
		require.NoError(t, errors.Join(r.rejected, r.failed))
		require.False(t, r.answer.Done)
		require.True(t, answers[r.answer.Number].Done)
	}
	require.Len(t, answers, 10, "each has a number of its own")
	failed := answers[taken[0].answer.Number]
	require.Equal(t, fault.Invalid, failed.Class)
	require.Contains(t, failed.Failed, "there are not two")
	require.Equal(t, "name another", failed.Hint)
	require.EqualValues(t, 9, answers[taken[1].answer.Number].Rows)
	for _, r := range taken[10:] {
		require.ErrorContains(t, r.rejected, "long questions")
	}
	require.LessOrEqual(t, most.Load(), int32(2))
}

// A run of the workflow ends at 500 questions, each of which is answered before.
func TestAnEnvironmentStartsOverWhenItHasAnsweredMuch(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	env := e.environment(t)
	var all []*reply
	for i := range 500 {
		kind := activities.InspectHistory
		if i >= 495 {
			kind = activities.InspectChecksum
		}
		all = append(all, asks(env, time.Minute+time.Duration(i)*time.Second, fmt.Sprint(i), question(kind)))
	}
	start := env.Now()
	e.live(t, env)
	require.Less(t, env.Now().Sub(start), time.Hour)
	for i, r := range all {
		require.True(t, r.done, i)
	}
	var examined int
	for _, call := range e.seen() {
		if strings.HasPrefix(call, "Examine") {
			examined++
		}
	}
	require.Equal(t, 5, examined)
}

func TestAHoldIsTriedAgainWhereAHouseIsAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		back  int // the round in which it is reached
		calls int
		away  bool
	}{"at once": {1, 1, false}, "a moment later": {3, 3, false}, "never": {9, 3, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("dev"))
			rounds := 0
			e.hold = func(in activities.HoldInput) ([]activities.Held, error) {
				rounds++
				held := []activities.Held{{House: activities.House{Schema: "first"}}, {House: activities.House{Schema: "last"}}}
				if rounds < c.back {
					held[1].Unreached = "no route to host"
				}
				return held, nil
			}
			env := e.environment(t)
			env.ExecuteWorkflow(workflows.HoldName, activities.HoldInput{Environment: "dev", By: "ann", Reason: "quarter end"})
			require.NoError(t, env.GetWorkflowError())
			var held []activities.Held
			require.NoError(t, env.GetWorkflowResult(&held))
			require.Len(t, held, 2)
			require.Equal(t, c.away, held[1].Unreached != "")
			require.Equal(t, c.calls, rounds)
		})
	}
}
