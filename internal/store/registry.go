package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"drawbridge/internal/fault"
)

// registry is a store in a repository of an OCI registry.
type registry struct {
	repository *remote.Repository
}

func newRegistry(reference string) (*registry, error) {
	const hint = "write host/repository, such as registry.example.com/team/releases"
	scheme, name, found := strings.Cut(reference, "://")
	if !found {
		scheme, name = "https", reference
	}
	if !slices.Contains([]string{"http", "https", "oci"}, scheme) {
		return nil, fault.Newf(fault.Invalid, "open store", reference, hint, "a registry is reached by https or http")
	}
	repository, err := remote.NewRepository(name)
	if err != nil {
		return nil, fault.New(fault.Invalid, "open store", reference, hint, err)
	}
	if repository.Reference.Reference != "" {
		return nil, fault.Newf(fault.Invalid, "open store", reference, hint, "a store has no tag or digest")
	}
	logins, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fault.New(fault.Invalid, "read credentials of docker", reference, "mend the file, or log in again with docker login", err)
	}
	repository.Client = &auth.Client{
		Client:     retry.DefaultClient,
		Cache:      auth.NewCache(),
		Credential: credentials.Credential(logins),
	}
	repository.PlainHTTP = scheme == "http" || !found && isLocal(repository.Reference.Host())
	// Some registries let nobody delete; a replaced index of referrers may stay behind.
	repository.SkipReferrersGC = true
	return &registry{repository: repository}, nil
}

func isLocal(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

func (r *registry) location() string {
	return r.repository.Reference.Registry + "/" + r.repository.Reference.Repository
}

func (r *registry) check(ctx context.Context) error {
	_, err := r.repository.Resolve(ctx, digest.FromString("").String())
	if err = r.explain("reach", err); errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	return err
}

func (r *registry) resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	d, err := r.repository.Resolve(ctx, reference)
	return d, r.explain("read", err)
}

func (r *registry) stat(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	descriptor, err := r.repository.Blobs().Resolve(ctx, d.String())
	return descriptor, r.explain("read", err)
}

func (r *registry) read(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	data, err := content.FetchAll(ctx, r.repository, d)
	return data, r.explain("read", err)
}

func (r *registry) writeBlob(ctx context.Context, d ocispec.Descriptor, data []byte) error {
	exists, err := r.repository.Exists(ctx, d)
	if err != nil || exists {
		return r.explain("write", err)
	}
	return r.explain("write", r.repository.Push(ctx, d, bytes.NewReader(data)))
}

// writeManifest looks at the tag before and after it sets it: the protocol has no conditional write, so of two
// that race the one that lost may be told only afterwards.
func (r *registry) writeManifest(ctx context.Context, m manifest, tag string) (bool, error) {
	if tag == "" {
		return false, r.explain("write", r.repository.Push(ctx, m.descriptor, bytes.NewReader(m.content)))
	}
	if taken, err := r.owned(ctx, m, tag); err != nil || taken {
		return false, err
	}
	if err := r.repository.PushReference(ctx, m.descriptor, bytes.NewReader(m.content), tag); err != nil {
		return false, r.explain("write", err)
	}
	return r.owned(ctx, m, tag)
}

// owned reports whether the tag is the manifest's. A tag that is another's is a *tagTakenError.
func (r *registry) owned(ctx context.Context, m manifest, tag string) (bool, error) {
	owner, err := r.resolve(ctx, tag)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case owner.Digest != m.descriptor.Digest:
		return false, &tagTakenError{tag: tag, owner: owner.Digest}
	}
	return true, nil
}

func (r *registry) tags(ctx context.Context) ([]string, error) {
	var tags []string
	err := r.repository.Tags(ctx, "", func(page []string) error {
		tags = append(tags, page...)
		return nil
	})
	if err = r.explain("list tags of", err); errors.Is(err, errdef.ErrNotFound) {
		return nil, nil // a repository begins to exist with its first push
	}
	return tags, err
}

func (r *registry) referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	err := r.repository.Referrers(ctx, subject, TypeStatement, func(page []ocispec.Descriptor) error {
		found = append(found, page...)
		return nil
	})
	return found, r.explain("read", err)
}

// explain tells answers of the registry that no repetition changes from a network that fails.
func (r *registry) explain(verb string, err error) error {
	response, ok := errors.AsType[*errcode.ErrorResponse](err)
	if !ok {
		return err
	}
	switch response.StatusCode {
	case http.StatusNotFound:
		return errdef.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.New(fault.Invalid, verb+" store", r.location(),
			"log in with docker login "+r.repository.Reference.Registry+", as a user that may read and write there",
			fmt.Errorf("%w: the registry answered %d", errNoAccess, response.StatusCode))
	}
	return err
}
