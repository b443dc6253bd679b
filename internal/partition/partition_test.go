package partition_test

import (
	"fmt"
	"math"
	"math/big"
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
		"a year":                        {by(partition.Year, "Europe/Berlin"), "2026", "2026-01-01 00:00:00+01:00", "2027-01-01 00:00:00+01:00"},
		"the first year":                {by(partition.Year, ""), "0001", "0001-01-01 00:00:00+00:00", "0002-01-01 00:00:00+00:00"},
		"a range":                       {ranged(100000), "100000", "100000", "200000"},
		"the range of the last integer": {ranged(100000), "2147400000", "2147400000", "2147500000"},
		"the range of the last bigint":  {ranged(100000), "9223372036854700000", "9223372036854700000", "9223372036854800000"},
		"the range of the first bigint": {ranged(100000), "-9223372036854800000", "-9223372036854800000", "-9223372036854700000"},
		"a list":                        {listOf("web", "store"), "web", "", ""},
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
		"beyond bigint":               {ranged(1), "9223372036854775808", "beyond bigint"},
		"before bigint":               {ranged(1), "-9223372036854775809", "beyond bigint"},
		"a day for a year":            {by(partition.Year, ""), "2026-01-01", "not a key of grain year"},
		"a year of three digits":      {by(partition.Year, ""), "999", "not a key of grain year"},
		"year 0":                      {by(partition.Year, ""), "0000", "out of range"},
		"what no list declares":       {listOf("web", "store"), "phone", "does not declare it"},
		"a piece of what it declares": {listOf("web", "store"), "we", "does not declare it"},
		"another case":                {listOf("web", "store"), "Web", "does not declare it"},
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
		"a day with values":     {partition.Scheme{By: partition.Day, Column: "at", Values: listOf("web").Values}, "only a list has values"},
		"an empty list":         {partition.Scheme{By: partition.List, Column: "channel"}, "the list is empty"},
		"a list with timezone":  {partition.Scheme{By: partition.List, Column: "channel", Timezone: "UTC", Values: listOf("web").Values}, "no size or timezone"},
		"a list of two alike":   {listOf("web", "store", "web"), "two partitions of the list are called web"},
		"names of other case":   {listOf("web", "Web"), "two partitions of the list are called Web"},
		"a value under two names": {
			valued(partition.Value{Key: "a", Text: "1"}, partition.Value{Key: "b", Text: "1"}), "the value of b is in the list twice",
		},
		"NULL under two names":       {valued(partition.Value{Key: "a", Null: true}, partition.Value{Key: "b", Null: true}), "the value of b is in the list twice"},
		"a value that is called all": {listOf("web", "ALL"), `called "all"`},
		"a value that needs a name":  {listOf("web", "north america"), "value 2 of the list needs a name"},
		"a value with a path":        {listOf("../web"), "value 1 of the list needs a name"},
		"an empty value":             {listOf(""), "value 1 of the list needs a name"},
		"a value that is a run ID":   {listOf("0192f0c1-8f6e-7c3a-9a51-0e5d6f7a8b9c"), "value 1 of the list needs a name"},
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
	_, err = ranged(1 << 62).Next("4611686018427387904")
	require.ErrorContains(t, err, "beyond bigint")
	_, err = listOf("web", "store").Next("store")
	require.ErrorContains(t, err, "the list ends there")
	_, err = listOf("web", "store").Prev("web")
	require.ErrorContains(t, err, "the list ends there")
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

	keys, err = listOf("web", "store", "phone").Range("web", "store")
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"web", "store"}, keys, "as they are declared")

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
	require.Equal(t, []partition.Key{"9223372036854700000"}, ranged(100).Latest([]partition.Key{"9223372036854700000", "-9223372036854775900", "0"}, 1))
	require.Equal(t, []partition.Key{"store", "phone"}, listOf("web", "store", "phone").Latest([]partition.Key{"phone", "gone", "store", "web"}, 2), "the latest is declared last")
	require.Equal(t, partition.Key("900"), given[0], "the caller's keys keep their order")
}

func listOf(values ...string) partition.Scheme {
	all := make([]partition.Value, len(values))
	for i, v := range values {
		all[i] = partition.Value{Key: partition.Key(v), Text: v}
	}
	return valued(all...)
}

func valued(all ...partition.Value) partition.Scheme {
	return partition.Scheme{By: partition.List, Column: "channel", Values: partition.NewValues(all...)}
}

// anyScheme draws a scheme and one of its keys, of which some have no neighbour.
func anyScheme(t *rapid.T) (partition.Scheme, partition.Key) {
	grain := rapid.SampledFrom([]partition.By{
		partition.Hour, partition.Day, partition.Week, partition.Month, partition.Year, partition.Range, partition.List,
	}).Draw(t, "by")
	if grain == partition.Range {
		size := rapid.Int64Range(1, math.MaxInt64).Draw(t, "size")
		n := rapid.Int64().Draw(t, "n")
		return ranged(size), partition.Key(strconv.FormatInt(n-n%size, 10))
	}
	if grain == partition.List {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9_-]{0,11}`).Filter(func(s string) bool { return s != "all" }), 1, 40, rapid.ID[string]).Draw(t, "names")
		values := make([]partition.Value, len(names))
		for i, name := range names {
			values[i] = partition.Value{Key: partition.Key(name), Text: rapid.String().Draw(t, "value") + name, Null: i == 3}
		}
		s := valued(values...)
		return s, partition.Key(rapid.SampledFrom(names).Draw(t, "key"))
	}
	s := by(grain, rapid.SampledFrom([]string{
		"", "Europe/Berlin", "America/Havana", "America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe",
		"Pacific/Apia", "Asia/Kathmandu", "Africa/Monrovia", "Antarctica/Troll",
	}).Draw(t, "timezone"))
	hours := rapid.Int64Range(-120*365*24, 80*365*24).Draw(t, "hours since 1970")
	if rapid.Bool().Draw(t, "any year") {
		hours = rapid.Int64Range(-17_259_888, 70_373_376).Draw(t, "hours of any year")
	}
	wall := time.Unix(hours*3600, 0).UTC()
	var text string
	switch grain {
	case partition.Hour:
		text = wall.Format("2006-01-02T15")
	case partition.Day:
		text = wall.Format("2006-01-02")
	case partition.Month:
		text = wall.Format("2006-01")
	case partition.Year:
		text = wall.Format("2006")
	default:
		year, week := wall.ISOWeek()
		text = fmt.Sprintf("%04d-W%02d", year, week)
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
		if err != nil {
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "it is the last")
			return
		}
		mine, err := s.Bounds(k)
		require.NoError(t, err)
		theirs, err := s.Bounds(next)
		require.NoError(t, err)

		require.Equal(t, mine.Upper, theirs.Lower, "the bounds of %s and %s are adjacent", k, next)
		require.Negative(t, s.Compare(k, next))
		if s.By != partition.List {
			require.True(t, before(t, mine.Lower, mine.Upper), "%s is not empty: %v", k, mine)
		}
		back, err := s.Prev(next)
		require.NoError(t, err)
		require.Equal(t, k, back)
	})
}

// before reads two literals as Postgres does for timestamptz and bigint.
func before(t *rapid.T, a, b string) bool {
	if x, ok := new(big.Int).SetString(a, 10); ok {
		y, ok := new(big.Int).SetString(b, 10)
		require.True(t, ok, b)
		return x.Cmp(y) < 0
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
			if err != nil {
				break // it is the last
			}
			want = append(want, next)
		}
		got, err := s.Range(from, want[len(want)-1])
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// Every key that can be written is a partition like any other: it has bounds, it lies in its chunk, and its neighbours meet it.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{
		"2026-01-31", "2026-01-31T05", "2026-W05", "2026-01", "2026", "100000", "-1", "all", "", "0001-W01", "9998-12-31T23", "0001", "9998",
		"9223372036854775807", "-9223372036854775808", "web", "null",
	} {
		f.Add(seed, int64(100000), "Europe/Berlin")
		f.Add(seed, int64(math.MaxInt64), "Pacific/Apia")
		f.Add(seed, int64(1), "")
	}
	f.Fuzz(func(t *testing.T, text string, size int64, zone string) {
		schemes := []partition.Scheme{
			by(partition.Hour, zone), by(partition.Day, zone), by(partition.Week, zone), by(partition.Month, zone), by(partition.Year, zone),
			ranged(size), valued(partition.Value{Key: "web", Text: "Web"}, partition.Value{Key: partition.Key(text), Text: text}, partition.Value{Key: "null", Null: true}),
			{By: partition.All},
		}
		for _, s := range schemes {
			k, err := s.Parse(text)
			if err != nil {
				require.Equal(t, fault.Invalid, fault.ClassOf(err))
				continue
			}
			require.Equal(t, text, string(k), "a key has one spelling")
			typed, err := partition.Typed(text)
			require.NoError(t, err, "a key can be typed")
			require.Equal(t, k, typed)
			held(t, s, k)
		}
	})
}

// held holds one key of a scheme against its neighbours.
func held(t require.TestingT, s partition.Scheme, k partition.Key) {
	own, err := s.Bounds(k)
	require.NoError(t, err)
	chunk, err := s.ChunkBounds(k)
	require.NoError(t, err)
	require.Equal(t, s.Chunk(k) == "", chunk == partition.Bounds{}, "who has no chunk has no bounds of it")
	require.Equal(t, k, s.Latest([]partition.Key{k}, 1)[0])
	if next, err := s.Next(k); err == nil {
		theirs, err := s.Bounds(next)
		require.NoError(t, err)
		require.Equal(t, own.Upper, theirs.Lower)
		require.Negative(t, s.Compare(k, next))
		back, err := s.Prev(next)
		require.NoError(t, err)
		require.Equal(t, k, back)
		beside, err := s.ChunkBounds(next)
		require.NoError(t, err)
		if s.Chunk(next) == s.Chunk(k) {
			require.Equal(t, chunk, beside)
		} else {
			require.Equal(t, own.Upper, chunk.Upper, "a chunk ends with its last partition")
			require.Equal(t, chunk.Upper, beside.Lower)
		}
	}
	if prev, err := s.Prev(k); err == nil {
		next, err := s.Next(prev)
		require.NoError(t, err)
		require.Equal(t, k, next)
	}
}

func TestEveryPartitionMeetsItsNeighboursInItsChunk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, k := anyScheme(t)
		held(t, s, k)
	})
}

func TestAMomentLiesInItsYear(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC)
	k, err := by(partition.Year, "Europe/Berlin").Of(at, 0)
	require.NoError(t, err)
	require.Equal(t, partition.Key("2027"), k)
	k, err = by(partition.Year, "").Of(at, 0)
	require.NoError(t, err)
	require.Equal(t, partition.Key("2026"), k)
	_, err = listOf("web").Of(at, 0)
	require.ErrorContains(t, err, "have no time")
}
