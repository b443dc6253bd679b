package check

import (
	"math"
	"slices"
)

// noise is the relative change below which two numbers are the same: the last digits of a floating-point sum depend
// on the order in which the rows were read.
const noise = 1e-12

// Change is the relative change from base to value, either way. From zero every change is infinite: no percentage of
// zero allows it.
func Change(base, value float64) float64 {
	difference := math.Abs(value - base)
	if difference <= noise*math.Max(math.Abs(base), math.Abs(value)) {
		return 0
	}
	return difference / math.Abs(base) // base 0: +Inf
}

// Exceeds says whether a change or a share is over its limit; one that equals it, but for rounding, is within.
func Exceeds(value, limit float64) bool { return value > limit+noise }

// Share is part of whole. Of nothing, nothing is no share at all and something is infinite.
func Share(part, whole int64) float64 {
	if part == 0 {
		return 0
	}
	return float64(part) / float64(whole) // whole 0: +Inf
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
