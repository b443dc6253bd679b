package turnback_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	tenure := func(n int64, v string, kind release.TenureKind, change ...func(*release.Tenure)) release.Tenure {
		out := release.Tenure{Number: n, Release: version(v), Config: "config", Kind: kind, Activated: true}
		if v != "" {
			out.Release.Digest = "sha256:" + v[:1] + "0" + v[2:3] + "0aaaabbbb"
		}
		for _, c := range change {
			c(&out)
		}
		return out
	}
	deployed := func(n int64, v string, change ...func(*release.Tenure)) release.Tenure {
		return tenure(n, v, release.ByDeployment, change...)
	}
	back := func(n int64, v string, to int64) release.Tenure {
		return tenure(n, v, release.ByTurnBack, func(t *release.Tenure) { t.Back = to })
	}
	never := func(t *release.Tenure) { t.Activated = false }
	tried := func(n int64, digest string) release.Tenure {
		r := release.Release{Pipeline: "shop", Version: "1.4.0", Digest: digest}
		return deployed(n, "1.4.0", func(t *release.Tenure) { t.Release = r.As("") })
	}
	const a, b = "sha256:aaaaaaaa01", "sha256:bbbbbbbb02"
	built := deployed(9, "1.4.0", func(t *release.Tenure) { t.Release.Digest = a })
	cases := map[string]struct {
		tenures  []release.Tenure
		active   int64
		to       string
		expected int64 // 0: refused
	}{
		"the one before":                               {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), deployed(3, "1.2.0")}, 3, "", 2},
		"in any order":                                 {[]release.Tenure{deployed(3, "1.2.0"), deployed(1, "1.0.0"), deployed(2, "1.1.0")}, 3, "", 2},
		"one that never became active is none":         {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0", never), deployed(3, "1.2.0")}, 3, "", 1},
		"a later one that never became active is none": {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), deployed(3, "1.2.0", never)}, 2, "", 1},
		"a turn-back before is one":                    {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), back(3, "1.0.0", 1), deployed(4, "1.2.0")}, 4, "", 3},
		"after a rollback it is not guessed":           {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), back(3, "1.0.0", 1)}, 3, "", 0},
		"a rollback of a rollback":                     {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), back(3, "1.0.0", 1)}, 3, "1.1.0", 2},
		"the active one finishes what was left":        {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), back(3, "1.0.0", 1)}, 3, "1.0.0", 3},
		"the first has none before":                    {[]release.Tenure{deployed(1, "1.0.0")}, 1, "", 0},
		"nothing was ever active":                      {nil, 0, "", 0},
		"a version of nothing":                         {nil, 0, "1.0.0", 0},
		"back when nothing is active":                  {[]release.Tenure{deployed(1, "1.0.0"), back(2, "", 0)}, 2, "1.0.0", 1},
		"nothing active is no default":                 {[]release.Tenure{deployed(1, "1.0.0"), back(2, "", 0), deployed(3, "1.1.0")}, 3, "", 0},
		"nothing active, by its number":                {[]release.Tenure{deployed(1, "1.0.0"), back(2, "", 0), deployed(3, "1.1.0")}, 3, "2", 2},
		"a number":                                     {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), deployed(3, "1.2.0")}, 3, "1", 1},
		"a number that never became active":            {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0", never)}, 1, "2", 0},
		"a version that never became active":           {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0", never)}, 1, "1.1.0", 0},
		"an unknown number":                            {[]release.Tenure{deployed(1, "1.0.0")}, 1, "7", 0},
		"an unknown version":                           {[]release.Tenure{deployed(1, "1.0.0")}, 1, "7.0.0", 0},
		"a version with its digest":                    {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0")}, 2, "1.0.0+1000aaaa", 1},
		"a version with another digest":                {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0")}, 2, "1.0.0+ffffaaaa", 0},
		"a version with too few digits":                {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0")}, 2, "1.0.0+1000", 0},
		"the latest of a version":                      {[]release.Tenure{deployed(1, "1.0.0"), deployed(2, "1.1.0"), deployed(3, "1.0.0"), deployed(4, "1.2.0")}, 4, "1.0.0", 3},
		"a release with two configs names no state":    {[]release.Tenure{deployed(1, "1.0.0", func(t *release.Tenure) { t.Config = "x" }), deployed(2, "1.0.0")}, 2, "1.0.0", 0},
		"two tries of a version name no state":         {[]release.Tenure{deployed(1, "1.0.0", func(t *release.Tenure) { t.Release.Digest = "sha256:eeeeffff" }), deployed(2, "1.0.0")}, 2, "1.0.0", 0},
		"one of two tries, by digest":                  {[]release.Tenure{deployed(1, "1.0.0", func(t *release.Tenure) { t.Release.Digest = "sha256:eeeeffff" }), deployed(2, "1.0.0")}, 2, "1.0.0+eeeeffff", 1},
		"a try, by its name":                           {[]release.Tenure{tried(1, a), tried(2, b)}, 2, "1.4.0+aaaaaaaa", 1},
		"a try, by more digits":                        {[]release.Tenure{tried(1, a), tried(2, b)}, 2, "1.4.0+aaaaaaaa01", 1},
		"a try, by too few":                            {[]release.Tenure{tried(1, a), tried(2, b)}, 2, "1.4.0+aaaa", 0},
		"a version of two tries":                       {[]release.Tenure{tried(1, a), tried(2, b)}, 2, "1.4.0", 0},
		"a version of one try":                         {[]release.Tenure{tried(1, a), deployed(2, "1.5.0")}, 2, "1.4.0", 1},
		"the try before":                               {[]release.Tenure{tried(1, a), tried(2, b)}, 2, "", 1},
		"what has claimed a version, not its tries":    {[]release.Tenure{tried(1, b), built}, 9, "1.4.0", 9},
		"a try that has claimed its version since":     {[]release.Tenure{tried(1, a), tried(2, b), built}, 9, "1.4.0+aaaaaaaa", 9},
		"a version with build metadata":                {[]release.Tenure{deployed(1, "1.0.0+b1", func(t *release.Tenure) { t.Release = release.Release{Version: "1.0.0+b1", Digest: "x"} }), deployed(2, "1.1.0")}, 2, "1.0.0+b1", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := turnback.Choose(c.tenures, c.active, c.to)
			if c.expected != 0 {
				require.NoError(t, err)
				require.Equal(t, c.expected, got.Number)
				return
			}
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			for _, tenure := range c.tenures {
				if tenure.Activated {
					require.Contains(t, fault.HintOf(err), fmt.Sprintf("%d ", tenure.Number), "a refusal lists what there is")
				}
			}
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
}

func TestWhatWasTurnedBackLiesForward(t *testing.T) {
	t.Parallel()
	at := func(number, back int64) release.Tenure {
		kind := release.ByDeployment
		if back >= 0 {
			kind = release.ByTurnBack
		}
		return release.Tenure{Number: number, Kind: kind, Back: max(back, 0), Activated: true}
	}
	of := func(digest string, t release.Tenure) release.Tenure {
		t.Release.Digest = digest
		return t
	}
	// 1 and 2 were deployed; 3 went back to 1, 4 is one partition of that; 5 went to 2 again, 6 took all away. 7 and 8 were deployed, and
	// 9 is one partition of the last.
	tenures := []release.Tenure{
		of("a", at(1, -1)), of("b", at(2, -1)), of("a", at(3, 1)), of("a", at(4, 3)), of("b", at(5, 2)), at(6, 0),
		of("c", at(7, -1)), of("d", at(8, -1)), of("d", at(9, 8)),
	}
	for name, c := range map[string]struct {
		active, to int64
		forward    bool
	}{
		"to the one before":                        {2, 1, false},
		"to the same":                              {2, 2, false},
		"to the same after a rollback":             {3, 1, false},
		"to what was turned back":                  {3, 2, true},
		"after a partition of it":                  {4, 2, true},
		"what a partition's turn-back went from":   {4, 3, false},
		"back again":                               {5, 1, false},
		"by the number of a turn-back":             {5, 3, false},
		"forward by the number of a turn-back":     {4, 5, true},
		"when nothing is active, all lies forward": {6, 1, true},
		"after others have come":                   {8, 2, true},
		"also by the number of what went there":    {8, 5, true},
		"what another release has followed":        {8, 1, false},
		"what went forward from it is no matter":   {8, 4, false},
		"to the one before, which was left as is":  {9, 7, false},
		"to what one partition went back from":     {9, 8, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.forward, turnback.Forward(tenures, c.active, c.to))
		})
	}
}
