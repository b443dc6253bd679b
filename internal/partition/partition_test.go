package partition_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
)

func by(grain partition.By, timezone string) partition.Scheme {
	return partition.Scheme{By: grain, Column: "at", Timezone: timezone}
}

func ranged(size int64) partition.Scheme {
	return partition.Scheme{By: partition.Range, Column: "id", Size: size}
}

func TestBoundsAreLiteralsOfTheTimezone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		scheme       partition.Scheme
		key          partition.Key
		lower, upper string
	}{
		"a day in UTC":                  {by(partition.Day, ""), "2026-01-31", "2026-01-31 00:00:00+00:00", "2026-02-01 00:00:00+00:00"},
		"a day in Berlin":               {by(partition.Day, "Europe/Berlin"), "2026-01-31", "2026-01-31 00:00:00+01:00", "2026-02-01 00:00:00+01:00"},
		"a day of 23 hours":             {by(partition.Day, "Europe/Berlin"), "2026-03-29", "2026-03-29 00:00:00+01:00", "2026-03-30 00:00:00+02:00"},
		"a day of 25 hours":             {by(partition.Day, "Europe/Berlin"), "2026-10-25", "2026-10-25 00:00:00+02:00", "2026-10-26 00:00:00+01:00"},
		"a day without midnight":        {by(partition.Day, "America/Sao_Paulo"), "2018-11-04", "2018-11-04 01:00:00-02:00", "2018-11-05 00:00:00-02:00"},
		"a day that begins twice":       {by(partition.Day, "America/Havana"), "2026-11-01", "2026-11-01 00:00:00-04:00", "2026-11-02 00:00:00-05:00"},
		"the hour before a gap":         {by(partition.Hour, "Europe/Berlin"), "2026-03-29T01", "2026-03-29 01:00:00+01:00", "2026-03-29 03:00:00+02:00"},
		"the hour after a gap":          {by(partition.Hour, "Europe/Berlin"), "2026-03-29T03", "2026-03-29 03:00:00+02:00", "2026-03-29 04:00:00+02:00"},
		"a repeated hour is one of two": {by(partition.Hour, "Europe/Berlin"), "2026-10-25T02", "2026-10-25 02:00:00+02:00", "2026-10-25 03:00:00+01:00"},
		"an hour half skipped":          {by(partition.Hour, "Australia/Lord_Howe"), "2026-10-04T02", "2026-10-04 02:30:00+11:00", "2026-10-04 03:00:00+11:00"},
		"a week over the new year":      {by(partition.Week, "Europe/Berlin"), "2026-W53", "2026-12-28 00:00:00+01:00", "2027-01-04 00:00:00+01:00"},
		"a week with a change":          {by(partition.Week, "Europe/Berlin"), "2026-W13", "2026-03-23 00:00:00+01:00", "2026-03-30 00:00:00+02:00"},
		"a month":                       {by(partition.Month, "Asia/Kolkata"), "2026-02", "2026-02-01 00:00:00+05:30", "2026-03-01 00:00:00+05:30"},
		"the end of a far leap year":    {by(partition.Day, "Europe/Berlin"), "2040-12-31", "2040-12-31 00:00:00+01:00", "2041-01-01 00:00:00+01:00"},
		"an offset with seconds":        {by(partition.Day, "Europe/Berlin"), "1880-01-01", "1880-01-01 00:00:00+00:53:28", "1880-01-02 00:00:00+00:53:28"},
		"a range":                       {ranged(100000), "100000", "100000", "200000"},
		"a negative range":              {ranged(10), "-10", "-10", "0"},
		"all":                           {partition.Scheme{By: partition.All}, "all", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.scheme.Bounds(tc.key)
			require.NoError(t, err)
			require.Equal(t, partition.Bounds{Lower: tc.lower, Upper: tc.upper}, got)
		})
	}
}

func TestParseRefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		scheme partition.Scheme
		text   string
		reason string
	}{
		"another spelling":            {by(partition.Day, ""), "2026-1-31", "not a key of grain day"},
		"a day that is none":          {by(partition.Day, ""), "2026-02-30", "not a key of grain day"},
		"a day for an hour":           {by(partition.Hour, ""), "2026-01-31", "not a key of grain hour"},
		"week 53 of a short year":     {by(partition.Week, ""), "2027-W53", "not a key of grain week"},
		"week 0":                      {by(partition.Week, ""), "2026-W00", "not a key of grain week"},
		"an hour that is skipped":     {by(partition.Hour, "Europe/Berlin"), "2026-03-29T02", "no such hour in Europe/Berlin"},
		"a day that is skipped":       {by(partition.Day, "Pacific/Apia"), "2011-12-30", "no such day in Pacific/Apia"},
		"a year without its neighbor": {by(partition.Day, ""), "9999-12-31", "out of range"},
		"inside a range":              {ranged(100), "150", "not the lower bound"},
		"a signed zero":               {ranged(100), "-0", "not an integer"},
		"beyond bigint":               {ranged(1), strconv.Itoa(1<<63 - 1), "beyond bigint"},
		"a key for all":               {partition.Scheme{By: partition.All}, "2026-01-31", "one partition"},
		"nothing":                     {by(partition.Month, ""), "", "not a key of grain month"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tc.scheme.Parse(tc.text)
			require.ErrorContains(t, err, tc.reason)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
}

func TestValidateRefusesAnImpossibleScheme(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		scheme partition.Scheme
		reason string
	}{
		"no grain":              {partition.Scheme{Column: "at"}, "unknown grain"},
		"no column":             {partition.Scheme{By: partition.Day}, "column is missing"},
		"a range without size":  {ranged(0), "range must be 1 or more"},
		"a range with timezone": {partition.Scheme{By: partition.Range, Column: "id", Size: 1, Timezone: "UTC"}, "no timezone"},
		"an unknown timezone":   {by(partition.Day, "Europe/Berlim"), `unknown timezone "Europe/Berlim"`},
		"the local timezone":    {by(partition.Day, "Local"), "differs between machines"},
		"all with a column":     {partition.Scheme{By: partition.All, Column: "at"}, "no column"},
		"a day with a size":     {partition.Scheme{By: partition.Day, Column: "at", Size: 1}, "no size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.scheme.Validate()
			require.ErrorContains(t, err, tc.reason)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
		})
	}
}

func TestNeighboursPassOverSkippedPartitions(t *testing.T) {
	t.Parallel()
	hours := by(partition.Hour, "Europe/Berlin")
	next, err := hours.Next("2026-03-29T01")
	require.NoError(t, err)
	require.Equal(t, partition.Key("2026-03-29T03"), next)
	prev, err := hours.Prev("2026-03-29T03")
	require.NoError(t, err)
	require.Equal(t, partition.Key("2026-03-29T01"), prev)

	_, err = partition.Scheme{By: partition.All}.Next(partition.AllKey)
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	_, err = by(partition.Day, "").Prev("0001-01-01")
	require.ErrorContains(t, err, "out of the calendar")
	_, err = ranged(1 << 62).Prev("-9223372036854775808")
	require.ErrorContains(t, err, "beyond bigint")
	_, err = ranged(1 << 62).Next("0")
	require.ErrorContains(t, err, "beyond bigint")
}

func TestRange(t *testing.T) {
	t.Parallel()
	days := by(partition.Day, "")
	keys, err := days.Range("2026-01-30", "2026-02-02")
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"}, keys)

	keys, err = partition.Scheme{By: partition.All}.Range(partition.AllKey, partition.AllKey)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{partition.AllKey}, keys)

	_, err = days.Range("2026-02-01", "2026-01-31")
	require.ErrorContains(t, err, "the first key is after the last")
	_, err = ranged(1).Range("0", "100000")
	require.ErrorContains(t, err, "more than 100000 partitions")
	keys, err = ranged(1).Range("1", "100000")
	require.NoError(t, err)
	require.Len(t, keys, 100_000)
}

func TestLatestSortsByWhereAPartitionBegins(t *testing.T) {
	t.Parallel()
	given := []partition.Key{"900", "1000", "-100", "1000", "0"}
	require.Equal(t, []partition.Key{"900", "1000"}, ranged(100).Latest(given, 2))
	require.Equal(t, []partition.Key{"-100", "0", "900", "1000"}, ranged(100).Latest(given, 9))
	require.Empty(t, ranged(100).Latest(given, 0))
	require.Equal(t, partition.Key("900"), given[0], "the caller's keys keep their order")
}

// anyScheme draws a scheme and one of its keys.
func anyScheme(t *rapid.T) (partition.Scheme, partition.Key) {
	grain := rapid.SampledFrom([]partition.By{partition.Hour, partition.Day, partition.Week, partition.Month, partition.Range}).Draw(t, "by")
	if grain == partition.Range {
		size := rapid.Int64Range(1, 1<<40).Draw(t, "size")
		n := rapid.Int64Range(-1<<20, 1<<20).Draw(t, "n")
		return ranged(size), partition.Key(strconv.FormatInt(n*size, 10))
	}
	s := by(grain, rapid.SampledFrom([]string{
		"", "Europe/Berlin", "America/Havana", "America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe",
		"Pacific/Apia", "Asia/Kathmandu", "Africa/Monrovia", "Antarctica/Troll",
	}).Draw(t, "timezone"))
	hours := rapid.Int64Range(-120*365*24, 80*365*24).Draw(t, "hours since 1970")
	wall := time.Unix(hours*3600, 0).UTC()
	var text string
	switch grain {
	case partition.Hour:
		text = wall.Format("2006-01-02T15")
	case partition.Day:
		text = wall.Format("2006-01-02")
	case partition.Month:
		text = wall.Format("2006-01")
	default:
		year, week := wall.ISOWeek()
		text = strconv.Itoa(year) + "-W" + strconv.Itoa(100 + week)[1:]
	}
	k, err := s.Parse(text)
	if err != nil {
		require.ErrorContains(t, err, "the clocks skip it")
		t.Skip("not a partition")
	}
	return s, k
}

func TestConsecutiveKeysCoverOnceAndInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, k := anyScheme(t)
		next, err := s.Next(k)
		require.NoError(t, err)
		mine, err := s.Bounds(k)
		require.NoError(t, err)
		theirs, err := s.Bounds(next)
		require.NoError(t, err)

		require.Equal(t, mine.Upper, theirs.Lower, "the bounds of %s and %s are adjacent", k, next)
		require.Negative(t, s.Compare(k, next))
		require.True(t, before(t, mine.Lower, mine.Upper), "%s is not empty: %v", k, mine)
		back, err := s.Prev(next)
		require.NoError(t, err)
		require.Equal(t, k, back)
	})
}

// before reads two literals as Postgres does for timestamptz and bigint.
func before(t *rapid.T, a, b string) bool {
	if x, err := strconv.ParseInt(a, 10, 64); err == nil {
		y, err := strconv.ParseInt(b, 10, 64)
		require.NoError(t, err)
		return x < y
	}
	return instant(t, a).Before(instant(t, b))
}

func instant(t *rapid.T, literal string) time.Time {
	got, err := time.Parse("2006-01-02 15:04:05-07:00", literal)
	if err != nil {
		got, err = time.Parse("2006-01-02 15:04:05-07:00:00", literal)
	}
	require.NoError(t, err)
	return got
}

func TestParseRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, k := anyScheme(t)
		again, err := s.Parse(string(k))
		require.NoError(t, err)
		require.Equal(t, k, again)
	})
}

func TestRangeIsWhatNextWalks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, from := anyScheme(t)
		want := []partition.Key{from}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			next, err := s.Next(want[len(want)-1])
			require.NoError(t, err)
			want = append(want, next)
		}
		got, err := s.Range(from, want[len(want)-1])
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"2026-01-31", "2026-01-31T05", "2026-W05", "2026-01", "100000", "-1", "all", "", "0001-W01", "9998-12-31T23"} {
		f.Add(seed, int64(100000))
	}
	f.Fuzz(func(t *testing.T, text string, size int64) {
		schemes := []partition.Scheme{
			by(partition.Hour, "Europe/Berlin"), by(partition.Day, "Pacific/Apia"), by(partition.Week, ""),
			by(partition.Month, "America/St_Johns"), ranged(size),
			{By: partition.All},
		}
		for _, s := range schemes {
			k, err := s.Parse(text)
			if err != nil {
				require.Equal(t, fault.Invalid, fault.ClassOf(err))
				continue
			}
			require.Equal(t, text, string(k), "a key has one spelling")
			_, err = s.Bounds(k)
			require.NoError(t, err, "a key that parses has bounds")
		}
	})
}
