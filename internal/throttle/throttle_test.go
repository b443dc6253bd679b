package throttle_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/throttle"
)

func reading(s throttle.Signal, value, max float64) throttle.Reading {
	return throttle.Reading{Limit: throttle.Limit{Signal: s, Max: max}, Value: value}
}

func TestAnySignalStops(t *testing.T) {
	t.Parallel()
	query := throttle.Reading{Limit: throttle.Limit{Signal: throttle.Query, Name: "queue", Max: 5}, Value: 7}
	unseen := reading(throttle.ReplicaLag, 0, 30)
	unseen.Unseen = "the role cannot see it"
	for name, c := range map[string]struct {
		readings []throttle.Reading
		waited   bool
		want     []string
	}{
		"nothing is watched":    {nil, true, nil},
		"at the limit":          {[]throttle.Reading{reading(throttle.WaitingLocks, 3, 3)}, false, nil},
		"above it":              {[]throttle.Reading{reading(throttle.WaitingLocks, 4, 3)}, false, []string{"waiting locks is 4, the limit is 3"}},
		"one of many":           {[]throttle.Reading{reading(throttle.ActiveSessions, 1, 9), query}, false, []string{"queue is 7, the limit is 5"}},
		"all of them are named": {[]throttle.Reading{reading(throttle.WALRate, 2e6, 1e6), query}, false, []string{"wal rate is 2 MB/s, the limit is 1 MB/s", "queue is 7, the limit is 5"}},
		"what cannot be seen":   {[]throttle.Reading{unseen}, false, []string{"replica lag cannot be observed: the role cannot see it"}},
		"below, but it has waited": {
			[]throttle.Reading{reading(throttle.OldestTransaction, 9, 10)},
			true,
			[]string{"oldest transaction is 9s, the limit is 10s; it goes on below 8s"},
		},
		"well below, and it has waited": {[]throttle.Reading{reading(throttle.OldestTransaction, 8, 10)}, true, nil},
		"a size":                        {[]throttle.Reading{reading(throttle.Size, 2.5e12, 2e12)}, false, []string{"size is 2.5 TB, the limit is 2 TB"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, throttle.Stops(c.readings, c.waited))
		})
	}
}

// Whatever stops fresh work stops what has waited too: hysteresis never lets more through.
func TestWhatHasWaitedGoesOnNoSooner(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		one := reading(throttle.ActiveSessions, rapid.Float64Range(0, 100).Draw(r, "value"), rapid.Float64Range(1, 100).Draw(r, "max"))
		if len(throttle.Stops([]throttle.Reading{one}, false)) > 0 {
			require.NotEmpty(r, throttle.Stops([]throttle.Reading{one}, true))
		}
	})
}

func TestLanesShrinkByHalfAndGrowByOne(t *testing.T) {
	t.Parallel()
	var l throttle.Lanes
	var seen []int
	step := func(next throttle.Lanes) {
		l = next
		seen = append(seen, l.Of(8))
	}
	step(l)
	for range 4 {
		step(l.Waited(8))
	}
	for range 8 {
		step(l.Went(8))
	}
	require.Equal(t, []int{8, 4, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8}, seen)
	require.Equal(t, 3, throttle.Lanes(7).Of(3), "a person may have set fewer since")
}
