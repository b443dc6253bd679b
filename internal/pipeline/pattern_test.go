package pipeline_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

func by(grain partition.By) partition.Scheme {
	s := partition.Scheme{By: grain, Column: "at"}
	if grain == partition.Range {
		s.Size = 100
	}
	return s
}

func TestTheNameOfAFileSaysItsPartitionAndItsParts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file   string
		by     partition.By
		path   string
		key    partition.Key // empty: it is not read
		values map[string]string
	}{
		"a key":                                {"o_@partition.csv", partition.Day, "o_2026-01-31.csv", "2026-01-31", nil},
		"a key in a folder":                    {"@partition/o.csv", partition.Day, "2026-01-31/o.csv", "2026-01-31", nil},
		"a key before an underscore":           {"@partition_*.csv", partition.Day, "2026-01-31_a_b.csv", "2026-01-31", nil},
		"a key twice":                          {"@partition/o_@partition.csv", partition.Day, "2026-01-31/o_2026-01-31.csv", "2026-01-31", nil},
		"two keys":                             {"@partition/o_@partition.csv", partition.Day, "2026-01-31/o_2026-01-30.csv", "", nil},
		"a range":                              {"o_@partition.csv", partition.Range, "o_200.csv", "200", nil},
		"no lower bound":                       {"o_@partition.csv", partition.Range, "o_250.csv", "", nil},
		"a date":                               {"o_{date:%Y%m%d}.csv", partition.Day, "o_20260131.csv", "2026-01-31", nil},
		"a date with its own text":             {"o_{date:%d.%m.%Y}.csv", partition.Day, "o_31.01.2026.csv", "2026-01-31", nil},
		"no such date":                         {"o_{date:%Y%m%d}.csv", partition.Day, "o_20260230.csv", "", nil},
		"a date of fewer digits":               {"o_{date:%Y%m%d}.csv", partition.Day, "o_2026131.csv", "", nil},
		"digits of another script":             {"o_{date:%Y}.csv", partition.Month, "o_２０２６.csv", "", nil},
		"a date over folders":                  {"y={date:%Y}/m={date:%m}/{date:%d}.csv", partition.Day, "y=2026/m=01/31.csv", "2026-01-31", nil},
		"dates that agree":                     {"{date:%Y}/{date:%m}/o_{date:%Y%m%d}.csv", partition.Day, "2026/01/o_20260131.csv", "2026-01-31", nil},
		"dates that contradict each other":     {"{date:%Y}/{date:%m}/o_{date:%Y%m%d}.csv", partition.Day, "2026/02/o_20260131.csv", "", nil},
		"a key and a date that agree":          {"{date:%Y}/o_@partition.csv", partition.Day, "2026/o_2026-01-31.csv", "2026-01-31", nil},
		"a key and another date":               {"{date:%Y}/o_@partition.csv", partition.Day, "2025/o_2026-01-31.csv", "", nil},
		"a day of the year":                    {"{date:%Y-%j}.csv", partition.Day, "2024-366.csv", "2024-12-31", nil},
		"no such day of the year":              {"{date:%Y-%j}.csv", partition.Day, "2026-366.csv", "", nil},
		"an hour":                              {"{date:%Y%m%d}/{date:%H}.csv", partition.Hour, "20260131/05.csv", "2026-01-31T05", nil},
		"no such hour":                         {"{date:%Y%m%d%H}.csv", partition.Hour, "2026013124.csv", "", nil},
		"an hour within its day":               {"{date:%Y%m%d%H}.csv", partition.Day, "2026013105.csv", "2026-01-31", nil},
		"no such hour of a day":                {"{date:%Y%m%d%H}.csv", partition.Day, "2026013199.csv", "", nil},
		"an ISO week":                          {"{date:%G-W%V}.csv", partition.Week, "2026-W01.csv", "2026-W01", nil},
		"no such week":                         {"{date:%G-W%V}.csv", partition.Week, "2025-W53.csv", "", nil},
		"a day within its week":                {"{date:%Y%m%d}.csv", partition.Week, "20251229.csv", "2026-W01", nil},
		"a month":                              {"{date:%Y-%m}.csv", partition.Month, "2026-01.csv", "2026-01", nil},
		"no such month":                        {"{date:%Y-%m}.csv", partition.Month, "2026-13.csv", "", nil},
		"a day within its month":               {"{date:%Y%m%d}.csv", partition.Month, "20260131.csv", "2026-01", nil},
		"no day of its month":                  {"{date:%Y%m%d}.csv", partition.Month, "20260132.csv", "", nil},
		"a store":                              {"stores/*/sales_{store}_{date:%Y%m%d}.csv", partition.Day, "stores/north/sales_a_7_20260131.csv", "2026-01-31", map[string]string{"store": "a_7"}},
		"a store twice":                        {"{store}/sales_{store}_{date:%Y%m%d}.csv", partition.Day, "7/sales_7_20260131.csv", "2026-01-31", map[string]string{"store": "7"}},
		"two stores":                           {"{store}/sales_{store}_{date:%Y%m%d}.csv", partition.Day, "7/sales_8_20260131.csv", "", nil},
		"a store of no text":                   {"sales_{store}_@partition.csv", partition.Day, "sales__2026-01-31.csv", "", nil},
		"a store in other letters":             {"sales_{store}_@partition.csv", partition.Day, "sales_Köln_2026-01-31.csv", "2026-01-31", map[string]string{"store": "Köln"}},
		"a store that could be read otherwise": {"{store}_{till}_@partition.csv", partition.Day, "a_b_c_2026-01-31.csv", "", nil},
		"a star that leaves no doubt":          {"*_{till}_@partition.csv", partition.Day, "a_b_2026-01-31.csv", "2026-01-31", map[string]string{"till": "b"}},
		"a star that leaves a doubt":           {"*-*-{till}-*_@partition.csv", partition.Day, "a-b-c-d-e_2026-01-31.csv", "", nil},
		"one character":                        {"o_?_@partition.csv", partition.Day, "o_ö_2026-01-31.csv", "2026-01-31", nil},
		"two for one":                          {"o_?_@partition.csv", partition.Day, "o_ab_2026-01-31.csv", "", nil},
		"one of some":                          {"o_[0-9]_@partition.csv", partition.Day, "o_7_2026-01-31.csv", "2026-01-31", nil},
		"none of some":                         {"o_[^0-9]_@partition.csv", partition.Day, "o_7_2026-01-31.csv", "", nil},
		"a character itself":                   {"o_[*][{]_@partition.csv", partition.Day, "o_*{_2026-01-31.csv", "2026-01-31", nil},
		"a hidden file":                        {"*_@partition.csv", partition.Day, ".o_2026-01-31.csv", "", nil},
		"a hidden store":                       {"{store}/@partition.csv", partition.Day, ".trash/2026-01-31.csv", "", nil},
		"another depth":                        {"*/@partition.csv", partition.Day, "a/b/2026-01-31.csv", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := pipeline.ParsePattern(c.file)
			require.NoError(t, err)
			r, ok := p.Read(c.path)
			var key partition.Key
			if ok {
				key, ok = r.Key(by(c.by))
			}
			require.Equal(t, c.key != "", ok)
			require.Equal(t, c.key, key)
			if !ok {
				return
			}
			require.Subset(t, r.Values, c.values)
			require.Len(t, r.Values, len(c.values))
			require.True(t, r.In(c.key))
			for i, name := range strings.Split(c.path, "/") {
				require.True(t, p.For(c.key).Fits(i, name), "%s is not looked for: %s", c.path, p.For(c.key))
			}
			next, err := by(c.by).Next(c.key)
			require.NoError(t, err)
			require.False(t, r.In(next))
		})
	}
}

func TestAPatternThatCouldMeanSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	for file, says := range map[string]string{
		"o_{date}.csv":          "does not say how the date is written",
		"o_{date:}.csv":         "has no year",
		"o_{date:%y%m%d}.csv":   "%y is not read",
		"o_{date:%Y%W}.csv":     "%W is not read",
		"o_{date:%Y%m%d%M}.csv": "%M is not read",
		"o_{date:%":             "not closed",
		"o_{date:%}.csv":        "% is not read",
		"o_{date:%Y*}.csv":      "only % and plain text",
		"o_{date:%m%d}.csv":     "a month without its year",
		"o_{date:%Y%d}.csv":     "a day without its month",
		"o_{date:%V}.csv":       "an ISO week without its year",
		"o_{date:%G%m}.csv":     "without its",
		"o_{date:%Y%m%H}.csv":   "an hour without its day",
		"o_{Store}.csv":         "is no name",
		"o_{}.csv":              "is no name",
		"o_{a/b}.csv":           "not closed before the next slash",
		"o_}.csv":               "closes nothing",
		"o_**.csv":              "any depth",
		"o_[a.csv":              "is not closed",
		"o_[!a].csv":            "no class",
		"o_[].csv":              "no class",
		"o_@day.csv":            "unknown placeholder @day",
		"o_@partition_end.csv":  "unknown placeholder @partition_end",
		"o_{a}{b}.csv":          "nothing says where {a} ends",
		"o_{a}*.csv":            "nothing says where {a} ends",
		"o_@partition{a}.csv":   "nothing says where @partition ends",
	} {
		_, err := pipeline.ParsePattern(file)
		require.ErrorContains(t, err, says, file)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), file)
		require.NotEmpty(t, fault.HintOf(err), file)
	}
}

// readings finds all ways to read a name by trying them: what stands for each piece of a pattern without dates.
func readings(pattern, name string, found []string, each func([]string)) {
	switch {
	case pattern == "":
		if name == "" {
			each(found)
		}
	case pattern[0] == '*':
		for end := 0; end <= len(name); end++ {
			readings(pattern[1:], name[end:], found, each)
		}
	case pattern[0] == '{':
		end := strings.IndexByte(pattern, '}')
		for n := 1; n <= len(name); n++ {
			readings(pattern[end+1:], name[n:], append(slices.Clip(found), name[:n]), each)
		}
	case name != "" && (pattern[0] == '?' || pattern[0] == name[0]):
		readings(pattern[1:], name[1:], found, each)
	}
}

// FuzzPattern holds what is read of a name against every way in which it could be, tried one by one.
func FuzzPattern(f *testing.F) {
	f.Add("*_{a}_{b}.c", "x_y_z.c")
	f.Add("{a}?{b}*", "abc")
	f.Add("{a}\x00{b}", "0\x00\x000")
	f.Add("stores/*/sales_{store}_{date:%Y%m%d}.csv", "stores/a/sales_7_20260131.csv")
	f.Add("{date:%Y}/o_@partition_[^x]*.csv", "2026/o_2026-01-31_y.csv")
	f.Fuzz(func(t *testing.T, file, name string) {
		p, err := pipeline.ParsePattern(file)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			return
		}
		again, err := pipeline.ParsePattern(p.String())
		require.NoError(t, err, "%q", p)
		require.Equal(t, p, again)
		r, ok := p.Read(name)
		if ok {
			k, of := r.Key(by(partition.Day))
			for i, part := range strings.Split(name, "/") {
				require.True(t, !of || p.For(k).Fits(i, part))
				require.True(t, p.Fits(i, part))
				require.True(t, p.Like(i, part))
			}
		}
		if strings.Count(file, "*")+strings.Count(file, "{") > 5 || strings.ContainsAny(file, "/@[") || strings.Contains(file, "{date") || strings.Contains(name, "/") || len(name) > 12 || len(file) > 24 || !ascii(name) || path.Clean(file) != file {
			return
		}
		seen := map[string]bool{}
		readings(file, name, nil, func(found []string) { seen[fmt.Sprintf("%q", found)] = true })
		hidden := strings.HasPrefix(name, ".") && !strings.HasPrefix(file, ".")
		if strings.Count(file, "{") > len(p.Parts()) { // a part that is named twice has to say the same
			require.True(t, !ok || len(seen) == 1, "ways to read it: %q", seen)
			return
		}
		require.Equal(t, len(seen) == 1 && !hidden, ok, "ways to read it: %q", seen)
	})
}

func ascii(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) }
