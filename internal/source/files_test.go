package source_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

// secret is what stands in the files that nobody may read, and in first lines that are no headers.
const secret = "hunter2-S3cret"

func write(t *testing.T, name, body string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(body), 0o644))
}

func config(folder string) pipeline.Config { return pipeline.Config{SourceFiles: folder} }

// open opens the one file of a load for a partition.
func open(files source.Files, cfg pipeline.Config, load pipeline.Load, key partition.Key) (io.ReadCloser, error) {
	found, err := files.List(cfg, load, key)
	if err != nil {
		return nil, err
	}
	return found[0].Open()
}

func orders(loads ...pipeline.Load) *pipeline.Pipeline {
	return &pipeline.Pipeline{Name: "shop", Partition: partition.Scheme{By: partition.Day, Column: "day"}, Loads: loads}
}

func TestFilesAreListedAndOpenedBelowTheRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"shop/data/o_2026-01-02.csv", "shop/data/o_2026-01-01.csv", "shop/data/o_2026-13-01.csv", "shop/data/other.csv"} {
		write(t, filepath.Join(root, name), "id,day\n")
	}
	load := pipeline.Load{Name: "raw", File: "data/o_@partition.csv"}
	files := source.Below(root)
	found, err := files.Partitions(config("shop"), orders(load))
	require.NoError(t, err)
	require.True(t, found.Named)
	require.Equal(t, []partition.Key{"2026-01-01", "2026-01-02"}, found.Keys)

	file, err := open(files, config("shop"), load, "2026-01-01")
	require.NoError(t, err)
	body, err := io.ReadAll(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Equal(t, "id,day\n", string(body))

	_, err = open(files, config("shop"), load, "2026-01-03")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	heads, err := files.Headers(config("shop"), orders(load, pipeline.Load{Name: "absent", File: "absent.csv"}))
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"raw": {"id", "day"}}, heads)
}

// Whoever puts a file there under a name that means nothing is told, and so is who forgot one of two.
func TestFilesThatFitNoPartitionAreNamed(t *testing.T) {
	t.Parallel()
	day := partition.Scheme{By: partition.Day, Column: "day"}
	hundred := partition.Scheme{By: partition.Range, Column: "id", Size: 100}
	for name, c := range map[string]struct {
		scheme     partition.Scheme
		loads      []string
		files      []string
		keys       []partition.Key
		unfit      []string
		incomplete []string
	}{
		"days": {
			day,
			[]string{"o_@partition.csv"},
			[]string{"o_2026-01-31.csv", "o_20260131.csv", "o_2026-1-30.csv", "o_2026-02-30.csv", "o_2026-01-08 (1).csv", "O_2026-01-09.csv", "o_2026-01-10.CSV", "other.csv"},
			[]partition.Key{"2026-01-31"},
			[]string{"O_2026-01-09.csv", "o_2026-01-08 (1).csv", "o_2026-01-10.CSV", "o_2026-02-30.csv", "o_2026-1-30.csv", "o_20260131.csv"},
			nil,
		},
		"ranges": {
			hundred,
			[]string{"o_@partition.csv"},
			[]string{"o_0100.csv", "o_+300.csv", "o_450.csv", "o_-0.csv", "o_200.csv"},
			[]partition.Key{"200"},
			[]string{"o_+300.csv", "o_-0.csv", "o_0100.csv", "o_450.csv"},
			nil,
		},
		"another load's files": {
			day,
			[]string{"@partition.csv", "o_@partition.csv", "zones.csv"},
			[]string{"2026-01-31.csv", "o_2026-01-31.csv", "zones.csv"},
			[]partition.Key{"2026-01-31"},
			nil, nil,
		},
		"one of two": {
			day,
			[]string{"o_@partition.csv", "p_@partition.csv"},
			[]string{"o_2026-01-01.csv", "p_2026-01-01.csv", "o_2026-01-02.csv", "p_2026-01-03.csv"},
			[]partition.Key{"2026-01-01"},
			nil,
			[]string{"2026-01-02", "2026-01-03"},
		},
		"names of any kind": {
			day,
			[]string{"o_@partition.csv"},
			[]string{"o_\x1b[2J.csv", "o_" + strings.Repeat("x", 200) + ".csv", "o_\xff.csv", "o_\u202e.csv"},
			nil,
			[]string{`"o_\x1b[2J.csv"`, "o_" + strings.Repeat("x", 55) + "…", `"o_\u202e.csv"`, "o_\ufffd.csv"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, file := range c.files {
				write(t, filepath.Join(root, "shop", file), "id,day\n")
			}
			p := &pipeline.Pipeline{Name: "shop", Partition: c.scheme}
			for _, file := range c.loads {
				p.Loads = append(p.Loads, pipeline.Load{Name: "raw", File: file})
			}
			found, err := source.Below(root).Partitions(config("shop"), p)
			require.NoError(t, err)
			require.Equal(t, c.keys, found.Keys)
			require.Equal(t, len(c.unfit), found.Unfit.Count)
			require.Equal(t, c.unfit[:min(5, len(c.unfit))], found.Unfit.First)
			require.Equal(t, c.incomplete, found.Incomplete.First)
			problems := found.Problems(c.scheme)
			for _, named := range found.Unfit.First {
				require.Contains(t, problems[0].Text, named)
			}
		})
	}
}

func TestNoPathLeadsOutOfTheRoots(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "pgpass"), "db:5432:"+secret+"\n")
	root := t.TempDir()
	write(t, filepath.Join(root, "shop/in.csv"), "id\n")
	require.NoError(t, os.Symlink(filepath.Join(outside, "pgpass"), filepath.Join(root, "shop/link.csv")))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "shop/folder")))
	require.NoError(t, os.Symlink("../../"+filepath.Base(outside), filepath.Join(root, "shop/relative")))
	files := source.Below(root)
	up := strings.Repeat("../", 20)
	for _, c := range []struct{ folder, file string }{
		{outside, "pgpass"},
		{up + outside[1:], "pgpass"},
		{"shop", up + outside[1:] + "/pgpass"},
		{"shop", outside + "/pgpass"},
		{"shop/..", "../" + filepath.Base(outside) + "/pgpass"},
		{"shop", "link.csv"},
		{"shop", "folder/pgpass"},
		{"shop/folder", "pgpass"},
		{"shop", "relative/pgpass"},
	} {
		load := pipeline.Load{Name: "raw", File: c.file, Delimiter: ":"}
		_, err := open(files, config(c.folder), load, partition.AllKey)
		require.Error(t, err, "%s of %s was opened", c.file, c.folder)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
		require.NotContains(t, err.Error(), secret)
		heads, err := files.Headers(config(c.folder), orders(load))
		require.Empty(t, heads)
		if err != nil {
			require.NotContains(t, err.Error(), secret)
		}
		load.File += "_@partition"
		_, err = files.Partitions(config(c.folder), orders(load))
		require.True(t, err != nil || c.file == "pgpass" || c.file == "link.csv", "%s of %s was listed", c.file, c.folder)
	}
	_, err := files.Partitions(config("shop"), orders(pipeline.Load{Name: "raw", File: "folder/@partition"}))
	require.Error(t, err, "a folder outside was listed")
}

// A worker has few threads, and none of them waits for a process that never comes.
func TestAPipeThatNobodyWritesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "shop"), 0o755))
	require.NoError(t, syscall.Mkfifo(filepath.Join(root, "shop", "orders.csv"), 0o644))
	file, err := open(source.Below(root), config("shop"), pipeline.Load{Name: "raw", File: "orders.csv"}, partition.AllKey)
	require.NoError(t, err)
	_, err = file.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, file.Close())
}

func TestALinkWithinTheRootIsFollowed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "exports/in.csv"), "id\n")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "shop"), 0o755))
	require.NoError(t, os.Symlink("../exports", filepath.Join(root, "shop/data")))
	file, err := open(source.Below(root), config("shop"), pipeline.Load{File: "data/in.csv"}, partition.AllKey)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func TestTheFirstRootThatHasTheFolderIsTheOne(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	write(t, filepath.Join(first, "both/in.csv"), "first\n")
	write(t, filepath.Join(second, "both/in.csv"), "second\n")
	write(t, filepath.Join(second, "one/in.csv"), "second\n")
	files := source.Below(filepath.Join(first, "absent"), first, second)
	for folder, want := range map[string]string{"both": "first\n", "one": "second\n"} {
		file, err := open(files, config(folder), pipeline.Load{File: "in.csv"}, partition.AllKey)
		require.NoError(t, err)
		body, err := io.ReadAll(file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		require.Equal(t, want, string(body))
	}
}

// Whatever stands in the place of a header, what is said about it is counts, positions and declared names.
func TestNoTextOfAFileIsInAnError(t *testing.T) {
	t.Parallel()
	rows := strings.Repeat("4711,ann."+secret+"@example.com,DE89370400440532013000\r", 18000)
	load := pipeline.Load{Name: "raw", File: "in.csv", Columns: []pipeline.Column{{Name: "id", Type: "int"}, {Name: "email", Type: "text"}}}
	for name, c := range map[string]struct {
		body string
		says []string
	}{
		"no header":                {"4711,ann." + secret + "@example.com,DE89\n", []string{"lacks id, email", "columns in it: 3", "declared ones among them: 0"}},
		"a comment":                {"# exported by " + secret + "\nid,email\n", []string{"lacks id, email", "columns in it: 1"}},
		"rows in one line":         {"id,email,iban\r" + rows, []string{"carriage return", "no line feed follows"}},
		"the same value twice":     {secret + ",x," + secret + "\n", []string{"columns 1 and 3"}},
		"a declared column twice":  {"id,email,id\n", []string{"names column id twice"}},
		"a value that is too long": {"id,email," + strings.Repeat(secret, 9) + "\n", []string{"column 3 of the header"}},
		"an open quote":            {"id,\"" + secret + "\n", []string{"not closed"}},
	} {
		_, err := source.Read(strings.NewReader(c.body), load, "in.csv", utc)
		require.Error(t, err, name)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), name)
		text := err.Error() + fault.HintOf(err)
		for _, want := range c.says {
			require.Contains(t, text, want, name)
		}
		require.NotContains(t, text, secret, name)
		require.NotContains(t, text, "4711", name)
		require.Less(t, len(text), 1000, name)
	}
}
