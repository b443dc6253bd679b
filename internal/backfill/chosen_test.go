package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Of another release what is live of it is current, and nothing else; that it is not the active one is above every limit.
func TestAnotherReleaseIsBuiltByChoice(t *testing.T) {
	t.Parallel()
	in := input(t)
	in.Chosen = release.Tenure{Number: 2, Release: release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:10"}, Config: "sha256:c"}
	for _, o := range []table{"fct_orders", "fct_refunds"} {
		g := o.live(&in, "2026-01-03")
		g.Release, g.Config = in.Chosen.Release, in.Chosen.Config
	}
	p, err := backfill.Compute(in)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-02", "2026-01-04", "2026-01-05"}, p.Partitions)
	require.Equal(t, in.Chosen.Release, p.Release)
	require.Equal(t, "sha256:c", p.Config)
	require.Equal(t, int64(4), p.Tenure, "it is published under the tenure that is active")
	require.Equal(t, []string{"shop@1.1.0 is active, and not shop@1.0.0"}, p.Over)
	require.Contains(t, strings.Join(backfill.Summarize(p, byDay).Lines, "\n"), "deviate by choice: shop@1.1.0 is active")

	in.Chosen = in.Active
	p, err = backfill.Compute(in)
	require.NoError(t, err)
	require.Empty(t, p.Over)
	require.Empty(t, p.Beside)
}
