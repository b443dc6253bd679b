package warehouse_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// wide is a pipeline of days whose key, order, is unique over all of them.
func wide(version string) *pipeline.Pipeline {
	p := visits(partition.Scheme{By: partition.Day}, "date", " WHERE v >= @partition_start AND v < @partition_end")
	p.Version = version
	p.Loads[0].File = "orders_@partition.csv"
	p.Outputs[0].KeyScope = pipeline.KeyOfOutput
	return p
}

// ordered writes the file of a day: its orders.
func (b *bundle) ordered(day partition.Key, orders ...string) {
	b.files["orders_"+string(day)+".csv"] = "amount,v\n"
	for _, order := range orders {
		b.files["orders_"+string(day)+".csv"] += order + "," + string(day) + "\n"
	}
}

// swapOf is the swap that puts a generation in the place of what is live.
func (b *bundle) swapOf(t *testing.T, g generation.Generation) generation.Swap {
	t.Helper()
	live, _, err := b.Live(t.Context(), g.Output, g.Partition)
	require.NoError(t, err)
	return swap(g, live)
}

func TestAKeyOfAnOutputDoesNotGoLiveInTwoPartitions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ordered("2026-01-01", "1", "2", "3")
	b.goLive(t, wide("1.0.0"), "2026-01-01")
	b.ordered("2026-01-02", "3", "4", "2")
	built := b.build(t, wide("1.0.0"), "2026-01-02")
	found := built.Results[len(built.Results)-1]
	require.Equal(t, check.Warned, found.Outcome, "the audit says it already")
	require.EqualValues(t, 2, *found.Failing)
	require.Equal(t, "2 keys are live in other partitions too", found.Reason)
	_, err := b.attempt(t.Context(), b.patient(swap(built.Generation, 0)), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "the key (amount) is unique over all partitions, and 2 keys of what goes live are in another partition too")
	_, query, ok := strings.Cut(fault.HintOf(err), "the keys: ")
	require.True(t, ok)
	rows, err := b.db.Pool.Query(t.Context(), query)
	require.NoError(t, err)
	rows.Close()
	require.EqualValues(t, 2, rows.CommandTag().RowsAffected(), "who may read the warehouse finds them")
	require.Equal(t, "1,2,3", b.parts(t))

	b.ordered("2026-01-02", "4")
	again := b.build(t, wide("1.0.0"), "2026-01-02")
	require.Equal(t, check.Passed, again.Results[len(again.Results)-1].Outcome)
	b.publish(t, swap(again.Generation, 0))
	require.Equal(t, "1,2,3 4", b.parts(t))
	same := b.build(t, wide("1.0.0"), "2026-01-02")
	require.Equal(t, check.Passed, same.Results[len(same.Results)-1].Outcome, "what a partition replaces is in nobody's way")
	b.publish(t, b.swapOf(t, same.Generation))
}

// What moves from one partition into another goes live with both, in one transaction, and with one alone it does not.
func TestAKeyMovesBetweenPartitionsThatArePublishedTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ordered("2026-01-01", "1", "2")
	b.ordered("2026-01-02", "3")
	b.goLive(t, wide("1.0.0"), "2026-01-01", "2026-01-02")
	b.ordered("2026-01-01", "1")
	b.ordered("2026-01-02", "2", "3")
	one, two := b.build(t, wide("1.0.0"), "2026-01-01").Generation, b.build(t, wide("1.0.0"), "2026-01-02").Generation
	_, err := b.attempt(t.Context(), b.patient(b.swapOf(t, two)), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	b.publish(t, b.swapOf(t, one), b.swapOf(t, two))
	require.Equal(t, "1 2,3", b.parts(t))

	b.ordered("2026-01-03", "7")
	b.ordered("2026-01-04", "7")
	three, four := b.build(t, wide("1.0.0"), "2026-01-03").Generation, b.build(t, wide("1.0.0"), "2026-01-04").Generation
	_, err = b.attempt(t.Context(), b.patient(swap(three, 0), swap(four, 0)), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "1 keys of what goes live")
	_, query, _ := strings.Cut(fault.HintOf(err), "the keys: ")
	rows, err := b.db.Pool.Query(t.Context(), query)
	require.NoError(t, err)
	rows.Close()
	require.EqualValues(t, 1, rows.CommandTag().RowsAffected())
}

// Two publishes of one output pass their first look together. The second to come sees inside its transaction what the first has made live.
func TestAKeyThatWentLiveMeanwhileIsSeenInsideThePublish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ordered("2026-01-01", "1")
	b.goLive(t, wide("1.0.0"), "2026-01-01")
	b.ordered("2026-01-02", "7")
	b.ordered("2026-01-03", "7")
	two, three := b.build(t, wide("1.0.0"), "2026-01-02").Generation, b.build(t, wide("1.0.0"), "2026-01-03").Generation

	var meanwhile sync.Once
	_, err := b.attempt(t.Context(), b.patient(swap(three, 0)), func(_, _ time.Duration) {
		meanwhile.Do(func() { b.publish(t, swap(two, 0)) })
	})
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "1 keys of what goes live are in another partition too")
	require.Equal(t, "1 7", b.parts(t))
}

// The key is compared as the unique index of a partition compares it, also where the type has an equality of its own.
func TestAKeyOfAnOutputIsComparedAsItsIndexDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := wide("1.0.0")
	p.Loads[0].Columns[0].Type = "numeric"
	b.ordered("2026-01-01", "1.50")
	b.goLive(t, p, "2026-01-01")
	b.ordered("2026-01-02", "1.5")
	_, err := b.attempt(t.Context(), b.patient(swap(b.build(t, p, "2026-01-02").Generation, 0)), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
}
