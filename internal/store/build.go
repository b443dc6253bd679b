package store

import (
	"context"
	"fmt"

	"drawbridge/internal/fault"
	"drawbridge/internal/secret"
)

// Build makes files into a release and keeps it: it looks for secrets, packs, and pushes. `drawbridge build` on a laptop
// and a worker that deploys a folder both call it, so that both yield the same digest. Building the same again is the
// same release; created says whether the store did not have it.
func (s *Store) Build(ctx context.Context, name, version string, files Files) (r Artifact, created bool, err error) {
	if findings := secret.Scan(files); len(findings) > 0 {
		return Artifact{}, false, fault.Newf(fault.Refused, "build release", name+" "+version,
			"put the value into a file or variable of the worker, and refer to it in a connection of the environment's policy",
			fmt.Sprintf("%d places look like a secret, the first is %s", len(findings), findings[0]))
	}
	packed, err := Pack(name, version, files)
	if err != nil {
		return Artifact{}, false, err
	}
	created, err = s.Push(ctx, packed)
	return packed.Artifact, created, err
}
