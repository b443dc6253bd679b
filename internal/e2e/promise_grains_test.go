package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A date that is not declared is text: rows would lie one day off, and some in no day. Every command says so, with the cast.
func TestATextPartitionColumnIsRefusedByEveryCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.write("source/data/texts.csv", "id,d\n1,2026-01-05\n2,2026-01-06\n3,2026-01-07\n")
	for name, sql := range map[string]string{
		"1.0.0": "select id, d from raw where d >= @partition_start and d < @partition_end",
		"1.1.0": "select id, d from raw",
	} {
		folder := w.truFolder("texts", name, truSpec{file: "data/texts.csv", columns: "{id: int}", sql: sql})
		for _, args := range [][]string{
			{"validate", folder, "--env", "dev"}, {"plan", folder, "--to", "dev"}, {"deploy", folder, "--to", "dev"}, {"run", folder, "--env", "dev", "--partition", "2026-01-06"},
		} {
			a := w.try(args...)
			require.NotZero(t, a.code, args)
			require.Contains(t, a.out+a.err, "column d is text, and a day is cut by date, timestamp or timestamptz", args)
			require.Contains(t, a.out+a.err, "cast it in sql/out.sql: d::date AS d", args)
		}
		require.Zero(t, w.truRows("texts"))
	}
}

// The first and the last partition of integers reach beyond what the column can hold, and are partitions like the others.
func TestIntegersNearTheEndOfTheirTypeAreDeployed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.write("source/data/ends.csv", "id,v\n-1,n\n5,a\n2147483640,z\n-2147483648,f\n2147483647,l\n")
	folder := w.truFolder("ends", "1.0.0", truSpec{
		partition: "{by: {range: 100000}, column: id}", file: "data/ends.csv", columns: "{id: int}",
		sql: "select id, v from raw where id >= @partition_start and id < @partition_end",
	})
	w.cli(0, "deploy", folder, "--to", "dev", "--rebuild", "all")
	require.Equal(t, 5, w.truRows("ends"))
	w.cli(0, "run", folder, "--env", "dev", "--partition", "2147400000")
	require.Equal(t, 5, w.truRows("ends"))
}

// What came late into the file of a day is built again by the run of a later one.
func TestALookbackOfDaysIsShownWithItsSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.truDays("late", "v", "2026-01-05", "2026-01-06", "2026-01-07")
	folder := w.truFolder("late", "1.0.0", truSpec{config: truWarehouse + "source_files: .\nschedule: {cron: '0 6 1 1 *', lag: 1d, lookback: 2d}\n"})
	w.cli(0, "deploy", folder, "--to", "dev", "--rebuild", "all")
	w.write("source/data/late_2026-01-05.csv", "id,d,v\n1,2026-01-05,again\n")
	a := w.cli(0, "schedule", "next", "late", "--env", "dev")
	require.Contains(t, a.out, "those of 2d before that")
	a = w.cli(0, "schedule", "trigger", "late", "--env", "dev", "--at", "2026-01-08T06:00")
	require.Contains(t, a.out, "live: 2026-01-05, 2026-01-06, 2026-01-07", "oldest first, and the one that is due last")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_dev.late WHERE v = 'again'`))
}
