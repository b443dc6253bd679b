package breach_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/breach"
	"drawbridge/internal/check"
)

func TestOnlyWhatHoldsWithoutTheReleaseIsItsFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trial breach.Trial
		want  breach.Cause
	}{
		"it holds without it":                              {breach.Trial{Outcome: check.Passed}, breach.Release},
		"it only warns without it":                         {breach.Trial{Outcome: check.Warned}, breach.Release},
		"it holds although new partitions stayed":          {breach.Trial{Outcome: check.Passed, Stayed: 2}, breach.Release},
		"it fails without it too":                          {breach.Trial{Outcome: check.Failed}, breach.Unknown},
		"it fails, and new partitions stayed":              {breach.Trial{Outcome: check.Failed, Stayed: 1}, breach.Unknown},
		"it cannot be evaluated without it":                {breach.Trial{Outcome: check.Errored}, breach.Unknown},
		"it is skipped without it":                         {breach.Trial{Outcome: check.Skipped}, breach.Unknown},
		"it could not be tried":                            {breach.Trial{Why: "it reads shop.orders by its full name"}, breach.Unknown},
		"it could not be tried, whatever the outcome says": {breach.Trial{Why: "gone", Outcome: check.Passed}, breach.Unknown},
	} {
		b := breach.OfRelease("total", c.trial)
		require.Equal(t, c.want, b.Cause, name)
		require.NotEmpty(t, b.Why, name)
	}
}

func TestALaterRunIsNamedOnlyIfItMends(t *testing.T) {
	t.Parallel()
	b := breach.OfRelease("total", breach.Trial{Outcome: check.Failed})
	_, ok := b.OfRun("run/shop/prod/2026-01-05", nil, breach.Trial{Outcome: check.Failed})
	require.False(t, ok)
	_, ok = b.OfRun("run/shop/prod/2026-01-05", nil, breach.Trial{Why: "gone", Outcome: check.Passed})
	require.False(t, ok)
	named, ok := b.OfRun("run/shop/prod/2026-01-05", []string{"drawbridge rollback"}, breach.Trial{Outcome: check.Passed})
	require.True(t, ok)
	require.Equal(t, breach.Run, named.Cause)
	require.Contains(t, named.Why, "run/shop/prod/2026-01-05")
	require.Equal(t, breach.Unknown, b.Cause, "the first judgement stays as it was")
}
