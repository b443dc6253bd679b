package cutover_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/cutover"
	"drawbridge/internal/partition"
)

// The figures are measured on two cores; what is expected of a change is of their size, or it says nothing.
func TestWhatAChangeIsExpectedToTake(t *testing.T) {
	t.Parallel()
	times := func(n int, c cutover.Change) []cutover.Change {
		changes := make([]cutover.Change, n)
		for i := range changes {
			changes[i] = c
		}
		return changes
	}
	of := func(attached, replaced int) cutover.Change {
		return cutover.Change{Attached: attached, Indexes: 2, Swaps: cutover.Swaps{Replaced: replaced}}
	}
	chunk := func(attached, replaced int) cutover.Change {
		c := of(attached, replaced)
		c.Chunk = true
		return c
	}
	for name, c := range map[string]struct {
		changes  []cutover.Change
		pages    int64
		measured time.Duration
		locks    int64
	}{
		"60 of 60":                           {times(1, of(60, 60)), 0, 30 * time.Millisecond, 240},
		"60 of 60, 2 outputs":                {times(2, of(60, 60)), 0, 65 * time.Millisecond, 480},
		"365 of 365":                         {times(1, of(365, 365)), 0, 530 * time.Millisecond, 1460},
		"365 of 365, 2":                      {times(2, of(365, 365)), 0, 1450 * time.Millisecond, 2920},
		"730 of 730":                         {times(1, of(730, 730)), 0, 2200 * time.Millisecond, 2920},
		"60 of 365, 2 outputs":               {times(2, of(365, 60)), 0, 263 * time.Millisecond, 480},
		"730 in 24 chunks, each as a whole":  {times(24, chunk(31, 31)), 246, 62 * time.Millisecond, 24 * 64},
		"with 10,000 constraints of others":  {times(24, chunk(31, 31)), 1913, 175 * time.Millisecond, 24 * 64},
		"730 in 24 chunks, all but one each": {times(24, chunk(31, 30)), 0, 553 * time.Millisecond, 2880},
		"60 of 2 outputs, inside 4 chunks":   {times(4, chunk(31, 30)), 0, 99 * time.Millisecond, 480},
		"one inside a chunk":                 {times(1, chunk(31, 1)), 0, 800 * time.Microsecond, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expected := cutover.Bounds{ConstraintPages: c.pages}.Hold(c.changes)
			require.InEpsilon(t, c.measured.Seconds(), expected.Seconds(), 0.3)
			require.InDelta(t, float64(2*expected), float64(cutover.Bounds{ConstraintPages: c.pages, Speed: 2}.Hold(c.changes)), float64(time.Microsecond), "on a server of half the speed")
			require.Equal(t, c.locks, cutover.Locks(c.changes))
		})
	}
}

func TestWhatChangesAsAWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change cutover.Change
		whole  bool
	}{
		"all of a chunk":                {cutover.Change{Chunk: true, Attached: 2, Swaps: cutover.Swaps{Replaced: 2}}, true},
		"and more":                      {cutover.Change{Chunk: true, Attached: 2, Swaps: cutover.Swaps{Replaced: 1, Removed: 1, Added: 3}}, true},
		"a new one":                     {cutover.Change{Chunk: true, Swaps: cutover.Swaps{Added: 1}}, true},
		"all of it is taken away":       {cutover.Change{Chunk: true, Attached: 2, Swaps: cutover.Swaps{Removed: 2}}, true},
		"one of one":                    {cutover.Change{Chunk: true, Attached: 1, Swaps: cutover.Swaps{Replaced: 1}}, false},
		"some of it":                    {cutover.Change{Chunk: true, Attached: 3, Swaps: cutover.Swaps{Replaced: 2}}, false},
		"what hangs in the table alone": {cutover.Change{Attached: 2, Swaps: cutover.Swaps{Replaced: 2}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.whole, c.change.Whole())
		})
	}
}

func TestOnlyWithinReasonIsAServerFastOrSlow(t *testing.T) {
	t.Parallel()
	for ratio, want := range map[float64]float64{0: 0, 0.01: 0.25, 1.5: 1.5, 100: 8} {
		require.InDelta(t, want, cutover.Speed(ratio), 1e-9)
	}
}

// flat is a table of which this many partitions hang in it without chunks; days are the keys of this many days.
func flat(attached, indexes int) map[string]cutover.Table {
	t := cutover.Table{Indexes: indexes, Attached: map[string]int{"": attached}}
	return map[string]cutover.Table{"a": t, "b": t}
}

func days(n int) []partition.Key {
	keys := make([]partition.Key, n)
	for i := range keys {
		keys[i] = partition.Key(time.Date(2024, time.January, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	return keys
}

// units are so many units of so many partitions of both tables.
func units(n, each int, was, is bool) []cutover.Unit {
	out := make([]cutover.Unit, n)
	keys := days(n * each)
	for i := range out {
		for _, key := range keys[i*each : (i+1)*each] {
			for _, output := range []string{"a", "b"} {
				out[i] = append(out[i], cutover.Move{Output: output, Partition: key, Was: was, Is: is})
			}
		}
	}
	return out
}

func TestAChangeIsCutIntoAsFewTransactionsAsReadersBear(t *testing.T) {
	t.Parallel()
	half := 500 * time.Millisecond
	scheme := partition.Scheme{By: partition.Day, Column: "day"}
	chunked := func(live int) map[string]cutover.Table {
		t := cutover.NewTable(scheme, 2, days(live))
		return map[string]cutover.Table{"a": t, "b": t}
	}
	for name, c := range map[string]struct {
		tables map[string]cutover.Table
		units  []cutover.Unit
		bounds cutover.Bounds
		want   []int
		fits   bool
	}{
		"nothing":                              {flat(10, 0), nil, cutover.Bounds{MaxPause: half}, nil, false},
		"what readers bear is one":             {flat(60, 2), units(8, 8, true, true), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{8}, true},
		"a longer pause is cut":                {flat(365, 2), units(46, 8, true, true), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{11, 11, 11, 11, 2}, false},
		"a slow server is cut more often":      {flat(365, 2), units(46, 8, true, true), cutover.Bounds{MaxPause: half, LockSlots: 7040, Speed: 2}, []int{5, 5, 5, 5, 5, 5, 5, 5, 5, 1}, false},
		"half of the lock table is a bound":    {flat(60, 2), units(8, 8, true, true), cutover.Bounds{MaxPause: half, LockSlots: 2 * 256}, []int{4, 4}, false},
		"one lock less":                        {flat(60, 2), units(8, 8, true, true), cutover.Bounds{MaxPause: half, LockSlots: 2*256 - 2}, []int{3, 3, 2}, false},
		"a lock table that nobody knows":       {flat(60, 2), units(8, 8, true, true), cutover.Bounds{MaxPause: half}, []int{8}, true},
		"what is never cut may be too much":    {flat(365, 2), units(1, 365, true, true), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1}, false},
		"and stands alone then":                {flat(365, 2), units(3, 365, true, true), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1, 1, 1}, false},
		"what is new costs half of a swap":     {flat(1, 2), units(1, 180, false, true), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1}, true},
		"what is taken away costs half of one": {flat(365, 2), units(1, 180, true, false), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{1}, true},
		"a pause of nothing cuts everything":   {flat(60, 2), units(3, 1, true, true), cutover.Bounds{}, []int{1, 1, 1}, false},
		"two years of whole chunks are one":    {chunked(731), units(731, 1, true, true), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{731}, true},
		"and so are new ones":                  {chunked(0), units(731, 1, false, true), cutover.Bounds{MaxPause: half, LockSlots: 7040}, []int{731}, true},
		"a lock for either side of each":       {chunked(731), units(731, 1, true, true), cutover.Bounds{MaxPause: half, LockSlots: 2 * (2*2*731 + 2*2*24)}, []int{731}, true},
		"one fewer":                            {chunked(731), units(731, 1, true, true), cutover.Bounds{MaxPause: half, LockSlots: 2*(2*2*731+2*2*24) - 2}, []int{715, 16}, false},
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
	cut := cutover.Into(flat(1, 0), units(100, 5, false, true), cutover.Bounds{MaxPause: 500 * time.Millisecond})
	require.Greater(t, len(cut.Units), 2)
	require.Greater(t, cut.Units[0], cut.Units[len(cut.Units)-2], "a table that has grown takes longer")
	require.LessOrEqual(t, cut.Hold, 500*time.Millisecond)
}

func TestABatchTakesWhatFits(t *testing.T) {
	t.Parallel()
	b := cutover.NewBatch(flat(365, 0), cutover.Bounds{MaxPause: 10 * time.Millisecond})
	unit := func(n int) (u cutover.Unit) {
		for _, key := range days(n) {
			u = append(u, cutover.Move{Output: "a", Partition: key, Was: true, Is: true})
		}
		return u
	}
	require.True(t, b.Add(unit(3)))
	require.Equal(t, 6*(170*time.Microsecond+364*3700*time.Nanosecond), b.Hold())
	require.EqualValues(t, 6, b.Locks())
	require.False(t, b.Add(unit(1)), "the next one waits for another transaction")
	require.Equal(t, 6*(170*time.Microsecond+364*3700*time.Nanosecond), b.Hold(), "what does not fit is not in it")
	require.True(t, b.Fits())
}
