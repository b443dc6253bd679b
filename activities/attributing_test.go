package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/breach"
)

// The outputs of a partition became visible together: one command turns all of them back.
func TestACommandTurnsAPartitionBackWithAllItsOutputs(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"drawbridge rollback shop --env prod --partition 2026-01-01 --to 11 --reason TEXT",
		"drawbridge rollback shop --env prod --partition 2026-01-02 --to 13 --reason TEXT",
		"drawbridge rollback shop --env prod --partition 2026-01-03 --to nothing --reason TEXT",
	}, commands(breach.Later{Pipeline: "shop", Published: []breach.Placed{
		{Output: "fct_orders", Partition: "2026-01-01", Before: 11},
		{Output: "fct_totals", Partition: "2026-01-01", Before: 12},
		{Output: "fct_orders", Partition: "2026-01-02"}, // it came with the release that did this
		{Output: "fct_totals", Partition: "2026-01-02", Before: 13},
		{Output: "fct_orders", Partition: "2026-01-03"},
		{Output: "fct_totals", Partition: "2026-01-03"},
	}}, "prod"))
}
