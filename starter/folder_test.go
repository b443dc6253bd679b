package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/console"
)

// shop makes the scaffold of a pipeline in the terminal's folder and returns its path.
func shop(t *testing.T, x *terminal) string {
	t.Helper()
	dir := x.path("shop")
	require.Zero(t, x.run(t, "init", "shop", "--dir", dir), x.errOut.String())
	return dir
}

// edit replaces text in a file, which must be there.
func edit(t *testing.T, file, before, after string) {
	t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(body), before)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(body), before, after)), 0o644))
}

func TestInitMakesAPipelineThatIsValid(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	dir := shop(t, x)
	require.Contains(t, x.out.String(), "pipeline.yaml")
	require.Contains(t, x.out.String(), "Next: drawbridge validate")
	require.Zero(t, x.run(t, "validate", dir, "--offline"), x.out.String())
	require.Contains(t, x.out.String(), "not checked: SQL")
	require.Contains(t, x.out.String(), "not checked: unit tests")

	require.Equal(t, int(exitRefused), x.run(t, "init", "shop", "--dir", dir), "what is there is never written over")
	require.Contains(t, x.errOut.String(), "the folder is not empty")
	require.Equal(t, int(exitInvalid), x.run(t, "init", "No Shop", "--dir", x.path("other")))
	require.NoDirExists(t, x.path("other"))
}

func TestValidateOfflineSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	dir := shop(t, x)
	edit(t, dir+"/pipeline.yaml", "name: shop", "nam: shop")
	x.write(t, "shop/config.dev.yaml", "warehouse: warehouse\nwarehouse_schemaa: x\n")
	x.write(t, "shop/notes.md", "key AKIAIOSFODNN7EXAMPLQ\n")
	require.Equal(t, int(exitInvalid), x.run(t, "validate", dir, "--offline", "--json"))
	var r console.Report
	require.NoError(t, json.Unmarshal(x.out.Bytes(), &r))
	var places []string
	for _, l := range r.Lines {
		require.False(t, l.OK, l)
		places = append(places, l.Subject)
	}
	all := strings.Join(places, "\n")
	require.Contains(t, all, "pipeline.yaml:1:1")
	require.Contains(t, all, "config.dev.yaml:2:1")
	require.Contains(t, all, "notes.md:1:5")
	require.NotContains(t, x.out.String(), "AKIAIOSFODNN7EXAMPLQ")
	require.Equal(t, unchecked(), r.Unchecked)
}

func TestBuildListsWhatItPackedAndGivesOneDigest(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	dir := shop(t, x)
	require.Zero(t, x.run(t, "build", dir, "--json"), x.errOut.String())
	var first console.Built
	require.NoError(t, json.Unmarshal(x.out.Bytes(), &first))
	require.True(t, first.Created)
	require.Equal(t, "shop", first.Pipeline)
	require.Contains(t, first.Skipped, console.Skipped{Path: "data", Reason: "data"})
	for _, f := range first.Files {
		require.NotContains(t, f.Path, ".csv", "data is never packed")
	}

	y := newTerminal(t)
	require.Zero(t, y.run(t, "build", shop(t, y)), y.errOut.String())
	require.Contains(t, y.out.String(), first.Digest, "another store, another folder, the same digest")
	require.Contains(t, y.out.String(), "not packed  data")
	require.Contains(t, y.out.String(), "Next: drawbridge plan shop@1.0.0")

	require.Zero(t, x.run(t, "build", dir))
	require.Contains(t, x.out.String(), "was there already")
	edit(t, dir+"/sql/fct_orders.sql", "SELECT", "SELECT ")
	require.Equal(t, int(exitRefused), x.run(t, "build", dir), "a version never changes")
	require.Contains(t, x.errOut.String(), "raise the version")
}

func TestBuildRefusesWhatMustNotBePacked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, x *terminal)
		code  exit
		text  string
	}{
		"a secret": {func(t *testing.T, x *terminal) {
			t.Helper()
			x.write(t, "shop/notes.md", "AKIAIOSFODNN7EXAMPLQ")
		}, exitRefused, "notes.md:1:1"},
		"a large file": {func(t *testing.T, x *terminal) {
			t.Helper()
			x.write(t, "shop/model.bin", strings.Repeat("x", 11<<20))
		}, exitInvalid, "model.bin has 11 MiB"},
		"a link": {func(t *testing.T, x *terminal) {
			t.Helper()
			require.NoError(t, os.Symlink("/etc/passwd", x.path("shop", "link.sql")))
		}, exitInvalid, "link.sql is a symbolic link"},
		"a folder that is no pipeline": {func(t *testing.T, x *terminal) {
			t.Helper()
			require.NoError(t, os.Remove(x.path("shop", "pipeline.yaml")))
		}, exitInvalid, "drawbridge init"},
		"a pipeline without a config": {func(t *testing.T, x *terminal) {
			t.Helper()
			for _, env := range []string{"dev", "staging", "prod"} {
				require.NoError(t, os.Remove(x.path("shop", configFile(env))))
			}
		}, exitInvalid, "config.dev.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t)
			dir := shop(t, x)
			tc.spoil(t, x)
			require.Equal(t, int(tc.code), x.run(t, "build", dir))
			require.Contains(t, x.errOut.String(), tc.text)
			require.NotContains(t, x.errOut.String(), "AKIA")
		})
	}
}

func TestLargeFilesArePackedWhenAllowed(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	dir := shop(t, x)
	x.write(t, "shop/models/big.bin", strings.Repeat("x", 11<<20))
	x.write(t, "shop/pipeline.yaml", string(mustRead(t, dir+"/pipeline.yaml"))+"\npack:\n  allow: [\"models/*.bin\"]\n")
	require.Zero(t, x.run(t, "build", dir), x.errOut.String())
	require.Contains(t, x.out.String(), "models/big.bin")
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	return body
}
