package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
	"drawbridge/internal/store"
)

func open(t *testing.T, reference string) *store.Store {
	t.Helper()
	kept, err := store.OpenStore(reference)
	require.NoError(t, err)
	return kept
}

// testStore is a store and a way to change what it keeps behind its back; no content removes it.
type testStore struct {
	*store.Store
	change func(t *testing.T, digest string, content []byte)
}

// stores returns a store of each kind.
func stores(t *testing.T) map[string]testStore {
	t.Helper()
	dir := t.TempDir()
	r, reference := newRegistry(t)
	return map[string]testStore{
		"folder": {open(t, dir), func(t *testing.T, d string, content []byte) {
			t.Helper()
			path := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:"))
			require.NoError(t, os.Remove(path))
			if content != nil {
				require.NoError(t, os.WriteFile(path, content, 0o666))
			}
		}},
		"registry": {open(t, reference), func(t *testing.T, d string, content []byte) {
			t.Helper()
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Contains(t, r.content, d)
			if delete(r.content, d); content != nil {
				r.content[d] = content
			}
		}},
	}
}

func TestStoreReturnsWhatWasPushed(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			require.NoError(t, kept.Check(ctx))
			versions, err := kept.Versions(ctx, "shop")
			require.NoError(t, err)
			require.Empty(t, versions)

			packed := pack(t, "shop", "1.0.0", tree())
			created, err := kept.Push(ctx, packed)
			require.NoError(t, err)
			require.True(t, created)
			created, err = kept.Push(ctx, packed)
			require.NoError(t, err)
			require.False(t, created, "the same release again changes nothing")

			d, err := kept.Resolve(ctx, "shop", "1.0.0")
			require.NoError(t, err)
			require.Equal(t, packed.Digest, d)
			loaded, err := kept.Load(ctx, d)
			require.NoError(t, err)
			require.Equal(t, packed.Artifact, normal(loaded))
		})
	}
}

// normal lets empty files compare as equal.
func normal(r store.Artifact) store.Artifact {
	for name, content := range r.Files {
		if len(content) == 0 {
			r.Files[name] = []byte{}
		}
	}
	return r
}

func TestStoreRefusesAVersionWithAnotherContent(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := pack(t, "shop", "1.0.0", tree())
			_, err := kept.Push(t.Context(), first)
			require.NoError(t, err)
			changed := tree()
			changed["sql/fct_orders.sql"] = []byte("SELECT 2 AS order_id\n")
			second := pack(t, "shop", "1.0.0", changed)
			created, err := kept.Push(t.Context(), second)
			requireFault(t, err, fault.Refused, first.Digest, second.Digest, "raise the version")
			require.False(t, created)
			d, err := kept.Resolve(t.Context(), "shop", "1.0.0")
			require.NoError(t, err)
			require.Equal(t, first.Digest, d, "the tag did not move")
		})
	}
}

func TestStoreListsVersionsInOrder(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			for _, r := range [][2]string{{"shop", "1.10.0"}, {"shop", "1.9.0"}, {"shop", "2.0.0-rc.1"}, {"shop", "2.0.0"}, {"shop-2", "1.0.0"}, {"shop_eu", "3.0.0"}} {
				_, err := kept.Push(ctx, pack(t, r[0], r[1], tree()))
				require.NoError(t, err)
			}
			_, err := kept.PutBlob(ctx, "application/json", []byte("{}"))
			require.NoError(t, err)
			versions, err := kept.Versions(ctx, "shop")
			require.NoError(t, err)
			require.Equal(t, []string{"1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0"}, versions)

			_, err = kept.Resolve(ctx, "shop", "1.11.0")
			requireFault(t, err, fault.Invalid, "shop 1.11.0", "1.10.0, 2.0.0-rc.1, 2.0.0")
			_, err = kept.Resolve(ctx, "none", "1.0.0")
			requireFault(t, err, fault.Invalid, "drawbridge build")
			_, err = kept.Resolve(ctx, "shop", "1.9")
			requireFault(t, err, fault.Invalid, "1.9.0")
		})
	}
}

func TestStoreKeepsBlobsAndSources(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			d, err := kept.PutBlob(ctx, "application/json", []byte(`{"plan": 1}`))
			require.NoError(t, err)
			require.Equal(t, digest.FromString(`{"plan": 1}`).String(), d)
			again, err := kept.PutBlob(ctx, "application/json", []byte(`{"plan": 1}`))
			require.NoError(t, err)
			require.Equal(t, d, again)
			blob, err := kept.Blob(ctx, d)
			require.NoError(t, err)
			require.JSONEq(t, `{"plan": 1}`, string(blob))

			source, err := kept.PutSource(ctx, tree())
			require.NoError(t, err)
			files, err := kept.Source(ctx, source)
			require.NoError(t, err)
			require.Equal(t, golden, pack(t, "shop", "1.0.0", files).Digest)

			kept.change(t, d, []byte(`{"plan": 2}`))
			_, err = kept.Blob(ctx, d)
			requireFault(t, err, fault.Refused, "digest mismatch", d)
			kept.change(t, d, nil)
			_, err = kept.Blob(ctx, d)
			requireFault(t, err, fault.Invalid, d, kept.Location())
		})
	}
}

// layerOf returns the digest of a release's layer.
func layerOf(t *testing.T, files store.Files) string {
	t.Helper()
	source, err := store.Source(files)
	require.NoError(t, err)
	return digest.FromBytes(source).String()
}

func TestStoreRefusesTamperedReleases(t *testing.T) {
	t.Parallel()
	layer, err := store.Source(tree())
	require.NoError(t, err)
	flip := func(data []byte, at int) []byte {
		flipped := append([]byte(nil), data...)
		flipped[at] ^= 1
		return flipped
	}
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			packed := pack(t, "shop", "1.0.0", tree())
			_, err := kept.Push(ctx, packed)
			require.NoError(t, err)
			for _, at := range []int{0, len(layer) / 2, len(layer) - 1} {
				kept.change(t, layerOf(t, tree()), flip(layer, at))
				_, err = kept.Load(ctx, packed.Digest)
				requireFault(t, err, fault.Refused, "digest mismatch", layerOf(t, tree()))
			}
			kept.change(t, layerOf(t, tree()), nil)
			_, err = kept.Load(ctx, packed.Digest)
			requireFault(t, err, fault.Invalid, "not in the store", layerOf(t, tree()))
		})
	}
}

func TestLoadRefusesWhatIsNoRelease(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := kept.Load(t.Context(), golden)
			requireFault(t, err, fault.Invalid, golden, "not in the store")
			for _, d := range []string{"", "shop-1.0.0", "sha256:../../etc/passwd", "sha256:abc", digest.SHA512.FromString("x").String()} {
				_, err := kept.Load(t.Context(), d)
				requireFault(t, err, fault.Invalid, "it is no digest")
				_, err = kept.Blob(t.Context(), d)
				requireFault(t, err, fault.Invalid, "it is no digest")
			}
		})
	}
	kept := open(t, t.TempDir())
	blob, err := kept.PutBlob(t.Context(), "application/json", []byte("{}"))
	require.NoError(t, err)
	_, err = kept.Load(t.Context(), blob)
	requireFault(t, err, fault.Invalid, blob, "it is not of type "+store.TypeRelease)
}

// another is a tree with other content, as an author's edit makes it.
func another(n int) store.Files {
	files := tree()
	files["sql/fct_orders.sql"] = fmt.Appendf(nil, "SELECT %d AS order_id\n", n)
	return files
}

func TestTriesClaimNoVersion(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			var tries []release.Release
			for n := range 3 {
				r, err := kept.Try(ctx, "shop", "1.0.0", another(n))
				require.NoError(t, err)
				require.Regexp(t, `^1\.0\.0\+[0-9a-f]{8}$`, r.Version)
				again, err := kept.Try(ctx, "shop", "1.0.0", another(n))
				require.NoError(t, err)
				require.Equal(t, r, again)
				tries = append(tries, r)
			}
			owner, err := kept.Owner(ctx, "shop", "1.0.0")
			require.NoError(t, err)
			require.Empty(t, owner)
			_, err = kept.Resolve(ctx, "shop", "1.0.0")
			requireFault(t, err, fault.Invalid, tries[1].Version)

			require.NoError(t, kept.Claim(ctx, tries[1]))
			require.NoError(t, kept.Claim(ctx, tries[1]), "twice is once")
			requireFault(t, kept.Claim(ctx, tries[0]), fault.Refused, tries[1].Digest, "raise the version")
			named, err := kept.Try(ctx, "shop", "1.0.0", another(1))
			require.NoError(t, err)
			require.Equal(t, "1.0.0", named.Version, "by its version, now that it has one")
			later, err := kept.Try(ctx, "shop", "1.0.0", another(7))
			require.NoError(t, err, "what is claimed can be tried with another content")
			_, _, err = kept.Build(ctx, "shop", "1.0.0", another(7))
			requireFault(t, err, fault.Refused, "raise the version")

			for version, digest := range map[string]string{
				"1.0.0": tries[1].Digest, tries[0].Version: tries[0].Digest, tries[1].Version: tries[1].Digest, later.Version: later.Digest,
				"1.0.0+" + strings.TrimPrefix(tries[2].Digest, "sha256:"): tries[2].Digest,
			} {
				found, err := kept.Resolve(ctx, "shop", version)
				require.NoError(t, err)
				require.Equal(t, digest, found, version)
				artifact, err := kept.Load(ctx, found)
				require.NoError(t, err)
				require.Equal(t, "1.0.0", artifact.Version, "the artifact is the same, claimed or not")
			}
			var listed []string
			for r, err := range kept.Releases(ctx, "shop") {
				require.NoError(t, err)
				listed = append(listed, r.Version)
			}
			require.Equal(t, "1.0.0", listed[0], "what has the version comes before its tries")
			require.ElementsMatch(t, []string{"1.0.0", tries[0].Version, tries[1].Version, tries[2].Version, later.Version}, listed)
		})
	}
}

func TestWhatWasBuiltIsFoundAsATryToo(t *testing.T) {
	t.Parallel()
	kept := open(t, t.TempDir())
	built, _, err := kept.Build(t.Context(), "shop", "1.0.0", tree())
	require.NoError(t, err)
	found, err := kept.Resolve(t.Context(), "shop", built.As("").Version)
	require.NoError(t, err)
	require.Equal(t, built.Digest, found)
	_, err = kept.Resolve(t.Context(), "shop", "1.0.0+ffffffff")
	requireFault(t, err, fault.Invalid, "1.0.0")
	_, err = kept.Resolve(t.Context(), "shop", "1.0.0+short")
	requireFault(t, err, fault.Invalid, "8 digits")
}

func TestAReleaseClaimsOnlyTheVersionThatItSaysOfItself(t *testing.T) {
	t.Parallel()
	kept := open(t, t.TempDir())
	r, err := kept.Try(t.Context(), "shop", "1.0.0", tree())
	require.NoError(t, err)
	forged := r
	forged.Version = "2.0.0"
	requireFault(t, kept.Claim(t.Context(), forged), fault.Refused, "shop@1.0.0")
	forged = r
	forged.Pipeline = "orders"
	requireFault(t, kept.Claim(t.Context(), forged), fault.Refused, "shop@1.0.0")
	versions, err := kept.Versions(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, []string{r.Version}, versions)
}

func TestAVersionThatLooksLikeATryIsRefused(t *testing.T) {
	t.Parallel()
	_, err := store.Pack("shop", "1.0.0-20261125", tree())
	requireFault(t, err, fault.Invalid, "dev.")
	_, err = store.Pack("shop", "1.0.0-dev.20261125", tree())
	require.NoError(t, err)
}
