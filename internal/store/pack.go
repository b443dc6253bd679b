package store

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"drawbridge/internal/release"
)

// Media types of what a store holds.
const (
	// TypeRelease is the artifact type of a release.
	TypeRelease = "application/vnd.drawbridge.release.v1"
	// TypeFiles is the tar of a pipeline's files: the layer of a release, and a source on its way to a worker.
	TypeFiles = "application/vnd.drawbridge.files.v1.tar"
	// TypeBlob is the artifact type of the manifest that keeps a blob from a registry's garbage collection.
	TypeBlob = "application/vnd.drawbridge.blob.v1"
	// TypeStatement is the artifact type of a signed statement about a release.
	TypeStatement = "application/vnd.drawbridge.statement.v1"
)

// epoch is the time of creation that every manifest states: a real one would change the digest.
const epoch = "1970-01-01T00:00:00Z"

// Artifact is a release with its files, as a store holds it. Its digest is that of the OCI manifest.
type Artifact struct {
	release.Release
	Files Files
}

// Packed is a release that is ready to be pushed.
type Packed struct {
	Artifact
	manifest manifest
	layer    []byte
}

// Pack makes files into a release. Its digest is a pure function of name, version and files.
func Pack(name, version string, files Files) (Packed, error) {
	if _, err := tag(name, version); err != nil {
		return Packed{}, err
	}
	layer, err := Source(files)
	if err != nil {
		return Packed{}, err
	}
	m, err := newManifest(TypeRelease, content.NewDescriptorFromBytes(TypeFiles, layer), nil, map[string]string{
		ocispec.AnnotationTitle:   name,
		ocispec.AnnotationVersion: version,
	})
	if err != nil {
		return Packed{}, err
	}
	named := release.Release{Pipeline: name, Version: version, Digest: m.descriptor.Digest.String()}
	return Packed{Artifact: Artifact{Release: named, Files: files}, manifest: m, layer: layer}, nil
}

// manifest is an OCI image manifest with its bytes, which alone carry its identity.
type manifest struct {
	descriptor ocispec.Descriptor
	content    []byte
}

// newManifest wraps one layer. The config is the empty one that the image specification gives for artifacts.
func newManifest(artifactType string, layer ocispec.Descriptor, subject *ocispec.Descriptor, annotations map[string]string) (manifest, error) {
	all := map[string]string{ocispec.AnnotationCreated: epoch}
	maps.Copy(all, annotations)
	body, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       emptyConfig(),
		Layers:       []ocispec.Descriptor{layer},
		Subject:      subject,
		Annotations:  all,
	})
	if err != nil {
		return manifest{}, fmt.Errorf("encode manifest: %w", err)
	}
	descriptor := content.NewDescriptorFromBytes(ocispec.MediaTypeImageManifest, body)
	descriptor.ArtifactType = artifactType
	return manifest{descriptor: descriptor, content: body}, nil
}

func emptyConfig() ocispec.Descriptor {
	return content.NewDescriptorFromBytes(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
}
