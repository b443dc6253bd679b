package partition_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
)

func TestAPartitionStandsInAChunk(t *testing.T) {
	t.Parallel()
	day := partition.Scheme{By: partition.Day, Column: "at"}
	berlin := day
	berlin.Timezone = "Europe/Berlin"
	for name, c := range map[string]struct {
		scheme partition.Scheme
		key    partition.Key
		chunk  string
		bounds partition.Bounds
	}{
		"a day in its month":        {day, "2028-02-29", "2028-02", partition.Bounds{Lower: "2028-02-01 00:00:00+00:00", Upper: "2028-03-01 00:00:00+00:00"}},
		"by the clocks of its zone": {berlin, "2026-03-31", "2026-03", partition.Bounds{Lower: "2026-03-01 00:00:00+01:00", Upper: "2026-04-01 00:00:00+02:00"}},
		"the last day of all":       {day, "9998-12-31", "9998-12", partition.Bounds{Lower: "9998-12-01 00:00:00+00:00", Upper: "9999-01-01 00:00:00+00:00"}},
		"an hour in its day": {
			partition.Scheme{By: partition.Hour, Column: "at"},
			"2026-12-31T23", "2026-12-31",
			partition.Bounds{Lower: "2026-12-31 00:00:00+00:00", Upper: "2027-01-01 00:00:00+00:00"},
		},
		"a week in the first half": {
			partition.Scheme{By: partition.Week, Column: "at"},
			"2026-W01", "2026-H1",
			partition.Bounds{Lower: "2025-12-29 00:00:00+00:00", Upper: "2026-06-29 00:00:00+00:00"},
		},
		"a week in the second half": {
			partition.Scheme{By: partition.Week, Column: "at"},
			"2026-W53", "2026-H2",
			partition.Bounds{Lower: "2026-06-29 00:00:00+00:00", Upper: "2027-01-04 00:00:00+00:00"},
		},
		"a month in its year": {
			partition.Scheme{By: partition.Month, Column: "at"},
			"2026-07", "2026",
			partition.Bounds{Lower: "2026-01-01 00:00:00+00:00", Upper: "2027-01-01 00:00:00+00:00"},
		},
		"a range":                   {ranges(100), "6300", "1", partition.Bounds{Lower: "3200", Upper: "6400"}},
		"the range before zero":     {ranges(100), "-100", "-1", partition.Bounds{Lower: "-3200", Upper: "0"}},
		"a range far below":         {ranges(100), "-3300", "-2", partition.Bounds{Lower: "-6400", Upper: "-3200"}},
		"where a bigint ends":       {ranges(1), key(math.MaxInt64), strconv.FormatInt(math.MaxInt64/32, 10), partition.Bounds{Lower: strconv.FormatInt(math.MaxInt64-31, 10), Upper: "9223372036854775808"}},
		"ranges wider than a chunk": {ranges(1 << 61), key(1 << 61), "0", partition.Bounds{Lower: "0", Upper: "73786976294838206464"}},
		"where a bigint begins":     {ranges(3 << 60), "-10376293541461622784", "-1", partition.Bounds{Lower: "-110680464442257309696", Upper: "0"}},
		"a year in its decade": {
			partition.Scheme{By: partition.Year, Column: "at"},
			"2026", "2020s",
			partition.Bounds{Lower: "2020-01-01 00:00:00+00:00", Upper: "2030-01-01 00:00:00+00:00"},
		},
		"the first decade has no year 0": {
			partition.Scheme{By: partition.Year, Column: "at"},
			"0009", "0000s",
			partition.Bounds{Lower: "0001-01-01 00:00:00+00:00", Upper: "0010-01-01 00:00:00+00:00"},
		},
		"the last decade ends with the last year": {
			partition.Scheme{By: partition.Year, Column: "at"},
			"9998", "9990s",
			partition.Bounds{Lower: "9990-01-01 00:00:00+00:00", Upper: "9999-01-01 00:00:00+00:00"},
		},
		"a list has none": {listOf("web", "store"), "web", "", partition.Bounds{}},
		"one partition":   {partition.Scheme{By: partition.All}, partition.AllKey, "", partition.Bounds{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.chunk, c.scheme.Chunk(c.key))
			bounds, err := c.scheme.ChunkBounds(c.key)
			require.NoError(t, err)
			require.Equal(t, c.bounds, bounds)
		})
	}
	_, err := day.ChunkBounds("2026-02-30")
	require.Error(t, err)
	require.Empty(t, day.Chunk("2026"), "it is no key")
}

func ranges(size int64) partition.Scheme {
	return partition.Scheme{By: partition.Range, Column: "id", Size: size}
}

func key(n int64) partition.Key { return partition.Key(strconv.FormatInt(n, 10)) }

// Whoever cuts a table must cut it where partitions meet: else one would lie in two chunks.
func TestChunksMeetWherePartitionsMeet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scheme partition.Scheme
		from   partition.Key
		n      int
	}{
		"hours over changes of the clocks": {partition.Scheme{By: partition.Hour, Column: "at", Timezone: "Europe/Berlin"}, "2026-03-01T00", 6000},
		"days that a zone skips":           {partition.Scheme{By: partition.Day, Column: "at", Timezone: "Pacific/Apia"}, "2011-11-01", 100},
		"days of leap years":               {partition.Scheme{By: partition.Day, Column: "at"}, "1999-12-01", 1500},
		"weeks":                            {partition.Scheme{By: partition.Week, Column: "at"}, "2019-W50", 700},
		"months":                           {partition.Scheme{By: partition.Month, Column: "at", Timezone: "America/New_York"}, "1990-01", 500},
		"years":                            {partition.Scheme{By: partition.Year, Column: "at", Timezone: "Europe/Berlin"}, "0001", 2500},
		"ranges":                           {ranges(7), "-7000", 2000},
		"ranges to the end of a bigint":    {ranges(1 << 57), "-9223372036854775808", 127},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, members := c.from, 0
			chunk, bounds := c.scheme.Chunk(k), partition.Bounds{}
			for range c.n {
				own, err := c.scheme.Bounds(k)
				require.NoError(t, err)
				in, err := c.scheme.ChunkBounds(k)
				require.NoError(t, err)
				if next := c.scheme.Chunk(k); next != chunk {
					require.Equal(t, bounds.Upper, in.Lower, "%s follows %s", next, chunk)
					require.Equal(t, in.Lower, own.Lower, "%s begins with %s", next, k)
					chunk, members = next, 0
				} else if members > 0 {
					require.Equal(t, bounds, in)
				}
				bounds, members = in, members+1
				require.LessOrEqual(t, members, 32, "in %s", chunk)
				k, err = c.scheme.Next(k)
				require.NoError(t, err)
			}
		})
	}
}
