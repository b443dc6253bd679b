package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
)

// Four days of 10,000 rows are 20 s in two lanes.
func TestWhatTakesLongerThanItsWindowIsAboveALimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		windows []string
		speed   float64
		want    []string
	}{
		"it works always":            {nil, 1, nil},
		"it fits":                    {[]string{"22:00-22:01"}, 1000, nil},
		"it does not":                {[]string{"22:00-22:01"}, 100, []string{"about 3m20s, longer than its window is open (1m0s)"}},
		"the longest of them counts": {[]string{"22:00-22:01", "02:00-02:04"}, 100, nil},
		"a window that never closes": {[]string{"00:00-24:00"}, 1, nil},
		"what nobody can estimate":   {[]string{"22:00-06:00"}, 0, []string{"an unknown time, maybe longer than its window is open (8h0m0s)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			in.Ask.Force, in.Policy.Windows, in.Observed.RowsPerSecond = true, c.windows, c.speed
			p, err := backfill.Compute(in)
			require.NoError(t, err)
			require.Equal(t, c.want, p.Over)
			lines := strings.Join(backfill.Summarize(p, byDay).Lines, "\n")
			for _, w := range c.windows {
				require.Contains(t, lines, w)
			}
		})
	}
}
