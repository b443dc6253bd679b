package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

func writes(mode pipeline.WriteMode, most int64) change {
	return func(_ *plan.Input, e *plan.EnvironmentInput) {
		e.Config.WriteMode, e.Policy.Publish.MaxRewriteBytes = mode, most
		e.Observed.Outputs[0].Bytes = map[partition.Key]int64{"2026-01-30": 7_000_000, "2026-01-31": 2_000_000}
		e.Observed.Outputs[1].Bytes = map[partition.Key]int64{partition.AllKey: 10_000}
	}
}

// Who reads a plan learns that rows stay which the release does not build, and what it costs to keep them.
func TestAPlanSaysWhatIsKeptAndWrittenAgain(t *testing.T) {
	t.Parallel()
	for mode, says := range map[pipeline.WriteMode]string{
		pipeline.Merge:  "merge: the release is applied to what its files hold now; other rows stay as they were built",
		pipeline.Append: "append: a batch that is live already is not built again, and its rows stay as they were built",
	} {
		p := compute(t, writes(mode, 0))
		require.Equal(t, mode, p.Environments[0].WriteMode)
		require.EqualValues(t, 2_010_000, p.Environments[0].Shown.Rewrite, "the canary's day, and the output that is one partition")
		for _, text := range []string{plan.Text(p), plan.Markdown(p)} {
			require.Contains(t, text, says)
			require.Contains(t, text, "2.01 MB of what is live are written again")
		}
	}
	replaced := compute(t, writes(pipeline.Replace, 0))
	require.Zero(t, replaced.Environments[0].Shown.Rewrite)
	require.NotContains(t, plan.Text(replaced), "written again")
	require.Equal(t, compute(t).Digest, replaced.Digest, "it is what an environment does that says nothing")
}

func TestAPartitionThatIsTooLargeToBeWrittenAgainRefusesThePlan(t *testing.T) {
	t.Parallel()
	for _, mode := range []pipeline.WriteMode{pipeline.Merge, pipeline.Append} {
		found := compute(t, writes(mode, 1_999_999)).Blocking()
		require.Len(t, found, 1)
		require.Equal(t, "fct_orders[2026-01-31]", found[0].Object)
		require.Contains(t, found[0].Text, "2000000 bytes of them would be written again: max_rewrite_bytes is 1999999")
		require.Contains(t, found[0].Remedy, "finer partitions")
		require.NotContains(t, found[0].Remedy, "in_place")
		require.Empty(t, compute(t, writes(mode, 2_000_000)).Blocking())
	}
	require.Empty(t, compute(t, writes(pipeline.Replace, 1)).Blocking())
}

func TestNoBatchOfPartitionsIsPlannedWhereRowsStay(t *testing.T) {
	t.Parallel()
	batch := func(in *plan.Input, _ *plan.EnvironmentInput) { in.Pipeline.Batch = 31 }
	require.Equal(t, 31, compute(t, batch).Environments[0].Batch)
	require.Zero(t, compute(t, batch, writes(pipeline.Merge, 0)).Environments[0].Batch)
}
