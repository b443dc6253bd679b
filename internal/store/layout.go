package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"drawbridge/internal/fault"
)

// layout is a store in a folder, in OCI image layout, that several processes share. The library's own store
// rewrites index.json in place from what it read when it was opened, so that two processes lose each other's
// tags, a crash can leave half an index, and a tag moves silently. Here each change of the index is
// read, changed and renamed into place under a file lock; readers need no lock.
//
// Modes follow the umask: a folder shared by a group wants umask 002 and the setgid bit.
type layout struct {
	root string
}

const (
	indexFile = ocispec.ImageIndexFile
	lockFile  = ".lock"
	ingestDir = "ingest" // temporary files; what a crash leaves there means nothing
	lockPoll  = 10 * time.Millisecond
)

func newLayout(path string) (*layout, error) {
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find folder of store %s: %w", path, err)
	}
	return &layout{root: root}, nil
}

func (l *layout) location() string { return l.root }

func (l *layout) check(ctx context.Context) error {
	return l.update(ctx, func(*ocispec.Index) (bool, error) { return true, nil })
}

func (l *layout) resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	if d, err := digest.Parse(reference); err == nil {
		descriptor, err := l.stat(ctx, d)
		descriptor.MediaType = ocispec.MediaTypeImageManifest
		return descriptor, err
	}
	index, err := l.readIndex()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if i := find(index, reference); i >= 0 {
		return index.Manifests[i], nil
	}
	return ocispec.Descriptor{}, errdef.ErrNotFound
}

func (l *layout) stat(_ context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	info, err := os.Stat(l.blob(d))
	if err != nil {
		return ocispec.Descriptor{}, l.explain("read", err)
	}
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: info.Size()}, nil
}

func (l *layout) read(_ context.Context, d ocispec.Descriptor) ([]byte, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, content.ErrMismatchedDigest
	}
	data, err := os.ReadFile(l.blob(d.Digest))
	if err != nil {
		return nil, l.explain("read", err)
	}
	if int64(len(data)) != d.Size || digest.FromBytes(data) != d.Digest {
		return nil, content.ErrMismatchedDigest
	}
	return data, nil
}

// writeBlob also puts right a blob that was damaged, which the library would take for present.
func (l *layout) writeBlob(ctx context.Context, d ocispec.Descriptor, data []byte) error {
	if _, err := l.read(ctx, d); err == nil {
		return nil
	}
	if err := l.create(); err != nil {
		return l.explain("write", err)
	}
	return l.explain("write", l.writeFile(l.blob(d.Digest), data, 0o444))
}

func (l *layout) writeManifest(ctx context.Context, m manifest, tag string) (bool, error) {
	if err := l.writeBlob(ctx, m.descriptor, m.content); err != nil {
		return false, err
	}
	var tagged bool
	err := l.update(ctx, func(index *ocispec.Index) (changed bool, err error) {
		entry := m.descriptor
		known := slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == entry.Digest })
		if tag == "" {
			if !known {
				index.Manifests = append(index.Manifests, entry)
			}
			return !known, nil
		}
		if i := find(*index, tag); i >= 0 {
			if owner := index.Manifests[i].Digest; owner != entry.Digest {
				return false, &tagTakenError{tag: tag, owner: owner}
			}
			return false, nil
		}
		entry.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
		index.Manifests = append(index.Manifests, entry)
		tagged = true
		return true, nil
	})
	return tagged && err == nil, err
}

func (l *layout) tags(context.Context) ([]string, error) {
	index, err := l.readIndex()
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, d := range index.Manifests {
		if t := d.Annotations[ocispec.AnnotationRefName]; t != "" {
			tags = append(tags, t)
		}
	}
	return tags, nil
}

// referrers reads the subject from each statement rather than from the index, whose entries other tools write
// without it.
func (l *layout) referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	index, err := l.readIndex()
	if err != nil {
		return nil, err
	}
	var found []ocispec.Descriptor
	for _, d := range index.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] != "" || d.MediaType != ocispec.MediaTypeImageManifest || d.Size > maxManifestSize {
			continue
		}
		body, err := l.read(ctx, d)
		if errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, errdef.ErrNotFound) {
			// Whose statement this was cannot be known any more, so each release reports it.
			if d.ArtifactType == TypeStatement {
				found = append(found, d)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		var m ocispec.Manifest
		if json.Unmarshal(body, &m) == nil && m.ArtifactType == TypeStatement && m.Subject != nil && m.Subject.Digest == subject.Digest {
			found = append(found, d)
		}
	}
	return found, nil
}

// update changes the index under the lock. Nothing is written where change reports false or an error.
func (l *layout) update(ctx context.Context, change func(*ocispec.Index) (bool, error)) error {
	if err := l.create(); err != nil {
		return l.explain("write", err)
	}
	lock := flock.New(filepath.Join(l.root, lockFile), flock.SetPermissions(0o666))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return l.explain("lock", err)
	}
	defer lock.Close()
	index, err := l.readIndex()
	if err != nil {
		return err
	}
	changed, err := change(&index)
	if err != nil || !changed {
		return err
	}
	body, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encode index of store: %w", err)
	}
	return l.explain("write", l.writeFile(filepath.Join(l.root, indexFile), body, 0o666))
}

// create makes the folder a layout. A folder with files of something else in it is left alone.
func (l *layout) create() error {
	marker := filepath.Join(l.root, ocispec.ImageLayoutFile)
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	if err := os.MkdirAll(l.root, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.root)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !slices.Contains([]string{ocispec.ImageLayoutFile, ocispec.ImageBlobsDir, indexFile, ingestDir, lockFile}, entry.Name()) {
			return fault.Newf(fault.Invalid, "create store", l.root, "choose an empty folder for the store", "the folder holds other files")
		}
	}
	body, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return fmt.Errorf("encode layout of store: %w", err)
	}
	return l.writeFile(marker, body, 0o666)
}

func (l *layout) readIndex() (ocispec.Index, error) {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	body, err := os.ReadFile(filepath.Join(l.root, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return index, nil
	}
	if err != nil {
		return index, l.explain("read", err)
	}
	if err := json.Unmarshal(body, &index); err != nil {
		return index, fault.New(fault.Invalid, "read index of store", l.root, "restore "+indexFile+" from a backup, or choose another store", err)
	}
	return index, nil
}

func find(index ocispec.Index, tag string) int {
	return slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		return d.Annotations[ocispec.AnnotationRefName] == tag
	})
}

func (l *layout) blob(d digest.Digest) string {
	return filepath.Join(l.root, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (l *layout) writeFile(path string, data []byte, mode fs.FileMode) error {
	ingest := filepath.Join(l.root, ingestDir)
	for _, dir := range []string{ingest, filepath.Dir(path)} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return writeAtomic(ingest, path, data, mode)
}

// explain says what a process that cannot reach the folder has to do about it.
func (l *layout) explain(verb string, err error) error {
	if err == nil || fault.ClassOf(err) != "" {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errdef.ErrNotFound
	}
	for _, lasting := range []error{fs.ErrPermission, syscall.EROFS, syscall.ENOTDIR} {
		if errors.Is(err, lasting) {
			return fault.New(fault.Invalid, verb+" store", l.root,
				"give the user of this process rights on the folder, or use a registry (--registry) that CLI and workers share",
				fmt.Errorf("%w: %w", errNoAccess, err))
		}
	}
	return err
}
