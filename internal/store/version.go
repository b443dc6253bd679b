package store

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
)

// Names hold no dot, so "name-version" is read in one way only: the first "-" that a full version follows.
var pipelineName = regexp.MustCompile(`^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$`)

// The longest name and version that together with the digits of a try still are an OCI tag, which has at most 128 characters.
const (
	maxName    = 63
	maxVersion = 55
)

// digitsPattern are the digits that name a try, in its tag and as people type them, who may type more.
var digitsPattern = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// ParseVersion reads a semantic version, strictly: MAJOR.MINOR.PATCH, perhaps with a pre-release. Build
// metadata is refused, because two versions that differ in it alone are the same version; so is what would be taken for a
// try where workflow IDs name it.
func ParseVersion(version string) (*semver.Version, error) {
	v, err := semver.StrictNewVersion(version)
	if err == nil && release.MistakenForTry(version) {
		return nil, fault.Newf(fault.Invalid, "read version", fmt.Sprintf("%q", version), "put a word and a dot before the digits, such as dev.",
			"it ends as a release does that has claimed no version, in - and 8 hexadecimal digits")
	}
	if err == nil && v.Metadata() == "" && len(version) <= maxVersion {
		return v, nil
	}
	hint := "write MAJOR.MINOR.PATCH, for example 1.0.0"
	if near, nearErr := semver.NewVersion(version); nearErr == nil {
		plain, metaErr := near.SetMetadata("")
		if metaErr == nil && len(plain.String()) <= maxVersion {
			hint = "write " + plain.String()
		}
	}
	reason := "it is no semantic version"
	if err == nil {
		reason = "a version has no build metadata and at most 55 characters"
	}
	return nil, fault.Newf(fault.Invalid, "read version", fmt.Sprintf("%q", version), hint, reason)
}

// tag returns the OCI tag of a release: name-version, such as shop-1.1.0 or shop-2.0.0-rc.1; of a try, name-version_digits.
// No version has a _, so neither is taken for the other.
func tag(name, version string) (string, error) {
	if !pipelineName.MatchString(name) || len(name) > maxName {
		return "", fault.New(fault.Invalid, "read pipeline name", fmt.Sprintf("%q", name),
			"use lower-case letters and digits, in words joined by _ or -, such as taxi_trips",
			errors.New("it cannot name a release"))
	}
	base, digits, try := release.CutTry(version)
	if _, err := ParseVersion(base); err != nil {
		return "", err
	}
	if !try {
		return name + "-" + version, nil
	}
	if !digitsPattern.MatchString(digits) {
		return "", fault.Newf(fault.Invalid, "read version", fmt.Sprintf("%q", version), "write "+base+"+ and 8 digits of the digest, as drawbridge status shows it",
			"what follows the + are no digits of a digest")
	}
	return name + "-" + base + "_" + digits[:release.TryDigits], nil
}

// named reads a tag that names a release: the pipeline, and the version as people know it.
func named(tag string) (name string, v *semver.Version, ok bool) {
	text, digits, try := tag, "", false
	if at := strings.LastIndexByte(tag, '_'); at >= 0 && len(tag)-at-1 == release.TryDigits && digitsPattern.MatchString(tag[at+1:]) {
		text, digits, try = tag[:at], tag[at+1:], true
	}
	for i, c := range text {
		if c != '-' {
			continue
		}
		v, err := ParseVersion(text[i+1:])
		if err != nil {
			continue
		}
		if try {
			with, err := v.SetMetadata(digits)
			return text[:i], &with, err == nil
		}
		return text[:i], v, true
	}
	return "", nil, false
}

// versionsOf picks the versions of a pipeline out of a store's tags, as people know them, oldest first: before a version
// stand its tries, in the order of the tags.
func versionsOf(name string, tags []string) []string {
	var versions []*semver.Version
	for _, t := range tags {
		if of, v, ok := named(t); ok && of == name {
			versions = append(versions, v)
		}
	}
	slices.SortStableFunc(versions, func(a, b *semver.Version) int {
		return cmp.Or(a.Compare(b), cmp.Compare(claimed(a), claimed(b)))
	})
	sorted := make([]string, len(versions))
	for i, v := range versions {
		sorted[i] = v.String()
	}
	return sorted
}

func claimed(v *semver.Version) int {
	if v.Metadata() == "" {
		return 1
	}
	return 0
}
