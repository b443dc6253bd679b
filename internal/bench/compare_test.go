package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARatioAboveOneIsWorseWhateverTheNumberIsOf(t *testing.T) {
	t.Parallel()
	speed := number{name: "speed", bound: bound{atLeast, 0.65}}
	rate := number{name: "rate", better: higher}
	size := number{name: "size", bound: bound{atMost, 150}}
	took := number{name: "took", better: lower}
	pause := number{name: "pause", bound: bound{atMost, 25}, grain: 1}
	for _, c := range []struct {
		name       string
		number     number
		base, ours []float64
		want       ratio
	}{
		{"more of what should be high", speed, []float64{1, 1, 1}, []float64{2, 4, 2}, ratio{Median: 0.5, Lowest: 0.25, Highest: 0.5}},
		{"less of what should be high", speed, []float64{2, 2, 3}, []float64{1, 1, 1}, ratio{Median: 2, Lowest: 2, Highest: 3, Worse: true}},
		{"less of what should be high and has no bound", rate, []float64{4}, []float64{2}, ratio{Median: 2, Lowest: 2, Highest: 2, Worse: true}},
		{"more of what should be low", size, []float64{2, 2, 2}, []float64{4, 3, 2}, ratio{Median: 1.5, Lowest: 1, Highest: 2, Worse: true}},
		{"less of what should be low and has no bound", took, []float64{4}, []float64{1}, ratio{Median: 0.25, Lowest: 0.25, Highest: 0.25}},
		{"at the limit", took, []float64{100}, []float64{115}, ratio{Median: 1.15, Lowest: 1.15, Highest: 1.15}},
		{"beyond the limit", took, []float64{100}, []float64{115.1}, ratio{Median: 1.151, Lowest: 1.151, Highest: 1.151, Worse: true}},
		{"one round of three is worse", took, []float64{1, 1, 1}, []float64{1, 9, 1}, ratio{Median: 1, Lowest: 1, Highest: 9}},
		{"the machine is slower in a round, for both", took, []float64{1, 50, 2}, []float64{1, 50, 2}, ratio{Median: 1, Lowest: 1, Highest: 1}},
		{"differences below the grain are none", pause, []float64{-0.3, 0.1, 0}, []float64{0.9, 0, 0.4}, ratio{Median: 1, Lowest: 1, Highest: 1}},
		{"differences above the grain are some", pause, []float64{-0.3}, []float64{2}, ratio{Median: 2, Lowest: 2, Highest: 2, Worse: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := compare([]number{c.number}, rounds(c.number.name, c.base), rounds(c.number.name, c.ours))
			require.NoError(t, err)
			require.Len(t, got.Numbers, 1)
			require.NotNil(t, got.Numbers[0].Ratio)
			require.InDelta(t, c.want.Median, got.Numbers[0].Ratio.Median, 1e-9)
			require.InDelta(t, c.want.Lowest, got.Numbers[0].Ratio.Lowest, 1e-9)
			require.InDelta(t, c.want.Highest, got.Numbers[0].Ratio.Highest, 1e-9)
			require.Equal(t, c.want.Worse, got.Numbers[0].Ratio.Worse)
		})
	}
}

func rounds(name string, values []float64) []round {
	list := make([]round, len(values))
	for i, value := range values {
		list[i] = round{name: value}
	}
	return list
}

func TestOnlyWhatBothBuildsHaveIsCompared(t *testing.T) {
	t.Parallel()
	numbers := []number{{name: "took", better: lower}, {name: "new", better: lower}, {name: "machine"}}
	c, err := compare(numbers,
		[]round{{"took": 1, "machine": 1, "old": 7}, {"took": 1, "machine": 1, "old": 7}},
		[]round{{"took": 1, "machine": 9, "new": 3}, {"took": 1, "machine": 9, "new": 3}})
	require.NoError(t, err)
	require.Equal(t, []string{"old"}, c.OnlyInBase)
	require.Equal(t, []string{"new"}, c.OnlyInOurs)
	require.Len(t, c.Numbers, 2)
	require.Nil(t, c.Numbers[1].Ratio, "a number of the machine is told and not judged")
}

func TestWhatCannotBeComparedIsAnError(t *testing.T) {
	t.Parallel()
	numbers := []number{{name: "took", better: lower}}
	for _, c := range []struct {
		name       string
		base, ours []round
		want       string
	}{
		{"no rounds", nil, nil, "there are 0 rounds of the base and 0 of ours"},
		{"a round is missing", []round{{"took": 1}, {"took": 1}}, []round{{"took": 1}}, "there are 2 rounds of the base and 1 of ours"},
		{"a number is missing in a round", []round{{"took": 1}, {"took": 1}}, []round{{"took": 1}, {}}, "ours has took in 1 of 2 rounds"},
		{"nothing in common", []round{{"old": 1}}, []round{{"took": 1}}, "no number is of both builds"},
		{"zero", []round{{"took": 0}}, []round{{"took": 1}}, "took has no ratio: it is 0 in the base and 1 here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := compare(numbers, c.base, c.ours)
			require.EqualError(t, err, c.want)
		})
	}
}

func TestANumberOfAMissedBoundIsReadToo(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	b := &bench{
		out: &out, values: map[string]float64{"speed": 0.5, "pause_ms": -0.25, "psql": 1},
		causes: map[string]string{"speed": "the disk"},
	}
	b.say("number 7 comes later")
	err := b.report([]number{{name: "speed", bound: bound{atLeast, 0.65}}, {name: "pause_ms", bound: bound{atMost, 25}}, {name: "psql"}})
	require.ErrorContains(t, err, "1 of 2 bounds are missed")
	printed := out.String() + "bench: " + err.Error() + "\n"
	require.Equal(t, round{"speed": 0.5, "pause_ms": -0.25, "psql": 1}, readReport(printed))
	require.Empty(t, readReport("bench: measure load_vs_copy: connect to the warehouse\n"))
}

// TestAWorseRatioFailsAndIsNamed goes from what the builds printed to the exit code.
func TestAWorseRatioFailsAndIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ours string
		code int
		want string
	}{
		{"as good", "150", 0, "ok"},
		{"worse", "180", 1, "bench: 1 of 1 ratios are above 1.15\n  worker_rss_mb has a ratio of 1.2 (1.2 to 1.2): 150 in 9234b85, 180 here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for side, value := range map[string]string{"base": "150", "ours": c.ours} {
				for _, r := range []string{"1", "2", "3"} {
					path := filepath.Join(dir, side, r, "worker_rss_mb")
					require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
					printed := "number         measured  target  \nworker_rss_mb  " + value + "       ≤ 150   ok\n"
					require.NoError(t, os.WriteFile(path, []byte(printed), 0o644))
				}
			}
			var out strings.Builder
			file := filepath.Join(dir, "compare.json")
			require.Equal(t, c.code, run(t.Context(), []string{"compare", "-base", "9234b85", "-rounds", "3", "-out", file, dir}, &out))
			require.Contains(t, out.String(), c.want)
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			var written comparison
			require.NoError(t, json.Unmarshal(body, &written))
			require.Equal(t, "9234b85", written.Base)
			require.Len(t, written.Numbers[0].Ours, 3)
			require.Equal(t, c.code == 1, written.Numbers[0].Ratio.Worse)
		})
	}
}

func TestARoundWithoutNumbersIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "base", "1"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "base", "1", "worker_rss_mb"), []byte("bench: interrupted\n"), 0o644))
	var out strings.Builder
	require.Equal(t, 1, run(t.Context(), []string{"compare", "-rounds", "1", dir}, &out))
	require.Contains(t, out.String(), "worker_rss_mb has no numbers")
}

// A number without a direction would never be judged by a comparison.
func TestWhatIsNotJudgedIsOfTheMachineOrAnExpectationOrOfOneRead(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range figures() {
		for _, n := range f.numbers {
			if n.direction() == neither {
				got = append(got, n.name)
			}
		}
	}
	require.Equal(t, []string{
		"load_vs_copy_psql", "copy_mrows_s", "merge_sql_s", "publish_pause_max_ms", "publish_pause_500_max_ms", "publish_hold_60_expected_ms", "mixed_reads_of",
		"publish_hold_730_expected_ms", "publish_hold_5000_expected_ms", "checks_apart_ms", "whole_file_sql_s", "backfill_sql_mrows_s",
		"not_null_native_ms", "migrate_update_rows_s", "migrate_pgroll_s", "dual_write_none_krows_s", "extract_vs_copy_pipe_psql", "copy_pipe_mrows_s",
	}, got)
}
