package release_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/release"
)

func TestAReleaseIsATryUntilItHasClaimedItsVersion(t *testing.T) {
	t.Parallel()
	const other = "sha256:ffffffffffff"
	mine := "sha256:" + strings.Repeat("0123abcd", 8)
	for name, c := range map[string]struct{ version, owner, want string }{
		"nobody has claimed it":          {"1.4.0", "", "shop@1.4.0+0123abcd"},
		"another has claimed it":         {"1.4.0", other, "shop@1.4.0+0123abcd"},
		"it has claimed it":              {"1.4.0", mine, "shop@1.4.0"},
		"a try that has claimed it":      {"1.4.0+0123abcd", mine, "shop@1.4.0"},
		"a try that has not":             {"1.4.0+0123abcd", "", "shop@1.4.0+0123abcd"},
		"of a pre-release, as of others": {"1.4.0-rc.1", "", "shop@1.4.0-rc.1+0123abcd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := release.Release{Pipeline: "shop", Version: c.version, Digest: mine}.As(c.owner)
			require.Equal(t, c.want, r.String())
			require.Equal(t, mine, r.Digest)
			require.Equal(t, r.Version, release.OfSlug(release.Slug(r.Version)), "an ID says what it is of")
		})
	}
}

func TestAVersionIsMistakenForATryWhereAnIDEndsAsOne(t *testing.T) {
	t.Parallel()
	for version, mistaken := range map[string]bool{
		"1.4.0": false, "1.4.0-rc.1": false, "1.4.0-dev.20261125": false, "1.4.0-abcdef": false, "1.4.0-012345678": false, "1.4.0-DEADBEEF": false,
		"1.4.0-20261125": true, "1.4.0-deadbeef": true, "1.4.0-rc-0123abcd": true,
	} {
		require.Equal(t, mistaken, release.MistakenForTry(version), version)
	}
}
