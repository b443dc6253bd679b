package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/backfill"
)

func TestAStripShowsHowFarEachPartOfAPlanIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan backfill.Summary
		at   backfill.Progress
		want string
	}{
		"nothing is planned":              {backfill.Summary{}, backfill.Progress{}, ""},
		"nothing is done":                 {backfill.Summary{Partitions: 4, Slice: 1, Slices: 4}, backfill.Progress{}, "...."},
		"a cell for each":                 {backfill.Summary{Partitions: 6, Slice: 2, Slices: 3}, backfill.Progress{Next: 1, Open: []backfill.Begun{{1, 1}}}, "###..."},
		"lanes are ahead of the first":    {backfill.Summary{Partitions: 6, Slice: 2, Slices: 3}, backfill.Progress{Open: []backfill.Begun{{0, 1}, {1, 2}}}, "#.##.."},
		"what was handed back is not":     {backfill.Summary{Partitions: 6, Slice: 2, Slices: 3}, backfill.Progress{Next: 2, Open: []backfill.Begun{{0, 1}}}, "#.##.."},
		"what failed":                     {backfill.Summary{Partitions: 6, Slice: 2, Slices: 3}, backfill.Progress{Next: 3, Failed: []int{3}}, "###x##"},
		"the last slice is short":         {backfill.Summary{Partitions: 5, Slice: 2, Slices: 3}, backfill.Progress{Next: 3}, "#####"},
		"what is one partition is last":   {backfill.Summary{Partitions: 5, Slice: 3, Slices: 3, Whole: true}, backfill.Progress{Next: 2}, "####."},
		"and is done":                     {backfill.Summary{Partitions: 5, Slice: 3, Slices: 3, Whole: true}, backfill.Progress{Next: 3}, "#####"},
		"and is being done":               {backfill.Summary{Partitions: 5, Slice: 3, Slices: 3, Whole: true}, backfill.Progress{Next: 2, Open: []backfill.Begun{{2, 1}}}, "#####"},
		"many in a cell":                  {backfill.Summary{Partitions: 600, Slice: 25, Slices: 24}, backfill.Progress{Next: 1}, "##5" + strings.Repeat(".", 57)},
		"little of a cell is more than 0": {backfill.Summary{Partitions: 6000, Slice: 1, Slices: 6000}, backfill.Progress{Next: 1}, "1" + strings.Repeat(".", 59)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.plan.Heat(c.at))
		})
	}
	require.Equal(t, "·░▒▓█✘", backfill.Shades(".257#x"))
}

// However large a plan is, its strip is bounded, and says that all is done when all is, and only then.
func TestAStripIsFullWhenAllIsDone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := backfill.Summary{Slice: rapid.IntRange(1, 300).Draw(t, "slice"), Partitions: rapid.IntRange(1, 5000).Draw(t, "partitions")}
		s.Slices = (s.Partitions + s.Slice - 1) / s.Slice
		next := rapid.IntRange(0, s.Slices).Draw(t, "next")
		strip := s.Heat(backfill.Progress{Next: next})
		if len(strip) != min(s.Partitions, backfill.HeatCells) || (strings.Trim(strip, "#") == "") != (next == s.Slices) {
			t.Fatalf("%d of %d: %s", next, s.Slices, strip)
		}
	})
}
