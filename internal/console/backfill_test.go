package console

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/release"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// backfilling is a backfill in the middle of a month.
func backfilling() workflows.Status {
	return workflows.Status{
		Header: conduct.Header{
			Kind: "backfill", Pipeline: "shop", Release: release.Release{Pipeline: "shop", Version: "1.1.0"}, Stage: workflows.StageCrossing, Environment: "prod", Step: "backfill",
			Sentence: "building 32 partitions with 1.1.0", Window: "mon-fri 22:00-06:00 Europe/Berlin",
		},
		Backfill: &workflows.BackfillStatus{
			From: "2026-01-01", To: "2026-01-31", Partitions: 32, Published: 14, Failed: 1, Skipped: 1, Rows: 28_000, Lanes: 2, Speed: 1.6, RowSpeed: 3200, Left: "11s",
			Heat: "###-######x####35...............", Throttled: "waiting locks is 9, the limit is 5",
			Stalled:  new(noon().Add(-12 * time.Minute)),
			Failures: []conduct.Failed{{Item: -11, Name: "2026-01-11", Why: "line 2 of its file"}},
		},
	}
}

func TestABackfillShowsHowFarItIsHowFastAndWhatHoldsItUp(t *testing.T) {
	t.Parallel()
	text := paper().Status(view.View{ID: "backfill/shop/prod/2026-01-01..2026-01-31", Status: backfilling()})
	golden(t, "status-backfill.txt", text)
	coloured := paper()
	coloured.Colour = true
	require.Contains(t, string(coloured.heat("#x")), "\x1b[31m✘", "what failed stands out")
	require.Contains(t, string(coloured.heat("#-")), "\x1b[33m–", "and so does what was left out")
}

// What waits for its window is not throttled, and has no speed: it says when it goes on.
func TestABackfillThatWaitsForItsWindowSaysSo(t *testing.T) {
	t.Parallel()
	s := backfilling()
	b := s.Backfill
	b.Left, b.Stalled, b.Throttled, b.Opens = "", nil, "its window is closed (22:00-06:00): it opens Mon 2026-03-02 22:00 UTC", new(noon().Add(10*time.Hour))
	text := paper().Status(view.View{ID: "backfill/shop/prod/2026-01-01..2026-01-31", Status: s})
	require.Contains(t, text, "waits: its window is closed (22:00-06:00): it opens Mon 2026-03-02 22:00 UTC\n")
	require.Contains(t, text, "14 of 32 partitions, 1 failed, 1 left out\n")
	for _, never := range []string{"throttled", "left\n", "a second"} {
		require.NotContains(t, strings.ReplaceAll(text, "1 left out", ""), never)
	}
}

// While it is followed, its last lines are written over, however many they are.
func TestAFollowedBackfillWritesItsLinesOver(t *testing.T) {
	t.Parallel()
	story := Story{Screen: paper(), Live: true}
	s := backfilling()
	first := story.Status(s, nil)
	require.Equal(t, 4, strings.Count(first, "\n"), "five lines: %q", first)
	require.Contains(t, first, "███–██████✘████░▒···············")
	s.Backfill.Throttled, s.Backfill.Stalled = "", nil
	up := strings.Repeat(clearLine+lineUp, 4) + clearLine
	second := story.Status(s, nil)
	require.True(t, strings.HasPrefix(second, up), "all of them are cleared: %q", second)
	require.Equal(t, 2, strings.Count(second, "\n"))
	require.Equal(t, strings.Repeat(clearLine+lineUp, 2)+clearLine, story.End())
	require.Empty(t, story.End())
}
