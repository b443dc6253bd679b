package warehouse_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/fault"
	"drawbridge/internal/warehouse"
)

// A comparison that says nothing about the candidate is refused, whatever its caller claims.
func TestOnlyABaselineThatIsOneIsCompared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	live, _, err := b.Live(t.Context(), "fct_orders", "2026-01-01")
	require.NoError(t, err)
	otherDay, _, err := b.Live(t.Context(), "fct_orders", "2026-01-02")
	require.NoError(t, err)
	built := func(version string, control bool) int64 {
		spec := b.spec(mart(version), "2026-01-01")
		spec.Control = control
		out, err := b.Build(t.Context(), spec)
		require.NoError(t, err)
		return out[0].Generation.ID
	}
	candidate, unpublished := built("1.1.0", false), built("1.0.0", false)
	control, foreign := built("1.0.0", true), built("0.9.0", true)
	for name, c := range map[string]struct {
		baseline, candidate int64
		origin              canary.Origin
		says                string // empty: it is compared
	}{
		"what is live":                              {live, candidate, canary.Live, ""},
		"a control of the active release":           {control, candidate, canary.Control, ""},
		"the candidate itself, as live":             {candidate, candidate, canary.Live, "the candidate itself"},
		"the candidate itself, as a control":        {candidate, candidate, canary.Control, "the candidate itself"},
		"another partition":                         {otherDay, candidate, canary.Live, "partition 2026-01-02"},
		"what is not live":                          {unpublished, candidate, canary.Live, "not live"},
		"a generation that was not built as one":    {live, candidate, canary.Control, "not built as a control"},
		"a control of a release that is not active": {foreign, candidate, canary.Control, "not the active release"},
		"a control as the candidate":                {live, control, canary.Live, "the candidate is a control"},
	} {
		_, err := b.Compare(t.Context(), warehouse.Comparison{
			Output: "fct_orders", Key: []string{"order_id"}, Baseline: c.baseline, Candidate: c.candidate, Origin: c.origin, Active: "sha256:1.0.0",
		})
		if c.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, c.says, name)
	}
}
