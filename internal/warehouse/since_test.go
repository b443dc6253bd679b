package warehouse_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/release"
)

// Whoever looks late is told who came first, and not what became of them.
func TestATenureEndsByWhatCameFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	own := b.tenureOf(t)
	since := func() release.Tenure {
		now, err := b.Since(t.Context(), "shop", own)
		require.NoError(t, err)
		return now
	}
	require.Equal(t, own, since().Number)
	b.scheduled(t, 2, "2026-01-01")
	one := rollback("")
	one.Output, one.Partition = "fct_orders", "2026-01-01"
	_, _ = b.begins(t, one).finish(t)
	require.NotEqual(t, own, since().Number)
	require.Equal(t, "1.0.0", since().Release.Version, "it stays where a partition goes back")

	b.deploy(t, "1.1.0", 3, "2026-01-01", "2026-01-02")
	newer := b.tenureOf(t)
	require.Equal(t, newer, since().Number)
	b.scheduled(t, 4, "2026-01-01")
	_, _ = b.begins(t, one).finish(t)
	require.NotEqual(t, newer, b.tenureOf(t))
	require.Equal(t, newer, since().Number)
	require.Equal(t, release.ByDeployment, since().Kind)
}
