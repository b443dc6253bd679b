package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/content/oci"

	"drawbridge/internal/fault"
	"drawbridge/internal/store"
)

func TestFolderRefusesATamperedManifestAndHealsWhenBuiltAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := open(t, dir)
	packed := pack(t, "shop", "1.0.0", tree())
	_, err := kept.Push(t.Context(), packed)
	require.NoError(t, err)
	for _, d := range []string{layerOf(t, tree()), packed.Digest} {
		path := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:"))
		require.NoError(t, os.Chmod(path, 0o644))
		require.NoError(t, os.Truncate(path, 100))
		_, err = kept.Load(t.Context(), packed.Digest)
		requireFault(t, err, fault.Refused, "digest mismatch", d)
	}
	created, err := kept.Push(t.Context(), packed)
	require.NoError(t, err)
	require.False(t, created)
	_, err = kept.Load(t.Context(), packed.Digest)
	require.NoError(t, err)
}

func TestFolderIsALayoutThatOtherToolsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := open(t, dir)
	packed := pack(t, "shop", "1.0.0", tree())
	_, err := kept.Push(t.Context(), packed)
	require.NoError(t, err)
	signer := newSigner(t)
	require.NoError(t, kept.Attach(t.Context(), signer, passed(packed.Digest)))

	library, err := oci.NewFromFS(t.Context(), os.DirFS(dir))
	require.NoError(t, err)
	copied := memory.New()
	d, err := oras.ExtendedCopy(t.Context(), library, "shop-1.0.0", copied, "", oras.DefaultExtendedCopyOptions)
	require.NoError(t, err)
	require.Equal(t, packed.Digest, d.Digest.String())
	referrers, err := copied.Predecessors(t.Context(), d)
	require.NoError(t, err)
	require.Len(t, referrers, 1)

	// And the other way round: a layout that the library wrote, with its own index.
	other := t.TempDir()
	written, err := oci.New(other)
	require.NoError(t, err)
	_, err = oras.ExtendedCopy(t.Context(), library, "shop-1.0.0", written, "shop-1.0.0", oras.DefaultExtendedCopyOptions)
	require.NoError(t, err)
	loaded, err := open(t, other).Load(t.Context(), packed.Digest)
	require.NoError(t, err)
	require.Equal(t, "1.0.0", loaded.Version)
	statements, rejected, err := open(t, other).Statements(t.Context(), store.Trust(signer), packed.Digest)
	require.NoError(t, err)
	require.Len(t, statements, 1)
	require.Empty(t, rejected)
}

func TestFolderKeepsEveryTagOfConcurrentProcesses(t *testing.T) {
	t.Parallel()
	const processes, releases = 4, 8
	dir := filepath.Join(t.TempDir(), "store")
	var group sync.WaitGroup
	for i := range processes {
		group.Go(func() {
			cmd := command(t, executable(t), "push", dir, fmt.Sprintf("p%d", i), fmt.Sprint(releases))
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("process %d: %v: %s", i, err, out)
			}
		})
	}
	group.Wait()
	for i := range processes {
		versions, err := open(t, dir).Versions(t.Context(), fmt.Sprintf("p%d", i))
		require.NoError(t, err)
		require.Len(t, versions, releases)
	}
}

func TestFolderGivesAVersionToOneOfManyRivals(t *testing.T) {
	t.Parallel()
	const rivals = 8
	dir := t.TempDir()
	var (
		group   sync.WaitGroup
		created = make(chan string, rivals)
		refused = make(chan error, rivals)
	)
	for i := range rivals {
		files := tree()
		files["sql/fct_orders.sql"] = fmt.Appendf(nil, "SELECT %d AS order_id\n", i)
		packed := pack(t, "shop", "1.0.0", files)
		kept := open(t, dir)
		group.Go(func() {
			if ok, err := kept.Push(t.Context(), packed); err != nil {
				refused <- err
			} else if ok {
				created <- packed.Digest
			}
		})
	}
	group.Wait()
	close(refused)
	require.Len(t, created, 1)
	require.Len(t, refused, rivals-1)
	for err := range refused {
		require.Equal(t, fault.Refused, fault.ClassOf(err), err)
	}
	d, err := open(t, dir).Resolve(t.Context(), "shop", "1.0.0")
	require.NoError(t, err)
	require.Equal(t, <-created, d)
}

func TestFolderGivesAVersionToOneOfManyTries(t *testing.T) {
	t.Parallel()
	const rivals = 8
	dir := t.TempDir()
	var (
		group   sync.WaitGroup
		claimed = make(chan string, rivals)
		refused = make(chan error, rivals)
		start   = make(chan struct{})
	)
	for i := range rivals {
		kept := open(t, dir)
		r, err := kept.Try(t.Context(), "shop", "1.0.0", another(i))
		require.NoError(t, err)
		group.Go(func() {
			<-start
			if err := kept.Claim(t.Context(), r); err != nil {
				refused <- err
				return
			}
			claimed <- r.Digest
		})
	}
	close(start)
	group.Wait()
	close(refused)
	require.Len(t, claimed, 1)
	require.Len(t, refused, rivals-1)
	for err := range refused {
		require.Equal(t, fault.Refused, fault.ClassOf(err), err)
	}
	owner, err := open(t, dir).Owner(t.Context(), "shop", "1.0.0")
	require.NoError(t, err)
	require.Equal(t, <-claimed, owner)
}

func TestFolderIsWaitedForNoLongerThanTheContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := open(t, dir)
	require.NoError(t, kept.Check(t.Context()))
	holder, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer holder.Close()
	require.NoError(t, syscall.Flock(int(holder.Fd()), syscall.LOCK_EX))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- kept.Check(ctx) }()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

func TestFolderNeverShowsHalfAnIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := open(t, dir)
	require.NoError(t, kept.Check(t.Context()))
	var writing sync.WaitGroup
	stop := make(chan struct{})
	writing.Go(func() {
		defer close(stop)
		for i := range 30 {
			if _, err := kept.PutBlob(t.Context(), "text/plain", fmt.Append(nil, i)); err != nil {
				t.Errorf("put blob %d: %v", i, err)
				return
			}
		}
	})
	for reads := 0; ; reads++ {
		body, err := os.ReadFile(filepath.Join(dir, "index.json"))
		require.NoError(t, err)
		var index ocispec.Index
		require.NoError(t, json.Unmarshal(body, &index))
		select {
		case <-stop:
			writing.Wait()
			require.Positive(t, reads)
			return
		default:
		}
	}
}

func TestFolderWithoutAccessIsNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	requireFault(t, open(t, filepath.Join(file, "store")).Check(t.Context()), fault.Invalid, file, "--registry")
	_, err := open(t, filepath.Join(file, "store")).Load(t.Context(), golden)
	requireFault(t, err, fault.Invalid, file, "--registry")

	// Another user, where this one may do everything.
	shared, err := os.MkdirTemp("", "drawbridge-release") //nolint:usetesting // t.TempDir is closed to other users
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(shared)) })
	require.NoError(t, os.Chmod(shared, 0o755))
	binary := filepath.Join(shared, "child")
	content, err := os.ReadFile(executable(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, content, 0o755))
	kept := filepath.Join(shared, "store")
	require.NoError(t, os.Mkdir(kept, 0o700))
	require.NoError(t, os.Chmod(kept, 0o500))
	cmd := command(t, binary, "push", kept, "shop", "1")
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Contains(t, string(out), string(fault.Invalid)+"|")
	require.Contains(t, string(out), kept)
	require.Contains(t, string(out), "rights on the folder")
}

func TestFolderOfOtherFilesIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, writeTree(dir, tree()))
	_, err := open(t, dir).Push(t.Context(), pack(t, "shop", "1.0.0", tree()))
	requireFault(t, err, fault.Invalid, dir, "empty folder")
	_, err = os.Stat(filepath.Join(dir, "blobs"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFolderWithABrokenIndexSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := open(t, dir)
	require.NoError(t, kept.Check(t.Context()))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"manifests": [`), 0o666))
	_, err := kept.Versions(t.Context(), "shop")
	requireFault(t, err, fault.Invalid, dir, "index.json")
	_, err = kept.Push(t.Context(), pack(t, "shop", "1.0.0", tree()))
	requireFault(t, err, fault.Invalid, dir)
}
