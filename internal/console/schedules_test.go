package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
	"drawbridge/internal/view"
)

// daily runs shop in an environment every morning in Berlin.
func daily(environment string) schedule.Standing {
	var s schedule.Standing
	s.Pipeline, s.Environment, s.Release = "shop", environment, release.Release{Pipeline: "shop", Version: "1.1.0"}
	s.Schedule = schedule.Schedule{Cron: "0 6 * * *", Timezone: "Europe/Berlin", Lag: 24 * time.Hour, WaitFor: 6 * time.Hour, Overlap: schedule.Queue, Catchup: 24 * time.Hour, Lookback: 5}
	s.Scheme = partition.Scheme{By: partition.Day, Column: "d"}
	s.Next = []time.Time{noon().Add(17 * time.Hour)}
	return s
}

func TestScreensOfSchedules(t *testing.T) {
	t.Parallel()
	dev, prod, staging := daily("dev"), daily("prod"), daily("staging")
	dev.Last, dev.LastFor, dev.Running, dev.Waiting = "scheduled/shop/dev-2026-03-01T05:00:00Z", noon().Add(-7*time.Hour), []string{"a"}, 2
	prod.Pause = &schedule.Pause{By: "ann", Reason: "the supplier is late", Since: noon()}
	staging.Pause = &schedule.Pause{TurnBack: "rollback/shop/staging", Since: noon()}
	staging.Skipped, staging.Missed = 3, 1
	next, err := NextOf(dev, []time.Time{noon().Add(17 * time.Hour), noon().Add(41 * time.Hour), noon().Add(65 * time.Hour)})
	require.NoError(t, err)
	for name, text := range map[string]string{
		"schedules":               paper().Schedules([]schedule.Standing{dev, prod, staging}),
		"schedules-none":          paper().Schedules(nil),
		"schedules-next":          paper().Next(dev, next),
		"schedules-next-paused":   paper().Next(prod, next[:1]),
		"schedules-pause":         paper().SteeredSchedule(SteeredSchedule{Command: "pause", Schedule: prod}),
		"schedules-pause-already": paper().SteeredSchedule(SteeredSchedule{Command: "pause", Schedule: prod, Already: true}),
		"schedules-resume":        paper().SteeredSchedule(SteeredSchedule{Command: "resume", Schedule: dev}),
		"schedules-list":          paper().List([]view.View{view.OfSchedule(dev), view.OfSchedule(prod)}),
	} {
		golden(t, name+".txt", text)
	}
}

func TestScreensOfGaps(t *testing.T) {
	t.Parallel()
	span := func(first, last partition.Key, n int) backfill.Span {
		return backfill.Span{First: first, Last: last, Count: n}
	}
	g := backfill.Gaps{
		First: "2026-01-01", Last: "2026-02-27", Live: 1_054, Unbuilt: []backfill.Span{span("2026-01-04", "2026-01-06", 3)}, Older: []backfill.Span{span("2026-01-07", "2026-01-07", 1)},
		Holes: []backfill.Span{span("2026-01-20", "2026-01-20", 1)}, Late: []backfill.Span{span("2026-02-28", "2026-02-28", 1)}, Fill: []backfill.Span{span("2026-01-04", "2026-01-07", 4)},
	}
	many := g
	many.Fill = nil
	for range 20 {
		many.Fill = append(many.Fill, g.Fill[0])
	}
	many.Unbuilt = many.Fill
	for name, of := range map[string]backfill.Gaps{
		"gaps": g, "gaps-many": many, "gaps-none": {First: "2026-01-01", Last: "2026-02-27", Live: 58}, "gaps-whole": {Live: 1, First: "all", Last: "all", Whole: []string{"dim_store"}},
		"gaps-empty": {Late: g.Late},
	} {
		golden(t, name+".txt", paper().Gaps(Gaps{Pipeline: "shop", Environment: "prod", Gaps: of, Commands: Fill("shop", "prod", of.Fill)}))
	}
}
