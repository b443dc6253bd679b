package main

import (
	"math"
	"slices"
	"time"
)

// sample is durations that were measured in one run.
type sample []time.Duration

func (s sample) median() time.Duration { return median(s) }

// percentile is the smallest one that at least p of a hundred do not exceed.
func (s sample) percentile(p float64) time.Duration {
	ascending := slices.Sorted(slices.Values(s))
	return ascending[max(int(math.Ceil(p/100*float64(len(ascending))))-1, 0)]
}

// median is the middle one, or the mean of the two in the middle.
func median[T ~int64 | ~float64](values []T) T {
	ascending := slices.Sorted(slices.Values(values))
	n := len(ascending)
	return (ascending[(n-1)/2] + ascending[n/2]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// clock is a stopwatch: it returns what has passed since it was made.
func clock() func() time.Duration {
	started := time.Now()
	return func() time.Duration { return time.Since(started) }
}
