package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"drawbridge/internal/fault"
)

const (
	// maxFileSize is what a file may have without being named in pack.allow. Larger ones are nearly always data.
	maxFileSize = 10 << 20
	// maxTotalSize and maxFiles bound a release: it is held in memory by those who build and read it.
	maxTotalSize = 256 << 20
	maxFiles     = 10_000
)

// Files are the files of a pipeline: content by slash-separated path, relative to the pipeline's folder.
type Files map[string][]byte

// Paths returns the paths in order.
func (f Files) Paths() []string { return slices.Sorted(maps.Keys(f)) }

// Options of Collect.
type Options struct {
	// Tests is the folder of the unit tests, whose given and expected rows are packed although they look like
	// data. Empty means "tests".
	Tests string
	// Allow are patterns (path.Match) of files that may be larger than 10 MiB.
	Allow []string
}

// Skipped is a file or folder that Collect left out, and why.
type Skipped struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Collect reads the files of a pipeline folder that belong into a release. Data, policies, hidden files and
// what editors and caches leave behind are left out and reported. Symbolic links, files larger than allowed
// and paths that do not exist alike on every system are refused, all of them at once.
func Collect(dir string, opts Options) (Files, []Skipped, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "open pipeline", dir, "name the folder that holds pipeline.yaml", err)
	}
	defer root.Close()
	for _, pattern := range opts.Allow {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, nil, fault.New(fault.Invalid, "read pack.allow", pattern, "write a pattern such as models/*.bin", err)
		}
	}
	tests := path.Clean(strings.TrimPrefix(opts.Tests, "./"))
	if opts.Tests == "" {
		tests = "tests"
	}
	c := collector{fsys: root.FS(), tests: tests, allow: opts.Allow, files: Files{}}
	if err := fs.WalkDir(c.fsys, ".", c.visit); err != nil {
		return nil, nil, fmt.Errorf("collect %s: %w", dir, err)
	}
	if len(c.problems) > 0 {
		return nil, nil, fault.New(fault.Invalid, "pack", dir,
			"keep data outside of the pipeline (source_files names its place), list a large file in pack.allow, and copy what links point to",
			errors.New(strings.Join(c.problems, "; ")))
	}
	if _, ok := c.files["pipeline.yaml"]; !ok {
		return nil, nil, fault.Newf(fault.Invalid, "pack", dir,
			"name the folder that holds pipeline.yaml, or make one with drawbridge init", "there is no pipeline.yaml")
	}
	return c.files, c.skipped, nil
}

type collector struct {
	fsys     fs.FS
	tests    string
	allow    []string
	files    Files
	total    int64
	skipped  []Skipped
	problems []string
}

func (c *collector) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if name == "." {
		return nil
	}
	if reason := c.reasonToSkip(name, entry); reason != "" {
		c.skipped = append(c.skipped, Skipped{Path: name, Reason: reason})
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	switch {
	case entry.IsDir():
		return nil
	case entry.Type()&fs.ModeSymlink != 0:
		c.refuse("%s is a symbolic link", name)
		return nil
	case !entry.Type().IsRegular():
		c.refuse("%s is no regular file", name)
		return nil
	}
	return c.read(name, entry)
}

// read takes a file in. Sizes are checked before anything is read, so that a forgotten dump costs no memory.
func (c *collector) read(name string, entry fs.DirEntry) error {
	if err := checkPath(name); err != nil {
		c.refuse("%q %s", name, err)
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if info.Size() > maxFileSize && !c.allowed(name) {
		c.refuse("%s has %d MiB, more than %d", name, info.Size()>>20, maxFileSize>>20)
		return nil
	}
	c.total += info.Size()
	if c.total > maxTotalSize || len(c.files) == maxFiles {
		return fault.Newf(fault.Invalid, "read", name, "keep data outside of the pipeline; source_files names its place",
			fmt.Sprintf("the pipeline has more than %d MiB or %d files", maxTotalSize>>20, maxFiles))
	}
	content, err := fs.ReadFile(c.fsys, name)
	if err != nil {
		return err
	}
	c.files[name] = content
	return nil
}

func (c *collector) refuse(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *collector) allowed(name string) bool {
	return slices.ContainsFunc(c.allow, func(pattern string) bool {
		matched, err := path.Match(pattern, name)
		return err == nil && matched
	})
}

// reasonToSkip decides by name alone, before links are refused: "data" is often a link to a large disk.
func (c *collector) reasonToSkip(name string, entry fs.DirEntry) string {
	base := path.Base(name)
	lower := strings.ToLower(base)
	switch {
	case strings.HasPrefix(base, "."):
		return "hidden"
	case lower == "__pycache__", lower == "node_modules":
		return "cache"
	case strings.HasSuffix(base, "~"), strings.HasPrefix(base, "#") && strings.HasSuffix(base, "#"),
		hasSuffix(lower, ".bak", ".orig", ".rej", ".swp", ".tmp", ".pyc"):
		return "backup"
	case strings.HasPrefix(lower, "policy.") && hasSuffix(lower, ".yaml", ".yml"):
		return "policy: belongs to the environment's worker"
	case name == c.tests || strings.HasPrefix(name, c.tests+"/"):
		return ""
	case lower == "data" && !entry.Type().IsRegular():
		return "data"
	case !entry.IsDir() && hasSuffix(strings.TrimSuffix(strings.TrimSuffix(lower, ".gz"), ".zst"),
		".csv", ".tsv", ".parquet", ".avro", ".orc", ".ndjson", ".jsonl", ".dump"):
		return "data"
	}
	return ""
}

func hasSuffix(s string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(s, suffix) })
}

// checkPath accepts the paths that mean the same file on every system, below the folder that they are
// relative to.
func checkPath(name string) error {
	switch {
	case name == "." || !fs.ValidPath(name):
		return errors.New("is no clean relative path")
	case !utf8.ValidString(name):
		return errors.New("is not UTF-8")
	case strings.ContainsAny(name, `\:`) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("has a character that some systems do not allow in names")
	}
	return nil
}
