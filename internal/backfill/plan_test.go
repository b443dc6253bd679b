package backfill_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/backfill"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

func noon(day int) time.Time { return time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC) }

var byDay = partition.Scheme{By: partition.Day, Column: "d"}

func active() release.Tenure {
	return release.Tenure{Number: 4, Release: release.Release{Pipeline: "shop", Version: "1.1.0", Digest: "sha256:11"}}
}

// input is a pipeline of ten days, all of which are live of the active release, no older than their files; fct_orders and
// fct_refunds are cut by day, dim_store is one partition.
func input(t *testing.T) backfill.Input {
	t.Helper()
	days, err := byDay.Range("2026-01-01", "2026-01-10")
	require.NoError(t, err)
	in := backfill.Input{
		Ask:         backfill.Ask{From: "2026-01-02", To: "2026-01-05", Order: backfill.Oldest},
		Environment: "prod", Active: active(), Changed: map[partition.Key]time.Time{},
		Pipeline: &pipeline.Pipeline{Name: "shop", Partition: byDay, Outputs: []pipeline.Output{
			{Table: "fct_orders", Partition: byDay},
			{Table: "fct_refunds", Partition: byDay},
			{Table: "dim_store", Partition: partition.Scheme{By: partition.All}},
		}},
		Policy:   pipeline.Policy{Publish: pipeline.Publish{Lanes: 2}, Backfill: pipeline.BackfillPolicy{MaxFailures: 10}},
		Observed: plan.Observed{Sources: days, RowsPerSecond: 1000},
	}
	for _, table := range []string{"fct_orders", "fct_refunds"} {
		out := plan.ObservedOutput{Table: table}
		for _, day := range days {
			out.Live = append(out.Live, generation.Generation{Output: table, Partition: day, Release: active().Release, Rows: 5000, Began: noon(10)})
			in.Changed[day] = noon(9)
		}
		in.Observed.Outputs = append(in.Observed.Outputs, out)
	}
	return in
}

func (t table) live(in *backfill.Input, day partition.Key) *generation.Generation {
	for o := range in.Observed.Outputs {
		for i := range in.Observed.Outputs[o].Live {
			if g := &in.Observed.Outputs[o].Live[i]; g.Output == string(t) && g.Partition == day {
				return g
			}
		}
	}
	return nil
}

type table string

func TestWhatIsCurrentIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*backfill.Input)
		want   []partition.Key
	}{
		"everything is current":     {func(*backfill.Input) {}, nil},
		"a file was written since":  {func(in *backfill.Input) { in.Changed["2026-01-03"] = noon(11) }, []partition.Key{"2026-01-03"}},
		"a file of another day was": {func(in *backfill.Input) { in.Changed["2026-01-09"] = noon(11) }, nil},
		"one output is of another release": {func(in *backfill.Input) {
			table("fct_refunds").live(in, "2026-01-04").Release.Digest = "sha256:10"
		}, []partition.Key{"2026-01-04"}},
		"one output is of another config": {func(in *backfill.Input) { table("fct_orders").live(in, "2026-01-02").Config = "sha256:c" }, []partition.Key{"2026-01-02"}},
		"one output is not live": {func(in *backfill.Input) {
			in.Observed.Outputs[0].Live = slices.Delete(in.Observed.Outputs[0].Live, 4, 5)
		}, []partition.Key{"2026-01-05"}},
		"it is forced": {func(in *backfill.Input) { in.Ask.Force = true }, []partition.Key{"2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"}},
		"it is forced, newest first": {
			func(in *backfill.Input) { in.Ask.Force, in.Ask.Order = true, backfill.Newest },
			[]partition.Key{"2026-01-05", "2026-01-04", "2026-01-03", "2026-01-02"},
		},
		"a file is missing": {func(in *backfill.Input) {
			in.Ask.Force = true
			in.Observed.Sources = append(in.Observed.Sources[:2:2], in.Observed.Sources[3:]...)
		}, []partition.Key{"2026-01-02", "2026-01-04", "2026-01-05"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			c.change(&in)
			p, err := backfill.Compute(in)
			require.NoError(t, err)
			require.Equal(t, c.want, p.Partitions)
			if len(c.want) == 0 {
				require.Empty(t, p.Whole)
				require.Zero(t, p.Slices())
			} else {
				require.Equal(t, []string{"dim_store"}, p.Whole)
				require.Equal(t, partition.Key("2026-01-10"), p.Last, "it is built from the newest inputs that there are")
			}
		})
	}
}

func TestABackfillIsRefusedWhereItCanBuildNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*backfill.Input)
		class  fault.Class
		says   string
	}{
		"nothing is active":          {func(in *backfill.Input) { in.Active = release.Tenure{} }, fault.Refused, "no release is active"},
		"nothing is active any more": {func(in *backfill.Input) { in.Active = release.Tenure{Number: 9, Kind: release.ByTurnBack} }, fault.Refused, "no release is active"},
		"no file is there":           {func(in *backfill.Input) { in.Ask.From, in.Ask.To = "2027-01-01", "2027-01-03" }, fault.Refused, "has its load files"},
		"the ends are swapped":       {func(in *backfill.Input) { in.Ask.From, in.Ask.To = in.Ask.To, in.Ask.From }, fault.Invalid, "the first key is after the last"},
		"a key is of another grain":  {func(in *backfill.Input) { in.Ask.From = "2026-01" }, fault.Invalid, ""},
		"there is no such order":     {func(in *backfill.Input) { in.Ask.Order = "random" }, fault.Invalid, "no order"},
		"it is one partition":        {func(in *backfill.Input) { in.Pipeline.Partition = partition.Scheme{By: partition.All} }, fault.Invalid, "one partition"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			c.change(&in)
			_, err := backfill.Compute(in)
			require.Equal(t, c.class, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestWhatIsAboveALimitIsAskedAbout(t *testing.T) {
	t.Parallel()
	limits := func(partitions int, rows int64, took time.Duration) pipeline.BackfillPolicy {
		return pipeline.BackfillPolicy{MaxPartitions: partitions, MaxRows: rows, MaxTime: took}
	}
	unknown := func(in *backfill.Input) { in.Observed.RowsPerSecond = 0 }
	known := func(*backfill.Input) {}
	for name, c := range map[string]struct {
		limits pipeline.BackfillPolicy
		change func(*backfill.Input)
		over   int
	}{ // four days of 10,000 rows: 40,000 rows, 20 s in two lanes
		"no limit, nothing known":  {limits(0, 0, 0), unknown, 0},
		"within all":               {limits(4, 40_000, 20*time.Second), known, 0},
		"one partition too many":   {limits(3, 40_000, 20*time.Second), known, 1},
		"one row too many":         {limits(4, 39_999, 20*time.Second), known, 1},
		"a second too long":        {limits(4, 40_000, 19*time.Second), known, 1},
		"above all":                {limits(1, 1, time.Second), known, 3},
		"what is unknown is above": {limits(4, 40_000, 20*time.Second), unknown, 2},
		"what is unknown matters not where only partitions count": {limits(4, 0, 0), unknown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			in.Ask.Force = true
			in.Policy.Backfill = c.limits
			c.change(&in)
			p, err := backfill.Compute(in)
			require.NoError(t, err)
			require.Len(t, p.Over, c.over, "%v", p.Over)
		})
	}
}

func TestEveryLaneHasAPartOfTheWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		days, lanes, batch int
		slice              int
	}{
		"each lane finds several": {80, 2, 0, 10},
		"the last one is shorter": {81, 2, 0, 11},
		"fewer days than slices":  {5, 2, 0, 1},
		"one lane":                {80, 1, 0, 20},
		"neighbours that are built together stay together": {80, 2, 7, 14},
		"as far as a slice goes":                           {5000, 2, 0, 256},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			in.Pipeline.Batch, in.Policy.Publish.Lanes, in.Ask.Lanes = c.batch, c.lanes, c.lanes
			in.Observed.RowsPerSecond = 0 // and so no slice is shorter for its time
			in.Observed.Sources = nil
			for i := range c.days {
				in.Observed.Sources = append(in.Observed.Sources, partition.Key(time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)))
			}
			in.Ask.Force, in.Ask.From, in.Ask.To = true, in.Observed.Sources[0], in.Observed.Sources[c.days-1]
			p, err := backfill.Compute(in)
			require.NoError(t, err)
			require.Equal(t, c.slice, p.Slice)
		})
	}
}

// However a plan is cut, its slices hold every partition once, in the order of work, and what is one partition last.
func TestSlicesHoldEveryPartitionOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(r, "partitions")
		p := backfill.Plan{Slice: rapid.IntRange(1, 60).Draw(r, "slice")}
		for i := range n {
			p.Partitions = append(p.Partitions, partition.Key(rune('a'+i)))
		}
		if rapid.Bool().Draw(r, "whole") {
			p.Whole = []string{"dim"}
		}
		var all []backfill.Item
		for s := range p.Slices() {
			items := p.Items(s)
			require.LessOrEqual(r, len(items), p.Slice)
			all = append(all, items...)
		}
		for i, it := range all {
			require.Equal(r, i, it.Index)
			require.Equal(r, []backfill.Item{it}, p.Items(backfill.Single(i)))
			require.Equal(r, i == n, it.Whole)
			if i < n {
				require.Equal(r, p.Partitions[i], it.Partition)
			}
		}
		require.Len(r, all, n+len(p.Whole))
	})
}

func TestASpanMeetsWhatItHasAPartitionInCommonWith(t *testing.T) {
	t.Parallel()
	span := func(from, to partition.Key) backfill.Ask { return backfill.Ask{From: from, To: to} }
	byHundred := partition.Scheme{By: partition.Range, Column: "n", Size: 100}
	for name, c := range map[string]struct {
		scheme partition.Scheme
		a, b   backfill.Ask
		want   bool
	}{
		"the same":                {byDay, span("2026-01-01", "2026-01-03"), span("2026-01-01", "2026-01-03"), true},
		"one day":                 {byDay, span("2026-01-01", "2026-01-03"), span("2026-01-03", "2026-01-05"), true},
		"next to each other":      {byDay, span("2026-01-01", "2026-01-02"), span("2026-01-03", "2026-01-05"), false},
		"inside":                  {byDay, span("2026-01-01", "2026-01-31"), span("2026-01-10", "2026-01-10"), true},
		"numbers, not their text": {byHundred, span("200", "900"), span("1000", "3000"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, backfill.Overlaps(c.scheme, c.a, c.b))
			require.Equal(t, c.want, backfill.Overlaps(c.scheme, c.b, c.a))
		})
	}
}

func TestABackfillMeetsWhatADeploymentBuildsOfItsSpan(t *testing.T) {
	t.Parallel()
	builds := func(keys ...partition.Key) plan.Environment {
		var s plan.Slice
		for _, key := range keys {
			s.Items = append(s.Items, generation.Item{Output: "fct_orders", Partition: key})
		}
		return plan.Environment{Slices: []plan.Slice{{}, s}}
	}
	span := backfill.Open{First: "2026-01-02", Last: "2026-01-04"}
	for key, want := range map[partition.Key]partition.Key{
		"2026-01-01": "", "2026-01-02": "2026-01-02", "2026-01-04": "2026-01-04", "2026-01-05": "",
		partition.AllKey: "", // every run of the pipeline builds that
	} {
		require.Equal(t, want, span.Meets(byDay, builds("2025-01-01", key)), key)
	}
}
