package release

import (
	"regexp"
	"strings"
)

// A try is a release that has claimed no version: people know it by version and digest, 1.4.0+0123abcd. A version is
// claimed by `drawbridge build`, or when a release enters any environment but its pipeline's first, and then is one
// release's for ever. Versions have no build metadata of their own, so a + always means a try.

// TryDigits is how many hex digits of its digest name a try.
const TryDigits = 8

// slug is how an ID ends that names a try, where no + may stand: 1.4.0-0123abcd.
var slug = regexp.MustCompile(`^(.+)-([0-9a-f]{8})$`)

// Base is the version that the release has claimed, or could claim.
func (r Release) Base() string {
	base, _, _ := CutTry(r.Version)
	return base
}

// As is the release as people know it, where owner is the digest that has claimed its version; no owner: nobody has.
func (r Release) As(owner string) Release {
	if r.Version = r.Base(); owner != r.Digest {
		r.Version += "+" + digits(r.Digest)
	}
	return r
}

// Is says whether the release has a digest that begins with these hex digits.
func (r Release) Is(hex string) bool {
	return r.Digest != "" && strings.HasPrefix(strings.TrimPrefix(r.Digest, algorithm), hex)
}

// CutTry reads a version as people know it: the version alone, and the digits of a try.
func CutTry(version string) (base, digits string, try bool) { return strings.Cut(version, "+") }

// Slug is a version as IDs have it: 1.4.0, or 1.4.0-0123abcd of a try.
func Slug(version string) string { return strings.Replace(version, "+", "-", 1) }

// OfSlug reads what Slug wrote.
func OfSlug(text string) (version string) {
	if m := slug.FindStringSubmatch(text); m != nil {
		return m[1] + "+" + m[2]
	}
	return text
}

// MistakenForTry says that a version would be taken for a try where IDs name it.
func MistakenForTry(version string) bool { return slug.MatchString(version) }

const algorithm = "sha256:"

func digits(digest string) string {
	hex := strings.TrimPrefix(digest, algorithm)
	return hex[:min(len(hex), TryDigits)]
}
