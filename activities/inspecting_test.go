package activities_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

func TestGenerationsOfWhatCannotBeAreRefusedWithWhatThereIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		output    string
		partition partition.Key
		found     int
		says      []string
	}{
		"an output that nobody has":             {"fct_order", "2026-01-31", 0, []string{"no such output", "an output of shop: fct_orders"}},
		"a day that no calendar has":            {"fct_orders", "2026-09-40", 0, []string{"2026-01-31"}},
		"a key of another scheme":               {"fct_orders", "2026-W05", 0, []string{"2026-01-31"}},
		"a partition that nothing is in yet":    {"fct_orders", "2026-01-31", 0, nil},
		"an output that an earlier one had":     {"old_orders", "2026-01-31", 1, nil},
		"a partition as the table once was cut": {"old_orders", "2026-W05", 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.desk.kept = map[string][]generation.Generation{"old_orders": {{ID: 1}}}
			got, err := call(t, (&activities.Inspecting{Site: b.Site}).Inspect, activities.InspectInput{
				Target: target("prod"), Kind: activities.InspectGenerations, Output: c.output, Partition: c.partition,
			})
			if c.says == nil {
				require.Nil(t, err)
				require.Len(t, got.Generations, c.found)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, string(fault.Invalid), err.Type())
			var detail activities.Fault
			require.NoError(t, err.Details(&detail))
			for _, text := range c.says {
				require.Contains(t, err.Message()+" → "+detail.Hint, text)
			}
		})
	}
}
