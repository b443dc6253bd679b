package partition

import (
	"math/big"
	"time"
)

// perChunk bounds how many partitions have a chunk in common.
const perChunk = 32

// Chunk names the neighbours among which a partition stands, at most 32 of them: the hours of a day, the days of a month, the
// weeks of half a year, the months of a year, the years of a decade, 32 ranges. It follows from the key alone, so everybody cuts a table
// alike. It is empty for an output that is one partition or a list, and for what is no key.
func (s Scheme) Chunk(k Key) string {
	length := map[By]int{Hour: len("2026-01-31"), Day: len("2026-01"), Week: len("2026"), Month: len("2026"), Year: len("202")}[s.By]
	switch {
	case s.By == Range:
		n, ok := integer(string(k))
		if !ok || s.Size <= 0 {
			return ""
		}
		return s.chunkOf(n).String()
	case length == 0 || len(k) < length:
		return ""
	case s.By == Week:
		if k[length:] < "-W27" {
			return string(k[:length]) + "-H1"
		}
		return string(k[:length]) + "-H2"
	case s.By == Year:
		return string(k[:length]) + "0s"
	}
	return string(k[:length])
}

// chunkOf counts the chunks of ranges from zero on, down to negative ones.
func (s Scheme) chunkOf(n *big.Int) *big.Int {
	width := new(big.Int).Mul(big.NewInt(s.Size), big.NewInt(perChunk))
	return width.Div(n, width) // of a positive divisor, it is the floor
}

// ChunkBounds are the limits of the chunk in which a partition stands. All partitions of the chunk lie within them, and no other. Those of
// integers may be beyond bigint. Both are empty for an output that is one partition or a list.
func (s Scheme) ChunkBounds(k Key) (Bounds, error) {
	g, err := s.grid()
	if err != nil {
		return Bounds{}, err
	}
	p, err := g.parse(k)
	if err != nil {
		return Bounds{}, s.keyFault(string(k), err)
	}
	days, ok := g.(calendar)
	if !ok {
		if s.By == Range {
			return s.rangeChunk(p.number), nil
		}
		return Bounds{}, nil
	}
	first, end := days.chunk(p.wall)
	return Bounds{Lower: literal(days.start(point{wall: first})), Upper: literal(days.start(point{wall: end}))}, nil
}

func (s Scheme) rangeChunk(n *big.Int) Bounds {
	width := new(big.Int).Mul(big.NewInt(s.Size), big.NewInt(perChunk))
	first := new(big.Int).Mul(s.chunkOf(n), width)
	return Bounds{Lower: first.String(), Upper: width.Add(first, width).String()}
}

// chunk is the wall clock at which the chunk of a moment begins, and that at which it ends.
func (g calendar) chunk(wall time.Time) (first, end time.Time) {
	date := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	year, month, day := wall.Date()
	switch g.by {
	case Hour:
		return date(year, month, day), date(year, month, day+1)
	case Month:
		return date(year, time.January, 1), date(year+1, time.January, 1)
	case Year:
		decade := year - year%10
		return date(max(minYear, decade), time.January, 1), date(min(maxYear+1, decade+10), time.January, 1)
	case Week:
		year, week := wall.ISOWeek()
		if week < 27 {
			return monday(year, 1), monday(year, 27)
		}
		return monday(year, 27), monday(year+1, 1)
	default:
		return date(year, month, 1), date(year, month+1, 1)
	}
}

// monday begins a week of an ISO year: 4 January is in week 1 of every one.
func monday(year, week int) time.Time {
	fourth := time.Date(year, time.January, 4, 0, 0, 0, 0, time.UTC)
	return fourth.AddDate(0, 0, (week-1)*7-(int(fourth.Weekday())+6)%7)
}
