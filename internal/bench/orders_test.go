package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFileHoldsEveryKeyOnceInWhateverOrder(t *testing.T) {
	t.Parallel()
	const rows = 1_000
	lines := map[order][]string{}
	for _, by := range []order{sorted, unsorted} {
		var file bytes.Buffer
		require.NoError(t, writeOrders(&file, firstDay(), rows, by))
		all := strings.Split(strings.TrimSuffix(file.String(), "\n"), "\n")
		require.Len(t, all, rows+1)
		seen := map[string]bool{}
		for _, line := range all[1:] {
			key, rest, _ := strings.Cut(line, ",")
			seen[key] = true
			require.True(t, strings.HasPrefix(rest, "2026-01-01 "), line)
			lines[by] = append(lines[by], key)
		}
		require.Len(t, seen, rows)
	}
	require.Equal(t, "2", lines[sorted][1])
	require.NotEqual(t, lines[sorted], lines[unsorted])
	slices.Sort(lines[sorted])
	slices.Sort(lines[unsorted])
	require.Equal(t, lines[sorted], lines[unsorted])
}
