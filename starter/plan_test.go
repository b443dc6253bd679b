package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/plan"
)

func TestRebuildIsRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]plan.Rebuild{
		"":                 {Mode: plan.RebuildNone},
		"none":             {Mode: plan.RebuildNone},
		"all":              {Mode: plan.RebuildAll},
		"last=7":           {Mode: plan.RebuildLast, Last: 7},
		"since=2026-01-31": {Mode: plan.RebuildSince, Since: "2026-01-31"},
	} {
		got, err := rebuildOf(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"last", "last=0", "last=-1", "last=x", "since", "since=", "last 7", "since 2026-01-31", "some", "all=1", "none=1"} {
		_, err := rebuildOf(text)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), text)
	}
}
