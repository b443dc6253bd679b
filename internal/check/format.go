package check

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// FormatBytes is a size as people read it.
func FormatBytes(n int64) string {
	value, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB"}
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.3g %s", value, units[unit])
}

// FormatCount groups thousands: 2,031.
func FormatCount(n int64) string { return group(strconv.FormatInt(n, 10)) }

// FormatNumber prints a measured number with at most six decimals, and groups thousands.
func FormatNumber(v float64) string {
	if math.Abs(v) >= 1e15 || v != 0 && math.Abs(v) < 1e-6 {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	text := strconv.FormatFloat(v, 'f', 6, 64)
	return group(strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
}

// FormatPercent prints a fraction with four significant digits: 0.202858 is "20.29 %". A change from zero has no
// percentage.
func FormatPercent(fraction float64) string {
	if math.IsInf(fraction, 0) || math.IsNaN(fraction) {
		return "from zero"
	}
	percent := fraction * 100
	decimals := 3
	if percent != 0 {
		decimals = min(max(3-int(math.Floor(math.Log10(math.Abs(percent)))), 0), 9)
	}
	text := strconv.FormatFloat(percent, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return group(text) + " %"
}

func group(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	var b strings.Builder
	b.WriteString(sign)
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	if fraction != "" {
		b.WriteString("." + fraction)
	}
	return b.String()
}
