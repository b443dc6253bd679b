package store_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
	"drawbridge/internal/store"
)

func newSigner(t *testing.T) store.Signer {
	t.Helper()
	signer, err := store.LoadOrCreateKey(filepath.Join(t.TempDir(), "keys", "signing.pem"))
	require.NoError(t, err)
	return signer
}

func passed(subject string) release.Statement {
	return release.Statement{
		Kind: release.Passed, Subject: subject, Environment: "staging", Plan: digest.FromString("plan").String(),
		By: "ana", At: time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC), Details: map[string]string{"deployment": "deploy/shop"},
	}
}

func pushed(t *testing.T, kept *store.Store, version string) string {
	t.Helper()
	packed := pack(t, "shop", version, tree())
	_, err := kept.Push(t.Context(), packed)
	require.NoError(t, err)
	return packed.Digest
}

func TestStatementsTravelWithTheRelease(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testStatements(t, kept.Store)
		})
	}
}

func testStatements(t *testing.T, kept *store.Store) {
	t.Helper()
	ctx := t.Context()
	signer := newSigner(t)
	keyID, err := signer.KeyID()
	require.NoError(t, err)
	subject, other := pushed(t, kept, "1.0.0"), pushed(t, kept, "1.0.1")
	statements, rejected, err := kept.Statements(ctx, store.Trust(signer), subject)
	require.NoError(t, err)
	require.Empty(t, statements)
	require.Empty(t, rejected)

	first := passed(subject)
	second := passed(subject)
	second.Kind, second.Environment, second.At = release.Approved, "prod", first.At.Add(time.Hour).In(time.FixedZone("", 3600))
	yanked := release.Statement{Kind: release.Yanked, Subject: other, By: "bo", Reason: "doubles amounts", At: first.At}
	for _, st := range []release.Statement{second, first, first, yanked} {
		require.NoError(t, kept.Attach(ctx, signer, st))
	}
	statements, rejected, err = kept.Statements(ctx, store.Trust(newSigner(t), signer), subject)
	require.NoError(t, err)
	require.Empty(t, rejected)
	first.KeyID, second.KeyID, second.At = keyID, keyID, second.At.UTC()
	require.Equal(t, []release.Statement{first, second}, statements, "in order, the repeated one once, none of another release")
}

func TestStatementsOfUntrustedKeysDoNotCount(t *testing.T) {
	t.Parallel()
	for name, kept := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := pushed(t, kept.Store, "1.0.0")
			require.NoError(t, kept.Attach(t.Context(), newSigner(t), passed(subject)))
			for _, trusted := range []store.Verifier{store.Trust(newSigner(t)), {}} {
				statements, rejected, err := kept.Statements(t.Context(), trusted, subject)
				require.NoError(t, err)
				require.Empty(t, statements)
				require.Len(t, rejected, 1)
				require.Contains(t, rejected[0].Reason, "trusted")
			}
		})
	}
}

// forge attaches an envelope that edit changed after it was signed, with all digests put right, as somebody
// does who can write to the store but has no key.
func forge(t *testing.T, signer store.Signer, st release.Statement, edit func(envelope map[string]any)) (*store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	kept := open(t, dir)
	st.Subject = pushed(t, kept, "1.0.0")
	require.NoError(t, kept.Attach(t.Context(), signer, st))
	blob := func(d string) string { return filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:")) }
	put := func(content []byte) string {
		d := digest.FromBytes(content).String()
		require.NoError(t, os.WriteFile(blob(d), content, 0o666))
		return d
	}
	index := filepath.Join(dir, "index.json")
	for _, entry := range read(t, index)["manifests"].([]any) {
		descriptor := entry.(map[string]any)
		if descriptor["artifactType"] != store.TypeStatement {
			continue
		}
		oldManifest := descriptor["digest"].(string)
		manifest := read(t, blob(oldManifest))
		oldLayer := manifest["layers"].([]any)[0].(map[string]any)["digest"].(string)
		envelope := read(t, blob(oldLayer))
		unedited := encode(t, envelope)
		edit(envelope)
		layer := encode(t, envelope)
		require.NotEqual(t, string(unedited), string(layer))
		layerDescriptor := manifest["layers"].([]any)[0].(map[string]any)
		layerDescriptor["digest"], layerDescriptor["size"] = put(layer), len(layer)
		body := encode(t, manifest)
		changed := read(t, index)
		for _, e := range changed["manifests"].([]any) {
			if d := e.(map[string]any); d["digest"] == oldManifest {
				d["digest"], d["size"] = put(body), len(body)
			}
		}
		require.NoError(t, os.WriteFile(index, encode(t, changed), 0o666))
	}
	return kept, st.Subject
}

func read(t *testing.T, path string) map[string]any {
	t.Helper()
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	var v map[string]any
	require.NoError(t, json.Unmarshal(body, &v))
	return v
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	require.NoError(t, err)
	return body
}

func TestForgedStatementsDoNotCount(t *testing.T) {
	t.Parallel()
	rewrite := func(old, changed string) func(map[string]any) {
		return func(envelope map[string]any) {
			body, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
			if err == nil {
				envelope["payload"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(body), old, changed, 1)))
			}
		}
	}
	edits := map[string]func(envelope map[string]any){
		"another environment": rewrite(`"staging"`, `"prod"`),
		"another kind":        rewrite(`"passed"`, `"approved"`),
		"another person":      rewrite(`"ana"`, `"eve"`),
		"no signature":        func(e map[string]any) { e["signatures"] = []any{} },
		"no envelope":         func(e map[string]any) { delete(e, "payload") },
		"another type":        func(e map[string]any) { e["payloadType"] = "text/plain" },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer := newSigner(t)
			kept, subject := forge(t, signer, passed(""), edit)
			statements, rejected, err := kept.Statements(t.Context(), store.Trust(signer), subject)
			require.NoError(t, err)
			require.Empty(t, statements)
			require.Len(t, rejected, 1)
			require.NotEmpty(t, rejected[0].Reason)
		})
	}
	t.Run("unchanged, so that the above fail for their reason", func(t *testing.T) {
		t.Parallel()
		signer := newSigner(t)
		kept, subject := forge(t, signer, passed(""), func(e map[string]any) { e["comment"] = "harmless" })
		statements, rejected, err := kept.Statements(t.Context(), store.Trust(signer), subject)
		require.NoError(t, err)
		require.Len(t, statements, 1)
		require.Empty(t, rejected)
	})
}

func TestStatementReplayedForAnotherReleaseDoesNotCount(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	// The envelope of 1.0.1, rightly signed, hung onto 1.0.0.
	donor := t.TempDir()
	kept := open(t, donor)
	other := pushed(t, kept, "1.0.1")
	require.NoError(t, kept.Attach(t.Context(), signer, passed(other)))
	var replayed map[string]any
	for _, entry := range read(t, filepath.Join(donor, "index.json"))["manifests"].([]any) {
		if d := entry.(map[string]any); d["artifactType"] == store.TypeStatement {
			blob := func(d any) string {
				return filepath.Join(donor, "blobs", "sha256", strings.TrimPrefix(d.(string), "sha256:"))
			}
			replayed = read(t, blob(read(t, blob(d["digest"]))["layers"].([]any)[0].(map[string]any)["digest"]))
		}
	}
	require.NotNil(t, replayed)
	kept, subject := forge(t, signer, passed(""), func(e map[string]any) {
		clear(e)
		maps.Copy(e, replayed)
	})
	statements, rejected, err := kept.Statements(t.Context(), store.Trust(signer), subject)
	require.NoError(t, err)
	require.Empty(t, statements)
	require.Len(t, rejected, 1)
	require.Contains(t, rejected[0].Reason, "it is about "+other)
}

func TestDamagedStatementIsReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept, signer := open(t, dir), newSigner(t)
	subject := pushed(t, kept, "1.0.0")
	require.NoError(t, kept.Attach(t.Context(), signer, passed(subject)))
	for _, entry := range read(t, filepath.Join(dir, "index.json"))["manifests"].([]any) {
		if d := entry.(map[string]any); d["artifactType"] == store.TypeStatement {
			path := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d["digest"].(string), "sha256:"))
			require.NoError(t, os.Chmod(path, 0o644))
			require.NoError(t, os.WriteFile(path, []byte("{}"), 0o644))
		}
	}
	statements, rejected, err := kept.Statements(t.Context(), store.Trust(signer), subject)
	require.NoError(t, err)
	require.Empty(t, statements)
	require.Len(t, rejected, 1)
	require.Contains(t, rejected[0].Reason, "digest mismatch")
}

func TestStatementsThatCannotBeReadAreNotTakenForNone(t *testing.T) {
	t.Parallel()
	r, reference := newRegistry(t)
	kept, signer := open(t, reference), newSigner(t)
	subject := pushed(t, kept, "1.0.0")
	require.NoError(t, kept.Attach(t.Context(), signer, release.Statement{
		Kind: release.Yanked, Subject: subject, By: "bo", Reason: "doubles amounts", At: time.Unix(1, 0),
	}))
	r.refuse = func(req *http.Request) int {
		if strings.Contains(req.URL.Path, "/manifests/") && !strings.HasSuffix(req.URL.Path, subject) {
			return http.StatusForbidden
		}
		return 0
	}
	_, _, err := kept.Statements(t.Context(), store.Trust(signer), subject)
	requireFault(t, err, fault.Invalid, "docker login")
}

func TestAttachRefusesStatementsThatSayTooLittle(t *testing.T) {
	t.Parallel()
	kept, signer := open(t, t.TempDir()), newSigner(t)
	subject := pushed(t, kept, "1.0.0")
	edits := map[string]func(*release.Statement){
		"unknown kind":          func(st *release.Statement) { st.Kind = "blessed" },
		"no person":             func(st *release.Statement) { st.By = "" },
		"no time":               func(st *release.Statement) { st.At = time.Time{} },
		"passed nowhere":        func(st *release.Statement) { st.Environment = "" },
		"approved without plan": func(st *release.Statement) { st.Kind, st.Plan = release.Approved, "" },
		"yanked without reason": func(st *release.Statement) { st.Kind, st.Reason = release.Yanked, "" },
		"unknown release":       func(st *release.Statement) { st.Subject = golden[:70] + "1" },
		"no digest":             func(st *release.Statement) { st.Subject = "shop-1.0.0" },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := passed(subject)
			edit(&st)
			requireFault(t, kept.Attach(t.Context(), signer, st), fault.Invalid)
		})
	}
}

func TestKeyIsMadeOnceAndKeptPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "signing.pem")
	const rivals = 8
	ids := make(chan string, rivals)
	var group sync.WaitGroup
	for range rivals {
		group.Go(func() {
			signer, err := store.LoadOrCreateKey(path)
			if err != nil {
				t.Errorf("load or create key: %v", err)
				return
			}
			id, err := signer.KeyID()
			if err != nil {
				t.Errorf("key id: %v", err)
			}
			ids <- id
		})
	}
	group.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		require.Equal(t, first, id, "all rivals use one key")
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no copy of a key is left behind")

	require.NoError(t, os.Chmod(path, 0o644))
	_, err = store.LoadOrCreateKey(path)
	requireFault(t, err, fault.Refused, "chmod 600 "+path)
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("hunter2"), 0o600))
	_, err = store.LoadOrCreateKey(path)
	requireFault(t, err, fault.Invalid, path)
	require.NotContains(t, err.Error(), "hunter2")
	_, err = store.LoadKey(path + ".none")
	requireFault(t, err, fault.Invalid, path+".none")
}

func TestTrustedKeysAreReadFromPEM(t *testing.T) {
	t.Parallel()
	kept := open(t, t.TempDir())
	subject := pushed(t, kept, "1.0.0")
	signer, another := newSigner(t), newSigner(t)
	require.NoError(t, kept.Attach(t.Context(), signer, passed(subject)))
	first, err := another.PublicKey()
	require.NoError(t, err)
	second, err := signer.PublicKey()
	require.NoError(t, err)
	trusted, err := store.ParseTrusted(append(first, second...))
	require.NoError(t, err)
	statements, _, err := kept.Statements(t.Context(), trusted, subject)
	require.NoError(t, err)
	require.Len(t, statements, 1)

	block, _ := pem.Decode(second)
	sum := sha256.Sum256(block.Bytes)
	require.Equal(t, hex.EncodeToString(sum[:]), statements[0].KeyID)

	for _, data := range []string{"", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		_, err := store.ParseTrusted([]byte(data))
		requireFault(t, err, fault.Invalid, "openssl pkey")
	}
}
