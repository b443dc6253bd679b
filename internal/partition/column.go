package partition

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Unfit says why no output can be cut so by a column of a type, as Postgres writes it, and which cast mends it; both are empty where it
// can. What compares as text has no days: '2026-1-5' is after '2026-01-31'.
func (s Scheme) Unfit(columnType string) (why, cast string) {
	kind, _, _ := strings.Cut(columnType, "(")
	if _, zone, ok := strings.Cut(columnType, " with"); ok && kind != columnType { // timestamp(3) with time zone
		kind += " with" + zone
	}
	switch s.By {
	case All:
		return "", ""
	case Range:
		if !slices.Contains([]string{"smallint", "integer", "bigint", "numeric"}, kind) {
			return "column " + s.Column + " is " + columnType + ", and ranges are cut by smallint, integer, bigint or numeric", s.Column + "::bigint"
		}
	case List:
		if !slices.Contains([]string{"text", "character varying", "character", "boolean", "uuid", "smallint", "integer", "bigint", "numeric", "date"}, kind) {
			return "column " + s.Column + " is " + columnType + ", and lists are cut by text, boolean, uuid, date, smallint, integer, bigint or numeric", s.Column + "::text"
		}
	case Hour:
		if !slices.Contains(moments(), kind) {
			return "column " + s.Column + " is " + columnType + ", and hours are cut by timestamp or timestamptz", s.Column + "::timestamptz"
		}
	default:
		if kind != "date" && !slices.Contains(moments(), kind) {
			return "column " + s.Column + " is " + columnType + ", and a " + string(s.By) + " is cut by date, timestamp or timestamptz", s.Column + "::date"
		}
	}
	return "", ""
}

func moments() []string { return []string{"timestamp without time zone", "timestamp with time zone"} }

// Reach says which limits of a range of integers a column of a type can hold; of what is no range it holds both. Where it cannot hold
// the lower one because its type ends before, empty is true: no row can be there.
func (s Scheme) Reach(columnType string, b Bounds) (lower, upper, empty bool) {
	if s.By != Range {
		return true, true, false
	}
	lowest, most, bounded := extremes(columnType)
	low, ok1 := new(big.Int).SetString(b.Lower, 10)
	high, ok2 := new(big.Int).SetString(b.Upper, 10)
	if !ok1 || !ok2 || !bounded {
		return true, true, false
	}
	return low.Cmp(lowest) >= 0, high.Cmp(most) <= 0, low.Cmp(most) > 0 || high.Cmp(lowest) <= 0
}

// extremes are the least and the greatest integer of a type. A numeric without a precision has none.
func extremes(columnType string) (least, most *big.Int, bounded bool) {
	switch columnType {
	case "smallint":
		return big.NewInt(math.MinInt16), big.NewInt(math.MaxInt16), true
	case "integer":
		return big.NewInt(math.MinInt32), big.NewInt(math.MaxInt32), true
	case "bigint":
		return big.NewInt(math.MinInt64), big.NewInt(math.MaxInt64), true
	}
	digits, numeric := strings.CutPrefix(columnType, "numeric(")
	if !numeric {
		return nil, nil, false
	}
	whole, scale, _ := strings.Cut(strings.TrimSuffix(digits, ")"), ",")
	precision, _ := strconv.ParseInt(whole, 10, 64)
	fraction, _ := strconv.ParseInt(scale, 10, 64)
	most = new(big.Int).Exp(big.NewInt(10), big.NewInt(max(0, precision-fraction)), nil)
	most.Sub(most, big.NewInt(1))
	return new(big.Int).Neg(most), most, true
}
