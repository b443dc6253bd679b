package schedule_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/schedule"
)

func in(zone string) partition.Scheme {
	return partition.Scheme{By: partition.Day, Column: "at", Timezone: zone}
}

func times(t require.TestingT, cron, zone string) schedule.Times {
	ts, err := schedule.Schedule{Cron: cron}.Times(in(zone))
	require.NoError(t, err)
	return ts
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	got, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return got
}

func TestTheTimesOfAnExpression(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cron, zone, after string
		want              []string
	}{
		"every day":                       {"0 6 * * *", "", "2026-01-31T06:00:00Z", []string{"2026-02-01T06:00:00Z", "2026-02-02T06:00:00Z"}},
		"in its zone":                     {"0 6 * * *", "Europe/Berlin", "2026-01-31T00:00:00Z", []string{"2026-01-31T05:00:00Z"}},
		"a step":                          {"*/20 8 * * *", "", "2026-01-31T00:00:00Z", []string{"2026-01-31T08:00:00Z", "2026-01-31T08:20:00Z", "2026-01-31T08:40:00Z", "2026-02-01T08:00:00Z"}},
		"a step from a value":             {"50/5 8 * * *", "", "2026-01-31T00:00:00Z", []string{"2026-01-31T08:50:00Z", "2026-01-31T08:55:00Z", "2026-02-01T08:50:00Z"}},
		"working days by name":            {"0 6 * * Mon-Fri", "", "2026-01-30T12:00:00Z", []string{"2026-02-02T06:00:00Z"}},
		"Sunday is 7 too":                 {"0 6 * * 7", "", "2026-01-30T12:00:00Z", []string{"2026-02-01T06:00:00Z", "2026-02-08T06:00:00Z"}},
		"either day":                      {"0 0 13 * 5", "", "2026-02-10T00:00:00Z", []string{"2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z"}},
		"either day, again":               {"0 0 15 * 5", "", "2026-02-14T00:00:00Z", []string{"2026-02-15T00:00:00Z", "2026-02-20T00:00:00Z"}},
		"both, where one is every day":    {"0 0 */2 * 5", "", "2026-02-10T00:00:00Z", []string{"2026-02-13T00:00:00Z", "2026-02-27T00:00:00Z"}},
		"a day that few months have":      {"0 0 31 * *", "", "2026-01-31T12:00:00Z", []string{"2026-03-31T00:00:00Z"}},
		"a leap day":                      {"0 0 29 feb *", "", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		"a macro":                         {"@monthly", "", "2026-01-31T12:00:00Z", []string{"2026-02-01T00:00:00Z"}},
		"a time that is skipped":          {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-30T00:30:00Z"}},
		"a time that comes twice":         {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"}},
		"hours of a day of 23":            {"0 */12 * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", []string{"2026-03-29T10:00:00Z", "2026-03-29T22:00:00Z"}},
		"midnight that is skipped":        {"0 0 * * *", "America/Sao_Paulo", "2018-11-03T04:00:00Z", []string{"2018-11-05T02:00:00Z"}},
		"half an hour from everyone else": {"0 9 * * *", "Asia/Kolkata", "2026-01-31T12:00:00Z", []string{"2026-02-01T03:30:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := times(t, c.cron, c.zone)
			next := at(t, c.after)
			var got []string
			for range c.want {
				next = ts.Next(next)
				got = append(got, next.UTC().Format(time.RFC3339))
			}
			require.Equal(t, c.want, got)
			require.True(t, ts.Last(next).Equal(next), "a time that has just come is the last")
			require.Equal(t, len(c.want), ts.Between(at(t, c.after), next))
		})
	}
}

func TestWhatIsNoExpressionIsRefused(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		"": "0 fields", "0 6 * *": "4 fields", "0 0 6 * * *": "6 fields", "CRON_TZ=UTC 0 6 * * *": "6 fields",
		"60 6 * * *":     "none of 0 to 59",
		"0 24 * * *":     "hour",
		"0 6 0 * *":      "none of 1 to 31",
		"0 6 * 13 *":     "month",
		"0 6 * foo *":    `"foo"`,
		"0 6 * * 8":      "day of the week",
		"*/0 * * * *":    "no step",
		"5-1 * * * *":    "ends before it begins",
		"0 6 30 2 *":     "no such day in any year",
		"0 6 31 4,6,9 *": "no such day in any year",
		"0 6 L * *":      `"l"`,
		"-1 6 * * *":     "none of",
		"+1 6 * * *":     "none of",
		"@never":         "1 fields",
	} {
		_, err := schedule.Parse(text)
		require.ErrorContains(t, err, reason, text)
		require.Equal(t, fault.Invalid, fault.ClassOf(err))
		require.NotEmpty(t, fault.HintOf(err))
	}
}

// What the clocks show at each time fits the expression, no minute between two of them does, and the calendars that Temporal is given
// say the same.
func TestTimesAreTheMinutesThatFit(t *testing.T) {
	t.Parallel()
	crons := []string{"*/7 * * * *", "30 2 * * *", "15 1-4/2 * * *", "0 0 1,15 * mon", "59 23 * * sun", "45 */3 * * *"}
	zones := []string{"", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"}
	rapid.Check(t, func(rt *rapid.T) {
		cron := rapid.SampledFrom(crons).Draw(rt, "cron")
		zone := rapid.SampledFrom(zones).Draw(rt, "zone")
		start := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(rt, "after"), 0)
		loc, err := partition.Zone(zone)
		require.NoError(rt, err)
		parsed, err := schedule.Parse(cron)
		require.NoError(rt, err)
		fits := func(m time.Time) bool {
			m = m.In(loc)
			return slices.ContainsFunc(parsed.Calendars(), func(c schedule.Calendar) bool {
				return slices.Contains(c.Minute, m.Minute()) && slices.Contains(c.Hour, m.Hour()) && slices.Contains(c.Day, m.Day()) &&
					slices.Contains(c.Month, int(m.Month())) && slices.Contains(c.Weekday, int(m.Weekday()))
			})
		}
		next := times(rt, cron, zone).Next(start)
		require.True(rt, fits(next), next)
		require.True(rt, next.After(start))
		for m := start.Truncate(time.Minute).Add(time.Minute); m.Before(next); m = m.Add(time.Minute) {
			require.False(rt, fits(m), "%s fits too, before %s", m, next)
		}
	})
}

func TestThePartitionThatIsDueFollowsFromTheTimeThatWasMeant(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	hours := partition.Scheme{By: partition.Hour, Column: "at", Timezone: "Europe/Berlin"}
	for name, c := range map[string]struct {
		s      schedule.Schedule
		scheme partition.Scheme
		at     string
		due    partition.Key
		before []partition.Key
	}{
		"its own day":    {schedule.Schedule{}, in(""), "2026-01-31T06:00:00Z", "2026-01-31", nil},
		"the day before": {schedule.Schedule{Lag: day}, in(""), "2026-01-31T06:00:00Z", "2026-01-30", nil},
		"in the partitions' zone, not the cron's":   {schedule.Schedule{Timezone: "Asia/Tokyo"}, in("America/New_York"), "2026-01-31T02:00:00Z", "2026-01-30", nil},
		"the day before a day of 23 hours":          {schedule.Schedule{Lag: day}, in("Europe/Berlin"), "2026-03-29T22:30:00Z", "2026-03-29", nil}, // 00:30 of the 30th
		"the day of 23 hours, the day after":        {schedule.Schedule{Lag: day}, in("Europe/Berlin"), "2026-03-28T23:30:00Z", "2026-03-28", nil}, // 00:30 of the 29th
		"the day of 25 hours":                       {schedule.Schedule{Lag: day}, in("Europe/Berlin"), "2026-10-25T23:30:00Z", "2026-10-25", nil}, // 00:30 of the 26th
		"the last minute of a day":                  {schedule.Schedule{}, in("Europe/Berlin"), "2026-01-31T22:59:00Z", "2026-01-31", nil},
		"a day that the clocks skip":                {schedule.Schedule{Lag: day}, in("Pacific/Apia"), "2011-12-30T16:00:00Z", "2011-12-29", nil}, // 06:00 of the 31st
		"the hour before":                           {schedule.Schedule{Lag: time.Hour}, hours, "2026-01-31T05:10:00Z", "2026-01-31T05", nil},
		"the hour before a gap":                     {schedule.Schedule{Lag: time.Hour}, hours, "2026-03-29T01:10:00Z", "2026-03-29T01", nil}, // 03:10
		"the hour that comes twice":                 {schedule.Schedule{Lag: time.Hour}, hours, "2026-10-25T02:10:00Z", "2026-10-25T02", nil}, // 03:10
		"the week before":                           {schedule.Schedule{Lag: 7 * day}, partition.Scheme{By: partition.Week, Column: "at"}, "2026-01-05T06:00:00Z", "2026-W01", nil},
		"the month before, on the first":            {schedule.Schedule{Lag: day}, partition.Scheme{By: partition.Month, Column: "at"}, "2026-03-01T06:00:00Z", "2026-02", nil},
		"the days before, oldest first":             {schedule.Schedule{Lookback: 3}, in(""), "2026-02-02T06:00:00Z", "2026-02-02", []partition.Key{"2026-01-30", "2026-01-31", "2026-02-01"}},
		"the hours before, over a gap":              {schedule.Schedule{Lookback: 2}, hours, "2026-03-29T01:10:00Z", "2026-03-29T03", []partition.Key{"2026-03-29T00", "2026-03-29T01"}},
		"one partition":                             {schedule.Schedule{}, partition.Scheme{By: partition.All}, "2026-02-02T06:00:00Z", "all", nil},
		"the days of three days before":             {schedule.Schedule{Lag: day, LookbackFor: 3 * day}, in(""), "2026-02-02T06:00:00Z", "2026-02-01", []partition.Key{"2026-01-29", "2026-01-30", "2026-01-31"}},
		"a day of 23 hours is one of them":          {schedule.Schedule{LookbackFor: 2 * day}, in("Europe/Berlin"), "2026-03-30T10:00:00Z", "2026-03-30", []partition.Key{"2026-03-28", "2026-03-29"}},
		"the months of three days before, early":    {schedule.Schedule{LookbackFor: 3 * day}, partition.Scheme{By: partition.Month, Column: "at"}, "2026-02-02T06:00:00Z", "2026-02", []partition.Key{"2026-01"}},
		"the months of three days before, late":     {schedule.Schedule{LookbackFor: 3 * day}, partition.Scheme{By: partition.Month, Column: "at"}, "2026-02-12T06:00:00Z", "2026-02", nil},
		"the hours of three hours before":           {schedule.Schedule{LookbackFor: 3 * time.Hour}, partition.Scheme{By: partition.Hour, Column: "at", Timezone: "Europe/Berlin"}, "2026-03-29T02:30:00Z", "2026-03-29T04", []partition.Key{"2026-03-29T00", "2026-03-29T01", "2026-03-29T03"}},
		"the lag is counted before the days before": {schedule.Schedule{Lag: 2 * day, Lookback: 1}, in(""), "2026-02-02T06:00:00Z", "2026-01-31", []partition.Key{"2026-01-30"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			due, before, err := c.s.Keys(c.scheme, at(t, c.at))
			require.NoError(t, err)
			require.Equal(t, c.due, due)
			require.Equal(t, c.before, before)
		})
	}
	_, _, err := schedule.Schedule{}.Keys(partition.Scheme{By: partition.Range, Column: "id", Size: 10}, at(t, "2026-01-31T06:00:00Z"))
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.ErrorContains(t, err, "have no time")
}

// A daily run with a lag of a day builds every day once, whatever the clocks do.
func TestADailyRunBuildsEveryDayOnce(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"", "Europe/Berlin", "America/Havana", "America/St_Johns", "Asia/Tokyo"} {
		s := schedule.Schedule{Cron: "30 0 * * *", Lag: 24 * time.Hour}
		ts, err := s.Times(in(zone))
		require.NoError(t, err)
		when := ts.Next(at(t, "2026-01-01T12:00:00Z"))
		last, _, err := s.Keys(in(zone), when)
		require.NoError(t, err)
		for range 365 {
			when = ts.Next(when)
			due, _, err := s.Keys(in(zone), when)
			require.NoError(t, err)
			if due == last {
				continue // the time came twice
			}
			want, err := in(zone).Next(last)
			require.NoError(t, err)
			if zone == "America/Havana" && due != want { // 00:30 is skipped there on one day of the year: gaps finds it
				want, err = in(zone).Next(want)
				require.NoError(t, err)
			}
			require.Equal(t, want, due, zone)
			last = due
		}
	}
}
