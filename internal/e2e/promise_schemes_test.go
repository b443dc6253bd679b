package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// truScheme makes a pipeline live with one scheme of partitions, and asserts that a release with another is refused by
// the plan, with both named, and changes nothing.
func (w *world) truScheme(first, second truSpec, says ...string) {
	w.t.Helper()
	for _, day := range []string{"2026-07-01", "2026-07-02", "2026-07-03"} {
		w.write("source/data/scheme_"+day+".csv", "id,at,e\n1,"+day+" 01:00:00+00,"+day+"\n2,"+day+" 12:00:00+00,"+day+"\n3,"+day+" 23:00:00+00,"+day+"\n")
	}
	w.write("source/data/scheme_2026-07.csv", "id,at,e\n1,2026-07-01 01:00:00+00,2026-07-01\n")
	for _, s := range []*truSpec{&first, &second} {
		s.columns = "{id: int, at: timestamptz, e: date}"
		s.sql = "SELECT id, at, e FROM raw WHERE at >= @partition_start AND at < @partition_end"
		s.output = "    checks:\n      - row_count: {min: 0}\n"
		s.tail = "canary: {expect: {rows: 60%, removed_keys: 60%}}\n"
	}
	w.cli(0, "deploy", w.truFolder("scheme", "1.0.0", first), "--to", "dev", "--rebuild", "all")
	before := w.texts(`SELECT s::text FROM shop_dev.scheme s ORDER BY s::text`)
	folder := w.truFolder("scheme", "1.1.0", second)
	for _, scope := range []string{"none", "all"} {
		a := w.try("plan", folder, "--to", "dev", "--rebuild", scope)
		require.NotZero(w.t, a.code, "the plan sees another scheme\n%s", a.out)
		for _, text := range says {
			require.Contains(w.t, strings.ToLower(a.out+a.err), strings.ToLower(text))
		}
		b := w.try("deploy", folder, "--to", "dev", "--rebuild", scope)
		require.NotZero(w.t, b.code, b.out)
	}
	c := w.try("run", folder, "--env", "dev", "--partition", "2026-07-03")
	require.NotZero(w.t, c.code, c.out)
	require.Equal(w.t, before, w.texts(`SELECT s::text FROM shop_dev.scheme s ORDER BY s::text`))
	require.Equal(w.t, []string{"1.0.0"}, w.texts(`SELECT split_part(version, '+', 1) FROM shop_dev__ledger.active a JOIN shop_dev__ledger.tenure ON number = a.tenure WHERE a.pipeline = 'scheme'`))
}

const truDaily = "{by: day, column: at}"

func TestAPlanSeesDaysBecomeMonths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.truScheme(truSpec{partition: truDaily}, truSpec{partition: "{by: month, column: at}"}, "day", "month")
}

func TestAPlanSeesAnotherPartitionColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.truScheme(truSpec{partition: truDaily}, truSpec{partition: "{by: day, column: e}"}, "partition", "column")
}

// Days of UTC become days of New York.
func TestAPlanSeesDaysOfAnotherZone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.truScheme(truSpec{partition: truDaily}, truSpec{partition: "{by: day, column: at, timezone: America/New_York}"}, "New_York")
}

// Days of UTC become days of Berlin, which leaves a hole where the zone is ahead.
func TestAPlanSeesDaysOfAZoneAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.truScheme(truSpec{partition: truDaily}, truSpec{partition: "{by: day, column: at, timezone: Europe/Berlin}"}, "Berlin")
}

// Ranges of ten become ranges of twenty, and a whole table becomes days.
func TestAPlanSeesAnotherGrain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ first, second truSpec }{
		"width": {
			truSpec{partition: "{by: {range: 10}, column: id}", sql: "SELECT id, d, v FROM raw WHERE id >= @partition_start AND id < @partition_end"},
			truSpec{partition: "{by: {range: 20}, column: id}", sql: "SELECT id, d, v FROM raw WHERE id >= @partition_start AND id < @partition_end"},
		},
		"whole": {
			truSpec{partition: "all"},
			truSpec{sql: "SELECT id, d, v FROM raw WHERE d >= @partition_start AND d < @partition_end"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.worker("worker", "--env", "dev", "--workflows")
			w.write("source/data/grain.csv", "id,d,v\n1,2026-01-01,a\n12,2026-01-01,a\n25,2026-01-02,a\n")
			c.first.file, c.second.file = "data/grain.csv", "data/grain.csv"
			w.cli(0, "deploy", w.truFolder("grain", "1.0.0", c.first), "--to", "dev", "--rebuild", "all")
			folder := w.truFolder("grain", "1.1.0", c.second)
			for _, args := range [][]string{{"plan", folder, "--to", "dev"}, {"plan", folder, "--to", "dev", "--rebuild", "all"}, {"deploy", folder, "--to", "dev", "--rebuild", "all"}} {
				a := w.try(args...)
				require.Equal(t, 2, a.code, "%s\n%s%s", args, a.out, a.err)
				require.Contains(t, a.out+a.err, "partition")
			}
			require.Equal(t, 3, w.truRows("grain"))
		})
	}
}
