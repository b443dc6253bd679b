package store_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/fault"
	"drawbridge/internal/store"
)

// golden is the digest of tree() as shop 1.0.0. When it changes, every release in every store changes its
// identity: that is a new artifact type, not a new constant.
const golden = "sha256:871ae5170160d6da2c0ca47741609b2dc0b799c6efb44c5ac1200c19be8920e3"

func TestDigestIsAFunctionOfNameVersionAndFiles(t *testing.T) {
	t.Parallel()
	require.Equal(t, golden, pack(t, "shop", "1.0.0", tree()).Digest)

	changed := tree()
	changed["sql/fct_orders.sql"] = []byte("SELECT 2 AS order_id\n")
	renamed := tree()
	renamed["sql/orders.sql"] = renamed["sql/fct_orders.sql"]
	delete(renamed, "sql/fct_orders.sql")
	digests := []string{
		golden,
		pack(t, "shop", "1.0.1", tree()).Digest,
		pack(t, "shop_eu", "1.0.0", tree()).Digest,
		pack(t, "shop", "1.0.0", changed).Digest,
		pack(t, "shop", "1.0.0", renamed).Digest,
	}
	slices.Sort(digests)
	require.Len(t, slices.Compact(digests), 5)
}

func TestDigestIsTheSameUnderAnotherUmaskAndTimezone(t *testing.T) {
	t.Parallel()
	for _, umask := range []string{"000", "027", "077"} {
		t.Run(umask, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, "/bin/sh", "digest", filepath.Join(t.TempDir(), "shop"))
			cmd.Args = []string{"sh", "-c", "umask " + umask + ` && exec "$0"`, executable(t)}
			cmd.Env = append(cmd.Env, "TZ=Asia/Kathmandu")
			out, err := cmd.Output()
			require.NoError(t, err, string(out))
			require.Equal(t, golden, string(out))
		})
	}
}

func TestDigestIsTheSameWhateverOrderTimesAndModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := tree()
	paths := files.Paths()
	slices.Reverse(paths)
	for i, name := range paths {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, writeTree(dir, store.Files{name: files[name]}))
		require.NoError(t, os.Chmod(path, []os.FileMode{0o600, 0o644, 0o755}[i%3]))
		at := time.Unix(int64(i)*86400*365, 0)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	collected, skipped, err := store.Collect(dir, store.Options{})
	require.NoError(t, err)
	require.Empty(t, skipped)
	require.Equal(t, golden, pack(t, "shop", "1.0.0", collected).Digest)
}

func writeTree(dir string, files store.Files) error {
	for _, name := range files.Paths() {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o666); err != nil {
			return err
		}
	}
	return nil
}

func TestCollectLeavesDataAndPoliciesOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := tree()
	left := map[string]string{
		"orders.csv": "data", "seeds/a.CSV": "data", "seeds/b.csv.gz": "data", "c.parquet": "data",
		"policy.prod.yaml":     "policy: belongs to the environment's worker",
		"tests/policy.dev.yml": "policy: belongs to the environment's worker",
		".env":                 "hidden", "tests/.hidden": "hidden", "sql/a.sql~": "backup", "sql/b.sql.orig": "backup", "#c.sql#": "backup",
	}
	want := map[string]string{"data": "data", ".git": "hidden", ".drawbridge": "hidden", "etl/__pycache__": "cache"}
	for name, reason := range left {
		want[name] = reason
		files[name] = []byte("secret")
	}
	for _, name := range []string{"data/orders.sql", ".git/config", ".drawbridge/state", "etl/__pycache__/x.py"} {
		files[name] = []byte("secret")
	}
	files["etl/etl.py"] = []byte("pass")
	files["data.yaml"] = []byte("kept: true")
	require.NoError(t, writeTree(dir, files))

	collected, skipped, err := store.Collect(dir, store.Options{})
	require.NoError(t, err)
	kept := tree()
	kept["etl/etl.py"], kept["data.yaml"] = []byte("pass"), []byte("kept: true")
	require.Equal(t, kept, collected)
	got := map[string]string{}
	for _, s := range skipped {
		got[s.Path] = s.Reason
	}
	require.Equal(t, want, got)
}

func TestCollectKeepsRowsOfTheTestsFolderThatThePipelineNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, writeTree(dir, store.Files{
		"pipeline.yaml": nil, "unit/given.csv": nil, "unit/data/expected.csv": nil, "tests/other.csv": nil, "unit2/given.csv": nil,
	}))
	files, _, err := store.Collect(dir, store.Options{Tests: "unit/"})
	require.NoError(t, err)
	require.Equal(t, []string{"pipeline.yaml", "unit/data/expected.csv", "unit/given.csv"}, files.Paths())
}

func TestCollectRefusesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, writeTree(dir, tree()))
	large := filepath.Join(dir, "model.bin")
	require.NoError(t, os.WriteFile(large, nil, 0o666))
	require.NoError(t, os.Truncate(large, 10<<20+1))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "sql", "link.sql")))
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(dir, "elsewhere")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, `a\b.sql`), nil, 0o666))

	_, _, err := store.Collect(dir, store.Options{})
	requireFault(t, err, fault.Invalid, "model.bin has 10 MiB", "sql/link.sql is a symbolic link", "elsewhere is a symbolic link",
		"has a character that some systems do not allow", "pack.allow")

	_, _, err = store.Collect(dir, store.Options{Allow: []string{"*.bin"}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "model.bin")

	_, _, err = store.Collect(dir, store.Options{Allow: []string{"[a"}})
	requireFault(t, err, fault.Invalid, "pack.allow [a")
}

func TestCollectTakesExactlyTheAllowedSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, writeTree(dir, store.Files{"pipeline.yaml": nil, "model.bin": bytes.Repeat([]byte{1}, 10<<20)}))
	_, _, err := store.Collect(dir, store.Options{})
	require.NoError(t, err)
	require.NoError(t, os.Truncate(filepath.Join(dir, "model.bin"), 257<<20))
	_, _, err = store.Collect(dir, store.Options{Allow: []string{"*.bin"}})
	requireFault(t, err, fault.Invalid, "more than 256 MiB")
}

func TestCollectTakesADataLinkForData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, writeTree(dir, store.Files{"pipeline.yaml": nil}))
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(dir, "data")))
	_, skipped, err := store.Collect(dir, store.Options{})
	require.NoError(t, err)
	require.Equal(t, []store.Skipped{{Path: "data", Reason: "data"}}, skipped)
}

func TestCollectNeedsAPipeline(t *testing.T) {
	t.Parallel()
	_, _, err := store.Collect(t.TempDir(), store.Options{})
	requireFault(t, err, fault.Invalid, "there is no pipeline.yaml", "drawbridge init")
	_, _, err = store.Collect(filepath.Join(t.TempDir(), "none"), store.Options{})
	requireFault(t, err, fault.Invalid, "none")
}

func TestPackRefusesNamesAndVersions(t *testing.T) {
	t.Parallel()
	versions := map[string]string{
		"1.2":                              "write 1.2.0",
		"v1.2.3":                           "write 1.2.3",
		"1.2.3+build":                      "write 1.2.3",
		"01.2.3":                           "write 1.2.3",
		"latest":                           "MAJOR.MINOR.PATCH",
		"":                                 "MAJOR.MINOR.PATCH",
		"1.0.0-" + strings.Repeat("a", 60): "MAJOR.MINOR.PATCH",
	}
	for version, hint := range versions {
		_, err := store.Pack("shop", version, tree())
		requireFault(t, err, fault.Invalid, hint)
	}
	for _, name := range []string{"", "Shop", "1shop", "shop-", "a.b", "a b", "../a", strings.Repeat("a", 64)} {
		_, err := store.Pack(name, "1.0.0", tree())
		requireFault(t, err, fault.Invalid, "pipeline name")
	}
	_, err := store.Pack("taxi_trips-eu", "1.0.0-rc.1", tree())
	require.NoError(t, err)
	_, err = store.Pack("shop", "1.0.0", store.Files{"../pipeline.yaml": nil})
	requireFault(t, err, fault.Invalid, "../pipeline.yaml")
}

func TestSourceRoundTrip(t *testing.T) {
	t.Parallel()
	segment := rapid.StringMatching(`[a-zA-Z0-9_ é-]{1,120}`)
	rapid.Check(t, func(t *rapid.T) {
		files := store.Files{}
		for i := range rapid.IntRange(0, 8).Draw(t, "files") {
			// A folder per file keeps one from being below another.
			name := strings.Join(append([]string{string(rune('a' + i))}, rapid.SliceOfN(segment, 1, 4).Draw(t, "path")...), "/")
			files[name] = rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "content")
		}
		archive, err := store.Source(files)
		require.NoError(t, err)
		unpacked, err := store.Unpack(archive)
		require.NoError(t, err)
		require.Equal(t, files.Paths(), unpacked.Paths())
		for name := range files {
			require.True(t, bytes.Equal(files[name], unpacked[name]))
		}
	})
}

func TestSourceIsATarThatTarReads(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("no tar on this machine")
	}
	archive, err := store.Source(tree())
	require.NoError(t, err)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "tar", "-x", "-f", "-", "-C", dir)
	cmd.Stdin = bytes.NewReader(archive)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	extracted, _, err := store.Collect(dir, store.Options{})
	require.NoError(t, err)
	require.Equal(t, golden, pack(t, "shop", "1.0.0", extracted).Digest)
}
