package store

import (
	"context"
	"fmt"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
	"drawbridge/internal/secret"
)

// Build makes files into a release that claims its version. Building the same again is the same release; created says
// whether the store did not have it.
func (s *Store) Build(ctx context.Context, name, version string, files Files) (r Artifact, created bool, err error) {
	packed, err := packClean(name, version, files)
	if err != nil {
		return Artifact{}, false, err
	}
	created, err = s.Push(ctx, packed)
	return packed.Artifact, created, err
}

// Try makes files into a release that claims no version. It is the same release as Build makes of them.
func (s *Store) Try(ctx context.Context, name, version string, files Files) (release.Release, error) {
	packed, err := packClean(name, version, files)
	if err != nil {
		return release.Release{}, err
	}
	return s.Keep(ctx, packed)
}

// packClean packs files that hold no secret.
func packClean(name, version string, files Files) (Packed, error) {
	if findings := secret.Scan(files); len(findings) > 0 {
		return Packed{}, fault.Newf(fault.Refused, "build release", name+" "+version,
			"put the value into a file or variable of the worker, and refer to it in a connection of the environment's policy",
			fmt.Sprintf("%d places look like a secret, the first is %s", len(findings), findings[0]))
	}
	return Pack(name, version, files)
}
