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
		"what was left out":               {backfill.Summary{Partitions: 6, Slice: 2, Slices: 3}, backfill.Progress{Next: 3, Failed: []int{3}, Left: []int{1, 3, 4}}, "#-#x-#"},
		"of a cell only something":        {backfill.Summary{Partitions: 600, Slice: 600, Slices: 1}, backfill.Progress{Next: 1, Left: []int{2}}, "##-" + strings.Repeat("#", 57)},
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
	require.Equal(t, "·░▒▓█✘–", backfill.Shades(".257#x-"))
}

// However much is left out, what is kept of that is no longer than the strip.
func TestWhatIsLeftOutIsKeptByCells(t *testing.T) {
	t.Parallel()
	s := backfill.Summary{Partitions: 6000, Slice: 100, Slices: 60}
	var left []int
	for item := range s.Partitions {
		left = s.Leave(left, item)
	}
	require.Len(t, left, backfill.HeatCells)
	require.Equal(t, strings.Repeat("-", backfill.HeatCells), s.Heat(backfill.Progress{Next: 60, Left: left}))
	require.Equal(t, []int{2}, s.Leave(nil, 299), "the cell of its place")
	require.Empty(t, s.Leave(nil, 6000), "there is no such item")
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
