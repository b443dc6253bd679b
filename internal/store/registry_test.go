package store_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/store"
)

// registry answers the requests of the OCI distribution specification that a store makes, from memory.
type registry struct {
	mu        sync.Mutex
	content   map[string][]byte // blobs and manifests by digest
	tags      map[string]string
	referrers bool                          // false: as registries before version 1.1 of the specification
	refuse    func(*http.Request) int       // a status to answer with instead, or 0
	onPut     func(r *registry, ref string) // called, locked, after a manifest was put
}

// newRegistry returns a registry and the reference of a repository in it.
func newRegistry(t *testing.T) (*registry, string) {
	t.Helper()
	r := &registry{content: map[string][]byte{}, tags: map[string]string{}, referrers: true}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, strings.TrimPrefix(server.URL, "http://") + "/team/releases"
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		if status := r.refuse(req); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	kind, ref, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/team/releases/"), "/")
	switch {
	case kind == "blobs" && req.Method == http.MethodPost:
		w.Header().Set("Location", "/v2/team/releases/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
	case kind == "blobs" && req.Method == http.MethodPut:
		r.put(w, req, req.URL.Query().Get("digest"), "")
	case kind == "manifests" && req.Method == http.MethodPut:
		r.put(w, req, "", ref)
	case kind == "blobs":
		r.get(w, req, ref, "application/octet-stream")
	case kind == "manifests":
		if d, ok := r.tags[ref]; ok {
			ref = d
		}
		r.get(w, req, ref, ocispec.MediaTypeImageManifest)
	case kind == "tags":
		var list struct {
			Tags []string `json:"tags"`
		}
		for tag := range r.tags {
			list.Tags = append(list.Tags, tag)
		}
		slices.Sort(list.Tags)
		reply(w, "application/json", list)
	case kind == "referrers" && r.referrers:
		reply(w, ocispec.MediaTypeImageIndex, r.index(ref))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (r *registry) put(w http.ResponseWriter, req *http.Request, want, tag string) {
	body, err := io.ReadAll(req.Body)
	d := digest.FromBytes(body).String()
	if err != nil || want != "" && want != d {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.content[d] = body
	if tag != "" && tag != d {
		r.tags[tag] = d
	}
	var m ocispec.Manifest
	if json.Unmarshal(body, &m) == nil && m.Subject != nil && r.referrers {
		w.Header().Set("OCI-Subject", m.Subject.Digest.String())
	}
	if r.onPut != nil && tag != "" {
		r.onPut(r, tag)
	}
	w.Header().Set("Docker-Content-Digest", d)
	w.WriteHeader(http.StatusCreated)
}

func (r *registry) get(w http.ResponseWriter, req *http.Request, d, mediaType string) {
	body, ok := r.content[d]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var typed struct {
		MediaType string `json:"mediaType"`
	}
	if mediaType == ocispec.MediaTypeImageManifest && json.Unmarshal(body, &typed) == nil && typed.MediaType != "" {
		mediaType = typed.MediaType
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", d)
	http.ServeContent(w, req, "", time.Time{}, strings.NewReader(string(body)))
}

func (r *registry) index(subject string) ocispec.Index {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	for d, body := range r.content {
		var m ocispec.Manifest
		if json.Unmarshal(body, &m) == nil && m.Subject != nil && m.Subject.Digest.String() == subject {
			index.Manifests = append(index.Manifests, ocispec.Descriptor{
				MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.Digest(d), Size: int64(len(body)),
			})
		}
	}
	return index
}

func reply(w http.ResponseWriter, mediaType string, body any) {
	w.Header().Set("Content-Type", mediaType)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func TestRegistryThatRefusesTheUserIsNotRetried(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		r, reference := newRegistry(t)
		r.refuse = func(*http.Request) int { return status }
		kept := open(t, reference)
		requireFault(t, kept.Check(t.Context()), fault.Invalid, "docker login", reference)
		_, err := kept.Push(t.Context(), pack(t, "shop", "1.0.0", tree()))
		requireFault(t, err, fault.Invalid, "docker login")
	}
}

func TestRegistryThatCannotBeReachedIsTransient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	err := open(t, strings.TrimPrefix(server.URL, "http://")+"/team/releases").Check(t.Context())
	require.Error(t, err)
	require.Empty(t, fault.ClassOf(err))
}

func TestRegistryPushThatLosesARaceIsRefused(t *testing.T) {
	t.Parallel()
	r, reference := newRegistry(t)
	kept := open(t, reference)
	rival := digest.FromString("rival").String()
	r.onPut = func(r *registry, tag string) {
		r.content[rival] = []byte(`{"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`)
		r.tags[tag] = rival
	}
	_, err := kept.Push(t.Context(), pack(t, "shop", "1.0.0", tree()))
	requireFault(t, err, fault.Refused, rival)
}

func TestRegistryWithoutReferrersKeepsStatements(t *testing.T) {
	t.Parallel()
	r, reference := newRegistry(t)
	r.referrers = false
	testStatements(t, open(t, reference))
}

func TestOpenStoreReferences(t *testing.T) {
	t.Parallel()
	locations := map[string]string{
		"registry.example.com/team/releases":       "registry.example.com/team/releases",
		"registry:5000/releases":                   "registry:5000/releases",
		"localhost/releases":                       "localhost/releases",
		"http://registry/releases":                 "registry/releases",
		"oci://registry.example.com/team/releases": "registry.example.com/team/releases",
		"/var/lib/drawbridge":                      "/var/lib/drawbridge",
	}
	for reference, location := range locations {
		require.Equal(t, location, open(t, reference).Location())
	}
	require.True(t, strings.HasSuffix(open(t, "").Location(), "/"+store.DefaultStore))
	require.True(t, strings.HasSuffix(open(t, "./a.b/store").Location(), "/a.b/store"))
	require.True(t, strings.HasSuffix(open(t, "releases/store").Location(), "/releases/store"))
	for _, reference := range []string{"registry.example.com/Team", "s3://bucket/releases", "registry.example.com/team:1.0.0"} {
		_, err := store.OpenStore(reference)
		requireFault(t, err, fault.Invalid, reference)
	}
}
