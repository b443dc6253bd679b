package pipeline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/schedule"
)

func TestAConfigSaysWhenThePipelineRuns(t *testing.T) {
	t.Parallel()
	c, err := pipeline.ParseConfig("config.prod.yaml", []byte("warehouse_schema: shop\nschedule: {cron: '0 6 * * *'}\n"))
	require.NoError(t, err)
	require.Equal(t, &schedule.Schedule{Cron: "0 6 * * *", Overlap: schedule.Queue, Catchup: 24 * time.Hour}, c.Schedule)
	c, err = pipeline.ParseConfig("config.prod.yaml", []byte("warehouse_schema: shop\nschedule:\n  cron: 0 6 * * mon-fri\n  timezone: Europe/Berlin\n  lag: 1d\n  wait_for: 6h\n  overlap: skip\n  catchup: 2h\n  lookback: 3\n"))
	require.NoError(t, err)
	require.Equal(t, &schedule.Schedule{
		Cron: "0 6 * * mon-fri", Timezone: "Europe/Berlin", Lag: 24 * time.Hour, WaitFor: 6 * time.Hour, Overlap: schedule.Skip, Catchup: 2 * time.Hour, Lookback: 3,
	}, c.Schedule)
	c, err = pipeline.ParseConfig("config.prod.yaml", []byte("warehouse_schema: shop\nschedule: {cron: '@daily', lookback: 3d}\n"))
	require.NoError(t, err)
	require.Equal(t, &schedule.Schedule{Cron: "@daily", Overlap: schedule.Queue, Catchup: 24 * time.Hour, LookbackFor: 72 * time.Hour}, c.Schedule)
	c, err = pipeline.ParseConfig("config.prod.yaml", []byte("warehouse_schema: shop\n"))
	require.NoError(t, err)
	require.Nil(t, c.Schedule)
}

func TestAScheduleThatCanNeverWorkIsRefused(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		"schedule: {}":                                    "cron",
		"schedule: {cron: '0 25 * * *'}":                  "hour: \"25\"",
		"schedule: {cron: '0 0 30 2 *'}":                  "no such day",
		"schedule: {cron: '0 6 * * *', timezone: Berlin}": "unknown timezone",
		"schedule: {cron: '0 6 * * *', lag: -1d}":         "lag",
		"schedule: {cron: '0 6 * * *', wait_for: 15d}":    "longer than 14d",
		"schedule: {cron: '0 6 * * *', overlap: maybe}":   "must be queue, parallel or skip",
		"schedule: {cron: '0 6 * * *', catchup: 5s}":      "cannot be made up that soon",
		"schedule: {cron: '0 6 * * *', lookback: 500}":    "at most 400",
		"schedule: {cron: '0 6 * * *', lookback: 401d}":   "at most 400",
		"schedule: {cron: '0 6 * * *', lookback: 3w}":     "duration",
		"schedule: {cron: '0 6 * * *', lookback: -1}":     "lookback",
		"schedule: {cron: '0 6 * * *', wait: 6h}":         "wait",
		"schedule: '0 6 * * *'":                           "schedule",
	} {
		_, err := pipeline.ParseConfig("config.prod.yaml", []byte("warehouse_schema: shop\n"+text+"\n"))
		require.ErrorContains(t, err, reason, text)
		require.Equal(t, fault.Invalid, fault.ClassOf(err))
	}
}

// Which partition is due follows from the time, so the pipeline has to be cut by it.
func TestAScheduleFitsHowThePipelineIsCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ partition, schedule, reason string }{
		"by day":                    {"{by: day, column: order_date}", "{cron: '@daily', lag: 1d, lookback: 1}", ""},
		"by hour, far back":         {"{by: hour, column: order_date}", "{cron: '@hourly', lookback: 17d}", "at most 400"},
		"by year":                   {"{by: year, column: order_date}", "{cron: '@daily', lookback: 30d}", ""},
		"by values":                 {"{by: {list: [web]}, column: channel}", "{cron: '@daily'}", "cut by a list of values"},
		"by integers":               {"{by: {range: 100}, column: order_id}", "{cron: '@daily'}", "cut by integers"},
		"one partition":             {"all", "{cron: '@daily', wait_for: 1h}", ""},
		"one partition with a lag":  {"all", "{cron: '@daily', lag: 1d}", "lag has no effect"},
		"one partition, and before": {"all", "{cron: '@daily', lookback: 1}", "lookback has no effect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := ""
			if c.partition != "all" {
				file = ", columns: {order_id: bigint, order_date: date}"
			}
			files := map[string][]byte{
				"pipeline.yaml": []byte("name: shop\nversion: 1.0.0\nowner: sales\npartition: " + c.partition + "\nsteps:\n  - load: {name: raw, file: o.csv" + file + "}\n" +
					"outputs:\n  - table: fct\n    sql: fct.sql\n    key: [order_id]\n    checks: [{row_count: {min: 1}}]\n"),
				"fct.sql":         []byte("SELECT * FROM raw\n"),
				"config.dev.yaml": []byte("warehouse_schema: shop\nschedule: " + c.schedule + "\n"),
			}
			_, err := pipeline.Parse(files, "config.dev.yaml")
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.reason)
		})
	}
}
