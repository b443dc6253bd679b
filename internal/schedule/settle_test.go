package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
)

func daily(version string) *schedule.Input {
	return &schedule.Input{
		Pipeline: "shop", Environment: "prod", Release: release.Release{Pipeline: "shop", Version: version, Digest: "sha256:" + version},
		Schedule: schedule.Schedule{Cron: "0 6 * * *", Overlap: schedule.Queue, Catchup: 24 * time.Hour}, Scheme: in(""),
	}
}

func applied(in *schedule.Input, p *schedule.Pause) *schedule.Applied {
	return &schedule.Applied{Input: *in, Pause: p, Token: "7"}
}

func TestAScheduleFollowsWhatIsActiveAndWhoTurnsBack(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-31T06:30:00Z")
	person := &schedule.Pause{By: "ann", Reason: "late", Since: now}
	back := &schedule.Pause{TurnBack: "rollback/shop/prod", Since: at(t, "2026-01-31T05:00:00Z")}
	hourly := daily("1.1.0")
	hourly.Schedule.Cron = "0 * * * *"
	for name, c := range map[string]struct {
		active   *schedule.Input
		turnBack string
		have     *schedule.Applied
		remove   bool
		put      *schedule.Applied
		makeUp   string
		said     string
	}{
		"nothing, and nothing is there":                   {},
		"what is active has one":                          {active: daily("1.0.0"), put: &schedule.Applied{Input: *daily("1.0.0")}, said: "the schedule is 0 6 * * * (UTC)"},
		"it is there":                                     {active: daily("1.0.0"), have: applied(daily("1.0.0"), nil)},
		"another release, the same schedule":              {active: daily("1.1.0"), have: applied(daily("1.0.0"), nil), put: applied(daily("1.1.0"), nil), said: "runs shop@1.1.0"},
		"another schedule":                                {active: hourly, have: applied(daily("1.0.0"), nil), put: applied(hourly, nil), said: "the schedule is 0 * * * *"},
		"what is active has none":                         {have: applied(daily("1.0.0"), nil), remove: true, said: "removed"},
		"somebody turns back":                             {active: daily("1.0.0"), turnBack: "rollback/shop/prod", have: applied(daily("1.1.0"), nil), put: applied(daily("1.0.0"), &schedule.Pause{TurnBack: "rollback/shop/prod", Since: now}), said: "paused until rollback/shop/prod has ended"},
		"somebody turns back, and it is paused":           {active: daily("1.0.0"), turnBack: "rollback/shop/prod", have: applied(daily("1.0.0"), back)},
		"another workflow goes on with the turn-back":     {active: daily("1.0.0"), turnBack: "recover/rollback/shop/prod", have: applied(daily("1.0.0"), back)},
		"a turn-back finds what has none before it":       {active: daily("1.0.0"), turnBack: "rollback/shop/prod", put: &schedule.Applied{Input: *daily("1.0.0"), Pause: &schedule.Pause{TurnBack: "rollback/shop/prod", Since: now}}, said: "paused"},
		"the turn-back has ended":                         {active: daily("1.0.0"), have: applied(daily("1.0.0"), back), put: applied(daily("1.0.0"), nil), makeUp: "2026-01-31T05:00:00Z", said: "goes on; 1 time that has passed meanwhile is made up"},
		"it has ended, and no time has passed":            {active: daily("1.0.0"), have: applied(daily("1.0.0"), &schedule.Pause{TurnBack: "rollback/shop/prod", Since: at(t, "2026-01-31T06:10:00Z")}), put: applied(daily("1.0.0"), nil), said: "the schedule goes on"},
		"it took longer than is made up":                  {active: hourly, have: applied(hourly, &schedule.Pause{TurnBack: "rollback/shop/prod", Since: at(t, "2026-01-20T05:00:00Z")}), put: applied(hourly, nil), makeUp: "2026-01-30T06:30:00Z", said: "24 times"},
		"a person has paused it":                          {active: daily("1.0.0"), have: applied(daily("1.0.0"), person)},
		"a person has paused it, and another is active":   {active: daily("1.1.0"), have: applied(daily("1.0.0"), person), put: applied(daily("1.1.0"), person), said: "it stays paused by ann: late"},
		"a person has paused it, and somebody turns back": {active: daily("1.0.0"), turnBack: "rollback/shop/prod", have: applied(daily("1.0.0"), person)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := schedule.Settle(c.active, c.turnBack, c.have, now)
			require.Equal(t, c.remove, step.Remove)
			require.Equal(t, c.put, step.Put)
			require.Equal(t, !c.remove && c.put == nil, step.None())
			if c.makeUp == "" {
				require.Zero(t, step.MakeUp)
			} else {
				require.Equal(t, at(t, c.makeUp), step.MakeUp.UTC())
			}
			if c.said == "" {
				require.Empty(t, step.Said)
			}
			require.Contains(t, step.Said, c.said)
			have := step.Put
			if step.None() {
				have = c.have
			}
			require.True(t, schedule.Settle(c.active, c.turnBack, have, now).None(), "done again it is nothing")
		})
	}
}

func TestANoteSaysWhoHasPaused(t *testing.T) {
	t.Parallel()
	since := at(t, "2026-01-31T06:30:00Z")
	for _, p := range []schedule.Pause{
		{TurnBack: "rollback/shop/prod", Since: since},
		{TurnBack: "deploy/shop/1.1.0", Since: since},
		{By: "ann", Since: since},
		{By: "ann", Reason: "late since yesterday: the supplier", Since: since},
		{By: "for the turn-back ann", Reason: "x", Since: since},
	} {
		require.Equal(t, p, schedule.PauseOf(p.Note()), p.Note())
	}
	for _, note := range []string{"", "paused via the UI", "for the turn-back nobody", "by ann since yesterday"} {
		require.Equal(t, schedule.Pause{By: "somebody", Reason: note}, schedule.PauseOf(note), "what we did not write is a person's")
	}
}

func TestAScheduleIsNamedByPipelineAndEnvironment(t *testing.T) {
	t.Parallel()
	pipeline, env, ok := schedule.OfID(schedule.ID("shop", "prod"))
	require.True(t, ok)
	require.Equal(t, []string{"shop", "prod"}, []string{pipeline, env})
	for _, other := range []string{"schedule/shop", "schedule//prod", "schedule/shop/prod/x", "scheduled/shop/prod", "mine"} {
		_, _, ok := schedule.OfID(other)
		require.False(t, ok, other)
	}
}
