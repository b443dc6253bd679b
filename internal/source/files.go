// Package source is what the loads of a pipeline read: it lists the files of an environment, opens them and reads their
// headers. No path leads out of the roots that the environment's worker was given, and no text of a file is in an error.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// Files are the files below an environment's roots.
type Files struct {
	roots []string
}

// Below returns the files below roots. The folder that a config names is looked for in one after another; the first root
// that has it is the one.
func Below(roots ...string) Files { return Files{roots: roots} }

// Partitions lists what the names of files say of a pipeline's partitions. A file that is called as those of a load are, upper
// and lower case apart, and is read by no load, is said: nobody else would notice.
func (f Files) Partitions(cfg pipeline.Config, p *pipeline.Pipeline) (plan.Sources, error) {
	loads := 0
	having := map[partition.Key]int{} // how many loads have a file of the partition
	read, alike := map[string]bool{}, map[string]bool{}
	for _, load := range p.Loads {
		if !load.Partitioned() {
			read[path.Clean(load.File)] = true
			continue
		}
		loads++
		if err := f.match(cfg, load, func(name, text string, exact bool) {
			key, err := p.Partition.Parse(text)
			if !exact || err != nil {
				alike[name] = true
				return
			}
			read[name] = true
			having[key]++
		}); err != nil {
			return plan.Sources{}, err
		}
	}
	found := plan.Sources{Named: loads > 0}
	var incomplete, unfit []string
	for key, n := range having {
		if n == loads {
			found.Keys = append(found.Keys, key)
		} else {
			incomplete = append(incomplete, string(key))
		}
	}
	p.Partition.Sort(found.Keys)
	for name := range alike {
		if !read[name] {
			unfit = append(unfit, path.Base(name))
		}
	}
	found.Incomplete, found.Unfit = plan.NamesOf(incomplete), plan.NamesOf(unfit)
	return found, nil
}

// match gives the files that are called as those of a load are, each with the text in the place of its partition; exact is
// false where only upper and lower case differ.
func (f Files) match(cfg pipeline.Config, load pipeline.Load, each func(name, text string, exact bool)) error {
	folder, before, after := load.Pattern()
	entries, err := f.list(cfg, folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		end := len(name) - len(after)
		if e.IsDir() || end < len(before) || !strings.EqualFold(name[:len(before)], before) || !strings.EqualFold(name[end:], after) {
			continue
		}
		each(path.Join(folder, name), name[len(before):end], strings.HasPrefix(name, before) && strings.HasSuffix(name, after))
	}
	return nil
}

func (f Files) list(cfg pipeline.Config, folder string) ([]fs.DirEntry, error) {
	opened, err := f.open("list source files", cfg, folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	entries, err := opened.ReadDir(-1)
	if err != nil {
		return nil, f.explain("list source files", path.Join(cfg.SourceFiles, folder), err)
	}
	return entries, nil
}

// Open opens the file of a load for a partition. One that is not there is a fault that is fs.ErrNotExist too.
func (f Files) Open(cfg pipeline.Config, load pipeline.Load, key partition.Key) (io.ReadCloser, error) {
	return f.open("open source file", cfg, load.Path(key))
}

func (f Files) open(op string, cfg pipeline.Config, name string) (*os.File, error) {
	object := path.Join(cfg.SourceFiles, name)
	if path.IsAbs(cfg.SourceFiles) || path.IsAbs(name) || !filepath.IsLocal(filepath.FromSlash(object)) {
		return nil, fault.Newf(fault.Invalid, op, object, "name a folder and files below the worker's source root, without ..",
			"the path leads out of the worker's source root")
	}
	root, err := f.rootOf(cfg)
	if err != nil {
		return nil, f.explain(op, object, err)
	}
	defer func() { _ = root.Close() }()
	// Nobody may ever open the other end of a pipe: opening waits for none, and whoever reads can be stopped.
	file, err := root.OpenFile(filepath.FromSlash(object), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, f.explain(op, object, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode()&(fs.ModeDir|fs.ModeNamedPipe) == 0 {
		err = errors.New("it is a device")
	}
	if err != nil {
		_ = file.Close()
		return nil, f.explain(op, object, err)
	}
	return file, nil
}

// rootOf opens the first root that has the config's folder.
func (f Files) rootOf(cfg pipeline.Config) (*os.Root, error) {
	reason := fs.ErrNotExist
	for _, name := range f.roots {
		root, err := os.OpenRoot(name)
		if err == nil {
			if _, err = root.Stat(filepath.FromSlash(path.Clean(cfg.SourceFiles))); err == nil {
				return root, nil
			}
			_ = root.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			reason = err
		}
	}
	return nil, reason
}

// explain says what is wrong with a path, and what the system said only as far as it is known to hold names and no more.
func (f Files) explain(op, object string, err error) error {
	hint := "put it there, or change source_files in the environment's config; it is looked for below " + strings.Join(f.roots, ", ")
	cause := errors.New("it cannot be read, or a link leads out of the worker's source root")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cause = missingError{}
	case errors.Is(err, fs.ErrPermission):
		cause, hint = errors.New("the worker may not read it"), "let the worker's user read it"
	}
	return fault.New(fault.Invalid, op, object, hint, cause)
}

// missingError is fs.ErrNotExist in words for people.
type missingError struct{}

func (missingError) Error() string { return "it is not there" }

func (missingError) Is(target error) bool { return target == fs.ErrNotExist }

// Headers are the columns of the load files, each read from the file of the newest partition. A file that is not there
// has none: then only the declared columns are known.
func (f Files) Headers(cfg pipeline.Config, p *pipeline.Pipeline) (map[string][]string, error) {
	newest := partition.AllKey
	sources, err := f.Partitions(cfg, p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(sources.Keys) > 0 {
		newest = sources.Keys[len(sources.Keys)-1]
	}
	found := map[string][]string{}
	for _, load := range p.Loads {
		file, err := f.Open(cfg, load, newest)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[load.Name], err = Header(file, load, newest)
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close %s: %w", load.Path(newest), closeErr)
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
