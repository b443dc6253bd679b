package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
)

// DefaultStore is the folder of the local store, relative to the working directory.
const DefaultStore = ".drawbridge/store"

// Bounds on what is read from a store, which may be anybody's registry.
const (
	maxManifestSize = 4 << 20
	maxBlobSize     = maxTotalSize + maxFiles*4096 // a full release with its tar headers
)

// Store keeps releases, statements and blobs. It is safe for concurrent use, also by several processes.
type Store struct {
	backend backend
}

// backend is what the two kinds of store have in common. Descriptors of manifests and blobs come from resolve
// and stat; what is missing is errdef.ErrNotFound, what does not match its descriptor content.ErrMismatchedDigest.
type backend interface {
	// location names the store in messages.
	location() string
	// check tries what every use of the store needs.
	check(ctx context.Context) error
	// resolve finds a manifest by tag or digest, stat a blob by digest.
	resolve(ctx context.Context, reference string) (ocispec.Descriptor, error)
	stat(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error)
	// read returns verified content.
	read(ctx context.Context, d ocispec.Descriptor) ([]byte, error)
	// writeBlob and writeManifest are idempotent. Content that a manifest refers to is written before it.
	writeBlob(ctx context.Context, d ocispec.Descriptor, data []byte) error
	// writeManifest also tags the manifest, unless tag is empty. It reports whether it set the tag, and
	// returns a *tagTakenError where the tag belongs to another manifest.
	writeManifest(ctx context.Context, m manifest, tag string) (tagged bool, err error)
	tags(ctx context.Context) ([]string, error)
	// referrers returns the statements that were attached to a manifest.
	referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error)
}

// errNoAccess marks faults of the way to the store, as opposed to what is in it.
var errNoAccess = errors.New("no access")

// tagTakenError says that a tag belongs to another manifest.
type tagTakenError struct {
	tag   string
	owner digest.Digest
}

func (e *tagTakenError) Error() string { return fmt.Sprintf("%s is %s already", e.tag, e.owner) }

// OpenStore opens a store without touching it; see Check. A reference is
//
//   - "" for the default folder,
//   - a path, absolute or beginning with a dot: a folder in OCI image layout, created by the first write,
//   - host/repository, where host has a dot or a port or is localhost: a repository of an OCI registry, with
//     the credentials of docker login. TLS is used except on localhost; http:// before it turns TLS off.
func OpenStore(reference string) (*Store, error) {
	if reference == "" {
		reference = DefaultStore
	}
	var (
		b   backend
		err error
	)
	if isRegistry(reference) {
		b, err = newRegistry(reference)
	} else {
		b, err = newLayout(reference)
	}
	if err != nil {
		return nil, err
	}
	return &Store{backend: b}, nil
}

func isRegistry(reference string) bool {
	if strings.Contains(reference, "://") {
		return true
	}
	host, _, found := strings.Cut(reference, "/")
	return found && host != "" && host[0] != '.' && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// Location returns the absolute folder or the host/repository of the store.
func (s *Store) Location() string { return s.backend.location() }

// Check reports whether the store can be used: a folder that can be written, a registry that answers and
// accepts the credentials.
func (s *Store) Check(ctx context.Context) error {
	return s.explain("check store", s.Location(), s.backend.check(ctx))
}

// PutSource keeps the files of a deployment for the worker that will build them, and returns their digest.
func (s *Store) PutSource(ctx context.Context, files Files) (string, error) {
	archive, err := Source(files)
	if err != nil {
		return "", err
	}
	return s.PutBlob(ctx, TypeFiles, archive)
}

// Source returns the files that PutSource kept.
func (s *Store) Source(ctx context.Context, sourceDigest string) (Files, error) {
	archive, err := s.Blob(ctx, sourceDigest)
	if err != nil {
		return nil, err
	}
	return Unpack(archive)
}

// PutBlob keeps data and returns its digest. Doing it again changes nothing.
func (s *Store) PutBlob(ctx context.Context, mediaType string, data []byte) (string, error) {
	blob := content.NewDescriptorFromBytes(mediaType, data)
	// Registries collect blobs that no manifest refers to, and some collect manifests without a tag.
	keeper, err := newManifest(TypeBlob, blob, nil, nil)
	if err != nil {
		return "", err
	}
	if err := s.write(ctx, keeper, blob, data); err != nil {
		return "", s.explain("store blob", blob.Digest.String(), err)
	}
	if _, err := s.backend.writeManifest(ctx, keeper, "blob-"+keeper.descriptor.Digest.Encoded()); err != nil {
		return "", s.explain("store blob", blob.Digest.String(), err)
	}
	return blob.Digest.String(), nil
}

// Blob returns what PutBlob kept, verified.
func (s *Store) Blob(ctx context.Context, blobDigest string) ([]byte, error) {
	d, err := parseDigest(blobDigest)
	if err != nil {
		return nil, err
	}
	descriptor, err := s.backend.stat(ctx, d)
	if err != nil {
		return nil, s.explain("find blob", blobDigest, err)
	}
	return s.read(ctx, descriptor, maxBlobSize)
}

// Push keeps a release and claims its version, by the tag name-version. Pushing the same release again changes nothing and
// returns created false; a version that exists with another content is refused. Two pushes at once agree in a folder;
// a registry answers them in turn only where it is set to immutable tags, which is recommended.
func (s *Store) Push(ctx context.Context, p Packed) (created bool, err error) {
	switch owner, err := s.Owner(ctx, p.Pipeline, p.Version); {
	case err != nil:
		return false, err
	case owner != "" && owner != p.Digest:
		return false, s.explainPush(p.Release, &tagTakenError{owner: digest.Digest(owner)})
	}
	return s.push(ctx, p, p.Release)
}

// Keep keeps a release and claims no version: its tag is name-version_digits. It returns the release as people know it,
// which is by its version where it has claimed that before. Twice is once.
func (s *Store) Keep(ctx context.Context, p Packed) (release.Release, error) {
	named, err := s.Named(ctx, p.Release)
	if err != nil || named == p.Release {
		return named, err
	}
	_, err = s.push(ctx, p, named)
	return named, err
}

// push keeps a release under one of its names.
func (s *Store) push(ctx context.Context, p Packed, named release.Release) (created bool, err error) {
	name, err := tag(named.Pipeline, named.Version)
	if err != nil {
		return false, err
	}
	layer := content.NewDescriptorFromBytes(TypeFiles, p.layer)
	if err := s.write(ctx, p.manifest, layer, p.layer); err != nil {
		return false, s.explainPush(named, err)
	}
	created, err = s.backend.writeManifest(ctx, p.manifest, name)
	return created, s.explainPush(named, err)
}

// Claim gives a release that is kept the version that it says of itself, for ever. Twice is once; a version that another
// release has is refused. Two claims at once agree as two pushes do.
func (s *Store) Claim(ctx context.Context, r release.Release) error {
	switch owner, err := s.Owner(ctx, r.Pipeline, r.Base()); {
	case err != nil || owner == r.Digest:
		return err
	case owner != "":
		return s.explainPush(r, &tagTakenError{owner: digest.Digest(owner)})
	}
	kept, said, err := s.loadManifest(ctx, r.Digest, TypeRelease)
	if err != nil {
		return err
	}
	if said.Annotations[ocispec.AnnotationTitle] != r.Pipeline || said.Annotations[ocispec.AnnotationVersion] != r.Base() {
		return fault.Newf(fault.Refused, "claim", r.String(), "build the release again from its folder", "the release says of itself that it is "+
			said.Annotations[ocispec.AnnotationTitle]+"@"+said.Annotations[ocispec.AnnotationVersion])
	}
	name, err := tag(r.Pipeline, r.Base())
	if err != nil {
		return err
	}
	_, err = s.backend.writeManifest(ctx, kept, name)
	return s.explainPush(r, err)
}

// Owner is the digest that has claimed a version of a pipeline; empty: nobody has.
func (s *Store) Owner(ctx context.Context, name, version string) (string, error) {
	reference, err := tag(name, version)
	if err != nil {
		return "", err
	}
	descriptor, err := s.backend.resolve(ctx, reference)
	if errors.Is(err, errdef.ErrNotFound) {
		return "", nil
	}
	return descriptor.Digest.String(), s.explain("find release", name+" "+version, err)
}

// Named is a release as people know it: by its version where it has claimed that, else as a try.
func (s *Store) Named(ctx context.Context, r release.Release) (release.Release, error) {
	owner, err := s.Owner(ctx, r.Pipeline, r.Base())
	return r.As(owner), err
}

func (s *Store) explainPush(r release.Release, err error) error {
	taken, ok := errors.AsType[*tagTakenError](err)
	if !ok {
		return s.explain("push release", r.Pipeline+" "+r.Version, err)
	}
	if _, v, ok := named(taken.tag); ok && claimed(v) == 0 {
		return fault.Newf(fault.Refused, "keep release", r.Pipeline+" "+r.Version, "change anything in the folder, such as a comment, and try again",
			"the digest of another release begins alike")
	}
	return fault.New(fault.Refused, "claim version", r.Pipeline+" "+r.Base(),
		"a version never changes: raise the version in pipeline.yaml and build or deploy again",
		fmt.Errorf("the version exists as %s with another content than %s", taken.owner, r.Digest))
}

// Resolve returns the digest of a release: of the one that has claimed a version, or of a try, 1.4.0+0123abcd, which may
// have claimed its version since.
func (s *Store) Resolve(ctx context.Context, name, version string) (string, error) {
	reference, err := tag(name, version)
	if err != nil {
		return "", err
	}
	descriptor, err := s.backend.resolve(ctx, reference)
	if base, digits, try := release.CutTry(version); try && (err == nil || errors.Is(err, errdef.ErrNotFound)) {
		found := descriptor.Digest.String()
		if err != nil { // built without having been tried
			if found, err = s.Owner(ctx, name, base); err != nil {
				return "", err
			}
		}
		if (release.Release{Digest: found}).Is(digits) {
			return found, nil
		}
		err = errdef.ErrNotFound
	}
	if errors.Is(err, errdef.ErrNotFound) {
		hint := "build it with drawbridge build, or choose the store that holds it"
		if versions, err := s.Versions(ctx, name); err == nil && len(versions) > 0 {
			hint = "choose one of " + strings.Join(versions[max(0, len(versions)-5):], ", ") + ", or build it with drawbridge build"
		}
		return "", fault.New(fault.Invalid, "find release", name+" "+version, hint,
			fmt.Errorf("it is not in the store %s", s.Location()))
	}
	if err != nil {
		return "", s.explain("find release", name+" "+version, err)
	}
	return descriptor.Digest.String(), nil
}

// Versions returns the versions of a pipeline in the store as people know them, oldest first; none is no error.
func (s *Store) Versions(ctx context.Context, name string) ([]string, error) {
	tags, err := s.backend.tags(ctx)
	if err != nil {
		return nil, s.explain("list versions", name, err)
	}
	return versionsOf(name, tags), nil
}

// Releases returns the releases of a pipeline in the store, newest version first, each when it is asked for.
func (s *Store) Releases(ctx context.Context, name string) iter.Seq2[release.Release, error] {
	return func(yield func(release.Release, error) bool) {
		versions, err := s.Versions(ctx, name)
		if err != nil {
			yield(release.Release{}, err)
			return
		}
		for _, version := range slices.Backward(versions) {
			found, err := s.Resolve(ctx, name, version)
			if !yield(release.Release{Pipeline: name, Version: version, Digest: found}, err) || err != nil {
				return
			}
		}
	}
}

// Load returns a release by the digest of its manifest, with every byte verified.
func (s *Store) Load(ctx context.Context, releaseDigest string) (Artifact, error) {
	_, m, err := s.loadManifest(ctx, releaseDigest, TypeRelease)
	if err != nil {
		return Artifact{}, err
	}
	layer, err := s.read(ctx, m.Layers[0], maxBlobSize)
	if err != nil {
		return Artifact{}, err
	}
	files, err := Unpack(layer)
	if err != nil {
		return Artifact{}, err
	}
	return Artifact{Files: files, Release: release.Release{
		Pipeline: m.Annotations[ocispec.AnnotationTitle],
		Version:  m.Annotations[ocispec.AnnotationVersion],
		Digest:   releaseDigest,
	}}, nil
}

// loadManifest returns a manifest of the given artifact type, which has exactly one layer.
func (s *Store) loadManifest(ctx context.Context, manifestDigest, artifactType string) (manifest, ocispec.Manifest, error) {
	d, err := parseDigest(manifestDigest)
	if err != nil {
		return manifest{}, ocispec.Manifest{}, err
	}
	descriptor, err := s.backend.resolve(ctx, d.String())
	if err != nil {
		return manifest{}, ocispec.Manifest{}, s.explain("find release", manifestDigest, err)
	}
	body, err := s.read(ctx, descriptor, maxManifestSize)
	if err != nil {
		return manifest{}, ocispec.Manifest{}, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil || m.ArtifactType != artifactType || len(m.Layers) != 1 {
		return manifest{}, ocispec.Manifest{}, fault.Newf(fault.Invalid, "read manifest", manifestDigest,
			"name the digest that drawbridge build printed", "it is not of type "+artifactType)
	}
	descriptor.ArtifactType = artifactType
	return manifest{descriptor: descriptor, content: body}, m, nil
}

// write keeps what a manifest refers to.
func (s *Store) write(ctx context.Context, m manifest, layer ocispec.Descriptor, data []byte) error {
	if err := s.backend.writeBlob(ctx, emptyConfig(), ocispec.DescriptorEmptyJSON.Data); err != nil {
		return err
	}
	return s.backend.writeBlob(ctx, layer, data)
}

func (s *Store) read(ctx context.Context, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fault.Newf(fault.Invalid, "read blob", d.Digest.String(), "build the release again", "it is too large")
	}
	data, err := s.backend.read(ctx, d)
	return data, s.explain("read blob", d.Digest.String(), err)
}

func parseDigest(text string) (digest.Digest, error) {
	d, err := digest.Parse(text)
	if err != nil || d.Algorithm() != digest.SHA256 {
		return "", fault.Newf(fault.Invalid, "read digest", fmt.Sprintf("%q", text),
			"write sha256: and 64 hexadecimal digits", "it is no digest")
	}
	return d, nil
}

// explain gives an error of a backend its class: what is missing or tampered with stays so, the rest, such as
// a network that fails, is transient.
func (s *Store) explain(op, object string, err error) error {
	var class fault.Class
	var hint string
	switch {
	case err == nil:
		return nil
	case fault.ClassOf(err) != "":
		return err
	case errors.Is(err, errdef.ErrNotFound):
		class, hint = fault.Invalid, "build the release again, or choose the store that holds it; this one is "+s.Location()
		err = errors.New("it is not in the store")
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrTrailingData):
		class, hint = fault.Refused, "do not use it: find out who changed the store "+s.Location()+", then build the release again"
		err = errors.New("digest mismatch: the content was changed or damaged")
	default:
		return fmt.Errorf("%s %s: %w", op, object, err)
	}
	return fault.New(class, op, object, hint, err)
}
