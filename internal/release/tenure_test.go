package release_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/release"
)

func TestWhatEndsATenureIsTheFirstThatTookItsPlace(t *testing.T) {
	t.Parallel()
	one, two := release.Release{Version: "1.0.0", Digest: "sha256:1"}, release.Release{Version: "1.1.0", Digest: "sha256:2"}
	tenure := func(number int64, r release.Release, kind release.TenureKind) release.Tenure {
		return release.Tenure{Number: number, Release: r, Kind: kind, Activated: true}
	}
	own := tenure(2, one, release.ByDeployment)
	before := tenure(1, two, release.ByDeployment)
	reserved := tenure(3, two, release.ByDeployment)
	reserved.Activated = false
	for name, c := range map[string]struct {
		later []release.Tenure
		want  int64 // 0: it lasts
	}{
		"nothing came":                             {nil, 0},
		"one that was never activated":             {[]release.Tenure{reserved}, 0},
		"a single partition went back":             {[]release.Tenure{tenure(3, one, release.ByTurnBack)}, 0},
		"it was turned back":                       {[]release.Tenure{tenure(3, two, release.ByTurnBack)}, 3},
		"nothing is active any more":               {[]release.Tenure{tenure(3, release.Release{}, release.ByTurnBack)}, 3},
		"a newer release":                          {[]release.Tenure{tenure(3, two, release.ByDeployment)}, 3},
		"a newer release, of which something went": {[]release.Tenure{tenure(3, two, release.ByDeployment), tenure(4, two, release.ByTurnBack)}, 3},
		"a newer release that was turned back":     {[]release.Tenure{tenure(3, two, release.ByDeployment), tenure(4, one, release.ByTurnBack)}, 3},
		"the same one again with another plan":     {[]release.Tenure{tenure(3, one, release.ByDeployment)}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next, ended := own.After(append([]release.Tenure{before, own}, c.later...))
			require.Equal(t, c.want, next.Number)
			require.Equal(t, c.want != 0, ended)
		})
	}
}
