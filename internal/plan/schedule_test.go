package plan_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/plan"
	"drawbridge/internal/schedule"
)

// A plan says when the release runs by itself from then on, and when it does now: what is decided is in its digest.
func TestAPlanSaysWhatBecomesOfTheSchedule(t *testing.T) {
	t.Parallel()
	daily := &schedule.Schedule{Cron: "0 6 * * *", Timezone: "Europe/Berlin", Lag: 24 * time.Hour, WaitFor: 6 * time.Hour, Overlap: schedule.Queue, Catchup: time.Hour, Lookback: 2}
	words := "0 6 * * * (Europe/Berlin); the partition of 1d before, and the 2 before that; waits 6h for its files; overlap: queue; catchup: 1h"
	with := func(s *schedule.Schedule, now string) change {
		return func(_ *plan.Input, env *plan.EnvironmentInput) { env.Config.Schedule, env.Observed.Schedule = s, now }
	}
	none := compute(t)
	for name, c := range map[string]struct {
		change change
		text   []string
		step   string
		digest bool // another than without any
	}{
		"none":         {with(nil, ""), nil, "makes the release the active one", false},
		"a new one":    {with(daily, ""), []string{"SCHEDULE  " + words + " (new)"}, "and applies its schedule", true},
		"as it is":     {with(daily, words), []string{"SCHEDULE  " + words + " (as it is)"}, "and applies its schedule", true},
		"another":      {with(daily, "0 5 * * * (UTC)"), []string{"SCHEDULE  " + words, "          now: 0 5 * * * (UTC)"}, "and applies its schedule", true},
		"not any more": {with(nil, words), []string{"SCHEDULE  none, nothing runs by itself", "          now: " + words}, "and removes the schedule", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compute(t, c.change)
			text := plan.Text(p)
			for _, line := range c.text {
				require.Contains(t, text, line+"\n")
			}
			if len(c.text) == 0 {
				require.NotContains(t, text, "SCHEDULE")
			}
			e := p.Environments[0]
			require.Contains(t, text, c.step)
			require.Equal(t, c.digest, p.Digest != none.Digest)
			if c.digest {
				require.Contains(t, e.Rollback.Steps, "the schedule is paused meanwhile, and again that of what is active: "+was(e.Shown.Schedule))
				require.Contains(t, plan.Markdown(p), "Schedule:")
			}
		})
	}
	other := *daily
	other.Lookback = 3
	require.NotEqual(t, compute(t, with(daily, "")).Digest, compute(t, with(&other, "")).Digest)
}

func was(words string) string {
	if words == "" {
		return "none, nothing runs by itself"
	}
	return words
}
