package cutover_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/cutover"
)

// The figures are measured on two cores; what is expected of a change is of their size, or it says nothing.
func TestWhatAChangeIsExpectedToTake(t *testing.T) {
	t.Parallel()
	all := func(n, outputs int) []cutover.Change {
		changes := make([]cutover.Change, outputs)
		for i := range changes {
			changes[i] = cutover.Change{Table: cutover.Table{Attached: n, Indexes: 2}, Swaps: cutover.Swaps{Replaced: n}}
		}
		return changes
	}
	for name, c := range map[string]struct {
		changes  []cutover.Change
		measured time.Duration
		locks    int64
	}{
		"60 of 60":             {all(60, 1), 30 * time.Millisecond, 240},
		"60 of 60, 2 outputs":  {all(60, 2), 65 * time.Millisecond, 480},
		"365 of 365":           {all(365, 1), 530 * time.Millisecond, 1460},
		"365 of 365, 2":        {all(365, 2), 1450 * time.Millisecond, 2920},
		"730 of 730":           {all(730, 1), 2200 * time.Millisecond, 2920},
		"60 of 365, 2 outputs": {[]cutover.Change{{cutover.Table{Attached: 365, Indexes: 2}, cutover.Swaps{Replaced: 60}}, {cutover.Table{Attached: 365, Indexes: 2}, cutover.Swaps{Replaced: 60}}}, 263 * time.Millisecond, 480},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expected := cutover.Hold(c.changes, 0)
			require.InEpsilon(t, c.measured.Seconds(), expected.Seconds(), 0.3)
			require.InDelta(t, float64(2*expected), float64(cutover.Hold(c.changes, 2)), float64(time.Microsecond), "on a server of half the speed")
			require.Equal(t, c.locks, cutover.Locks(c.changes))
		})
	}
}

func TestOnlyWithinReasonIsAServerFastOrSlow(t *testing.T) {
	t.Parallel()
	for ratio, want := range map[float64]float64{0: 0, 0.01: 0.25, 1.5: 1.5, 100: 8} {
		require.InDelta(t, want, cutover.Speed(ratio), 1e-9)
	}
}

func TestAChangeIsCutIntoAsFewTransactionsAsReadersBear(t *testing.T) {
	t.Parallel()
	table := func(attached, indexes int) map[string]cutover.Table {
		return map[string]cutover.Table{"a": {Attached: attached, Indexes: indexes}, "b": {Attached: attached, Indexes: indexes}}
	}
	units := func(n, each int) []cutover.Unit {
		out := make([]cutover.Unit, n)
		for i := range out {
			out[i] = cutover.Unit{"a": {Replaced: each}, "b": {Replaced: each}}
		}
		return out
	}
	half := 500 * time.Millisecond
	for name, c := range map[string]struct {
		tables map[string]cutover.Table
		units  []cutover.Unit
		bounds cutover.Bounds
		want   []int
		fits   bool
	}{
		"nothing":                              {table(10, 0), nil, cutover.Bounds{MaxPause: half}, nil, false},
		"what readers bear is one":             {table(60, 2), units(8, 8), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{8}, true},
		"a longer pause is cut":                {table(365, 2), units(46, 8), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{11, 11, 11, 11, 2}, false},
		"a slow server is cut more often":      {table(365, 2), units(46, 8), cutover.Bounds{MaxPause: half, LockSlots: 7040, Speed: 2}, []int{5, 5, 5, 5, 5, 5, 5, 5, 5, 1}, false},
		"half of the lock table is a bound":    {table(60, 2), units(8, 8), cutover.Bounds{MaxPause: half, LockSlots: 2 * 256}, []int{4, 4}, false},
		"one lock less":                        {table(60, 2), units(8, 8), cutover.Bounds{MaxPause: half, LockSlots: 2*256 - 2}, []int{3, 3, 2}, false},
		"a lock table that nobody knows":       {table(60, 2), units(8, 8), cutover.Bounds{MaxPause: half}, []int{8}, true},
		"what is never cut may be too much":    {table(365, 2), units(1, 365), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1}, false},
		"and stands alone then":                {table(365, 2), units(3, 365), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1, 1, 1}, false},
		"what is new costs half of a swap":     {table(0, 2), []cutover.Unit{{"a": {Added: 365}}}, cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1}, true},
		"what is taken away costs half of one": {table(365, 2), []cutover.Unit{{"a": {Removed: 365}}}, cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1}, true},
		"a pause of nothing cuts everything":   {table(60, 2), units(3, 1), cutover.Bounds{}, []int{1, 1, 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := cutover.Into(c.tables, c.units, c.bounds)
			require.Equal(t, c.want, cut.Units)
			require.Equal(t, c.fits, cut.Fits)
			sum := 0
			for _, n := range cut.Units {
				sum += n
			}
			require.Equal(t, len(c.units), sum, "no unit is lost")
			if cut.Fits {
				require.LessOrEqual(t, cut.Hold, c.bounds.MaxPause)
			}
		})
	}
}

func TestWhatWasAttachedBeforeCountsForTheNextTransaction(t *testing.T) {
	t.Parallel()
	units := make([]cutover.Unit, 100)
	for i := range units {
		units[i] = cutover.Unit{"a": {Added: 10}}
	}
	cut := cutover.Into(map[string]cutover.Table{"a": {}}, units, cutover.Bounds{MaxPause: 500 * time.Millisecond})
	require.Greater(t, len(cut.Units), 2)
	require.Greater(t, cut.Units[0], cut.Units[len(cut.Units)-2], "a table that has grown takes longer")
	require.LessOrEqual(t, cut.Hold, 500*time.Millisecond)
}

func TestABatchTakesWhatFits(t *testing.T) {
	t.Parallel()
	b := cutover.NewBatch(map[string]cutover.Table{"a": {Attached: 365}}, cutover.Bounds{MaxPause: 10 * time.Millisecond})
	require.True(t, b.Add(cutover.Unit{"a": {Replaced: 3}}))
	require.Equal(t, 6*(170*time.Microsecond+364*3700*time.Nanosecond), b.Hold())
	require.EqualValues(t, 6, b.Locks())
	require.False(t, b.Add(cutover.Unit{"a": {Replaced: 1}}), "the next one waits for another transaction")
	require.Equal(t, 6*(170*time.Microsecond+364*3700*time.Nanosecond), b.Hold(), "what does not fit is not in it")
	require.True(t, b.Fits())
}
