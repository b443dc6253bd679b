package store

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"drawbridge/internal/fault"
)

// Names hold no dot, so "name-version" is read in one way only: the first "-" that a full version follows.
var pipelineName = regexp.MustCompile(`^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$`)

// The longest name and version that together still are an OCI tag, which has at most 128 characters.
const (
	maxName    = 63
	maxVersion = 64
)

// ParseVersion reads a semantic version, strictly: MAJOR.MINOR.PATCH, perhaps with a pre-release. Build
// metadata is refused, because two versions that differ in it alone are the same version.
func ParseVersion(version string) (*semver.Version, error) {
	v, err := semver.StrictNewVersion(version)
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
		reason = "a version has no build metadata and at most 64 characters"
	}
	return nil, fault.Newf(fault.Invalid, "read version", fmt.Sprintf("%q", version), hint, reason)
}

// tag returns the OCI tag of a release: name-version, such as shop-1.1.0 or shop-2.0.0-rc.1.
func tag(name, version string) (string, error) {
	if !pipelineName.MatchString(name) || len(name) > maxName {
		return "", fault.New(fault.Invalid, "read pipeline name", fmt.Sprintf("%q", name),
			"use lower-case letters and digits, in words joined by _ or -, such as taxi_trips",
			errors.New("it cannot name a release"))
	}
	if _, err := ParseVersion(version); err != nil {
		return "", err
	}
	return name + "-" + version, nil
}

// pipelinesOf picks the pipelines out of a store's tags, in order.
func pipelinesOf(tags []string) []string {
	var names []string
	for _, t := range tags {
		for i, c := range t {
			if c != '-' {
				continue
			}
			if _, err := ParseVersion(t[i+1:]); err == nil {
				names = append(names, t[:i])
				break
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// versionsOf picks the versions of a pipeline out of a store's tags, oldest first.
func versionsOf(name string, tags []string) []string {
	var versions []*semver.Version
	for _, t := range tags {
		version, found := strings.CutPrefix(t, name+"-")
		if !found {
			continue
		}
		if v, err := ParseVersion(version); err == nil {
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, (*semver.Version).Compare)
	sorted := make([]string, len(versions))
	for i, v := range versions {
		sorted[i] = v.Original()
	}
	return sorted
}
