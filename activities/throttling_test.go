package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Nothing is begun while a window is closed: the environment's, or the backfill's own.
func TestNothingIsFilledOutsideOfItsWindows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy []string
		own    string
		now    string
		says   []string
		opens  string
	}{
		"there is none":            {nil, "", "2026-01-01T12:00:00Z", nil, ""},
		"both are open":            {[]string{"11:00-13:00"}, "12:00-14:00", "2026-01-01T12:00:00Z", nil, ""},
		"the environment's is not": {[]string{"22:00-06:00", "13:00-14:00"}, "", "2026-01-01T12:00:00Z", []string{"the window of prod is closed"}, "2026-01-01T13:00:00Z"},
		"its own is not":           {[]string{"11:00-13:00"}, "14:00-15:00", "2026-01-01T12:00:00Z", []string{"its window is closed"}, "2026-01-01T14:00:00Z"},
		"neither is":               {[]string{"22:00-06:00"}, "14:00-15:00", "2026-01-01T12:00:00Z", []string{"the window of prod is closed", "its window is closed"}, "2026-01-01T22:00:00Z"},
		"one that nobody knows":    {nil, "14:00-15:00 Mars/Base", "2026-01-01T14:30:00Z", []string{"its window cannot be told"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, c.now)
			require.NoError(t, err)
			now := func() time.Time { return at }
			a, f, in := filling(t)
			a.Site.Policy.Windows, a.Now, in.Window = c.policy, now, c.own
			done, failed := call(t, a.Fill, in)
			require.Nil(t, failed)
			whole, w, cut := cutting(t)
			whole.Site.Policy.Windows, whole.Now, cut.Window = c.policy, now, c.own
			published, failed := call(t, whole.CutOver, cut)
			require.Nil(t, failed)
			require.Equal(t, done.Throttled, published.Throttled, "what becomes visible as one waits too")
			require.Equal(t, len(c.says) > 0, len(w.swapped) == 0)
			require.Len(t, done.Throttled, len(c.says))
			for i, text := range c.says {
				require.Contains(t, done.Throttled[i], text)
			}
			if len(c.says) > 0 {
				require.Empty(t, f.built, "nothing is begun")
			} else {
				require.NotEmpty(t, f.built)
			}
			if c.opens != "" {
				require.Equal(t, c.opens, done.Opens.UTC().Format(time.RFC3339))
			}
		})
	}
}
