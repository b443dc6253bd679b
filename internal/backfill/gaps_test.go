package backfill_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// without takes a day of an output away.
func (t table) without(in *backfill.Input, day partition.Key) {
	for o := range in.Observed.Outputs {
		if out := &in.Observed.Outputs[o]; out.Table == string(t) {
			out.Live = slices.DeleteFunc(out.Live, func(g generation.Generation) bool { return g.Partition == day })
		}
	}
}

func unsourced(in *backfill.Input, days ...partition.Key) {
	in.Observed.Sources = slices.DeleteFunc(in.Observed.Sources, func(key partition.Key) bool { return slices.Contains(days, key) })
}

func TestWhatIsMissingIsFound(t *testing.T) {
	t.Parallel()
	day := func(key partition.Key) []backfill.Span {
		return []backfill.Span{{First: key, Last: key, Count: 1}}
	}
	for name, c := range map[string]struct {
		change func(*backfill.Input)
		due    partition.Key
		want   backfill.Gaps
	}{
		"nothing":                  {func(*backfill.Input) {}, "2026-01-10", backfill.Gaps{Live: 10}},
		"a file without partition": {func(in *backfill.Input) { table("fct_orders").without(in, "2026-01-04") }, "", backfill.Gaps{Live: 9, Unbuilt: day("2026-01-04"), Fill: day("2026-01-04")}},
		"a hole without a file":    {func(in *backfill.Input) { table("fct_orders").without(in, "2026-01-04"); unsourced(in, "2026-01-04") }, "", backfill.Gaps{Live: 9, Holes: day("2026-01-04")}},
		"older than its file":      {func(in *backfill.Input) { in.Changed["2026-01-03"] = noon(11) }, "", backfill.Gaps{Live: 10, Older: day("2026-01-03"), Fill: day("2026-01-03")}},
		"one output is older":      {func(in *backfill.Input) { table("fct_refunds").live(in, "2026-01-03").Began = noon(8) }, "", backfill.Gaps{Live: 10, Older: day("2026-01-03"), Fill: day("2026-01-03")}},
		"due, and no file yet":     {func(*backfill.Input) {}, "2026-01-12", backfill.Gaps{Live: 10, Late: []backfill.Span{{First: "2026-01-11", Last: "2026-01-12", Count: 2}}}},
		"due, with a file":         {func(in *backfill.Input) { in.Observed.Sources = append(in.Observed.Sources, "2026-01-11") }, "2026-01-11", backfill.Gaps{Live: 10, Unbuilt: day("2026-01-11"), Fill: day("2026-01-11")}},
		"what is due is there":     {func(*backfill.Input) {}, "2026-01-08", backfill.Gaps{Live: 10}},
		"neighbours are filled together": {func(in *backfill.Input) {
			table("fct_orders").without(in, "2026-01-04")
			in.Changed["2026-01-03"], in.Changed["2026-01-05"] = noon(11), noon(11)
		}, "", backfill.Gaps{
			Live: 9, Unbuilt: day("2026-01-04"), Older: append(day("2026-01-03"), day("2026-01-05")...), Fill: []backfill.Span{{First: "2026-01-03", Last: "2026-01-05", Count: 3}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			c.change(&in)
			got, err := backfill.FindGaps(in, c.due)
			require.NoError(t, err)
			c.want.First, c.want.Last = "2026-01-01", "2026-01-10"
			require.Equal(t, c.want, got)
			require.Equal(t, len(c.want.Holes)+len(c.want.Late)+len(c.want.Unbuilt)+len(c.want.Older) == 0, got.None())
		})
	}
}

func TestWhereNothingIsLiveFilesAndWhatIsDueAreMissing(t *testing.T) {
	t.Parallel()
	in := input(t)
	in.Observed.Outputs = nil
	unsourced(&in, "2026-01-10")
	got, err := backfill.FindGaps(in, "2026-01-10")
	require.NoError(t, err)
	require.Equal(t, []backfill.Span{{First: "2026-01-01", Last: "2026-01-09", Count: 9}}, got.Unbuilt)
	require.Equal(t, got.Unbuilt, got.Fill)
	require.Equal(t, []backfill.Span{{First: "2026-01-10", Last: "2026-01-10", Count: 1}}, got.Late)
}

// An output that is one partition is built from all files: it is older than the newest of them, or not.
func TestAnOutputThatIsOnePartitionMayBeOlderThanAFile(t *testing.T) {
	t.Parallel()
	in := input(t)
	in.Observed.Outputs = append(in.Observed.Outputs, in.Observed.Outputs[0])
	dim := &in.Observed.Outputs[2]
	dim.Table, dim.Live = "dim_store", []generation.Generation{{Output: "dim_store", Partition: partition.AllKey, Began: noon(9)}}
	got, err := backfill.FindGaps(in, "")
	require.NoError(t, err)
	require.True(t, got.None())
	dim.Live[0].Began = noon(8)
	got, err = backfill.FindGaps(in, "")
	require.NoError(t, err)
	require.Equal(t, []string{"dim_store"}, got.Whole)
	require.Empty(t, got.Fill)
}

// What a list declares and is not live is missing, wherever it stands in the list. What it declares no more is not.
func TestAValueOfAListThatIsNotLiveIsMissing(t *testing.T) {
	t.Parallel()
	scheme := partition.Scheme{By: partition.List, Column: "channel", Values: partition.NewValues(
		partition.Value{Key: "phone", Text: "phone"}, partition.Value{Key: "web", Text: "web"}, partition.Value{Key: "store", Text: "store"}, partition.Value{Key: "none", Null: true})}
	in := backfill.Input{Pipeline: &pipeline.Pipeline{Name: "visits", Partition: scheme, Outputs: []pipeline.Output{{Table: "fct_visits", Partition: scheme}}}}
	in.Observed.Sources = []partition.Key{"web", "store"}
	in.Observed.Outputs = []plan.ObservedOutput{{Table: "fct_visits", Live: []generation.Generation{{Partition: "web"}, {Partition: "fax"}}}}
	got, err := backfill.FindGaps(in, "")
	require.NoError(t, err)
	one := func(key partition.Key) []backfill.Span { return []backfill.Span{{First: key, Last: key, Count: 1}} }
	require.Equal(t, append(one("phone"), one("none")...), got.Holes)
	require.Equal(t, one("store"), got.Unbuilt)
	require.Equal(t, one("store"), got.Fill)
	require.Equal(t, 2, got.Live)
}
