package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// File is one of the files that a load reads.
type File struct {
	// Name is its path below source_files, with slashes.
	Name string
	// Values are what its path says of the parts that the load's file names: of {store}, under "store".
	Values map[string]string
	// Open opens it. One that is not there any more is a fault that is fs.ErrNotExist too.
	Open func() (io.ReadCloser, error)
}

// Column is the text that the file's rows have in a column of the load's parts.
func (f File) Column(name string) string {
	if part, ok := strings.CutPrefix(name, pipeline.FilePart+"."); ok {
		return f.Values[part]
	}
	return f.Name
}

// List lists the files of a load for a partition by their names. Where there is none it is a fault that is fs.ErrNotExist too; a
// file that can be called by one name only is not looked for before it is opened.
func (f Files) List(cfg pipeline.Config, load pipeline.Load, key partition.Key) ([]File, error) {
	pattern, err := load.Pattern()
	if err != nil {
		return nil, err
	}
	wanted := pattern.For(key)
	if wanted.Exact() {
		return []File{f.file(cfg, wanted.String(), nil)}, nil
	}
	var files []File
	err = f.walk("list source files", cfg, wanted, wanted.Fits, func(e entry) error {
		if r, ok := pattern.Read(e.path); ok && r.In(key) {
			files = append(files, f.file(cfg, e.path, r.Values))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, f.explain("list source files", path.Join(cfg.SourceFiles, wanted.String()), fs.ErrNotExist)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func (f Files) file(cfg pipeline.Config, name string, values map[string]string) File {
	return File{Name: name, Values: values, Open: func() (io.ReadCloser, error) { return f.open("open source file", cfg, name) }}
}

// entry is a file that was found.
type entry struct {
	path string
	info func() (fs.FileInfo, error)
}

// mostListed bounds how many names one look at the files of a load takes in: a folder that grows for ever is found before it fills
// the memory of the worker.
const mostListed = 2_000_000

// listedAtOnce is how many names of a folder are read with one call.
const listedAtOnce = 4096

// walker finds the files of a pattern, folder by folder.
type walker struct {
	files   Files
	op      string
	cfg     pipeline.Config
	pattern pipeline.Pattern
	// called says whether the i-th folder, or the file, is called as those of the pattern are.
	called func(i int, name string) bool
	each   func(entry) error
	seen   int
}

// walk gives the files that are called as those of a pattern are. Where a folder that can be called by one name only is not there
// that is an error; one that another file's path does not have is none.
func (f Files) walk(op string, cfg pipeline.Config, pattern pipeline.Pattern, called func(int, string) bool, each func(entry) error) error {
	w := walker{files: f, op: op, cfg: cfg, pattern: pattern, called: called, each: each}
	return w.folder("", 0, false)
}

// folder looks for the i-th piece of the pattern in a folder; found says that the folder is one of several.
func (w *walker) folder(folder string, i int, found bool) error {
	last := i == w.pattern.Depth()-1
	if name, ok := w.pattern.Plain(i); ok && !last {
		return w.folder(path.Join(folder, name), i+1, found)
	} else if ok {
		return w.plain(path.Join(folder, name))
	}
	opened, err := w.files.open(w.op, w.cfg, folder)
	if err != nil {
		if found && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer func() { _ = opened.Close() }()
	for {
		entries, err := opened.ReadDir(listedAtOnce)
		for _, e := range entries {
			if w.seen++; w.seen > mostListed {
				return fault.Newf(fault.Invalid, w.op, path.Join(w.cfg.SourceFiles, folder), "move away what is not needed any more, or name folders more exactly",
					fmt.Sprintf("there are more than %d files", mostListed))
			}
			if err := w.entry(folder, i, e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return w.files.explain(w.op, path.Join(w.cfg.SourceFiles, folder), err)
		}
	}
}

func (w *walker) entry(folder string, i int, e fs.DirEntry) error {
	if !w.called(i, e.Name()) {
		return nil
	}
	name := path.Join(folder, e.Name())
	if i == w.pattern.Depth()-1 {
		if e.IsDir() {
			return nil
		}
		return w.each(entry{path: name, info: e.Info})
	}
	if e.IsDir() {
		return w.folder(name, i+1, true)
	}
	if e.Type()&fs.ModeSymlink == 0 {
		return nil
	}
	linked, err := w.files.open(w.op, w.cfg, name)
	if err != nil {
		return err
	}
	info, err := linked.Stat()
	if closed := linked.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return w.files.explain(w.op, name, err)
	}
	if !info.IsDir() {
		return nil
	}
	return w.folder(name, i+1, true)
}

// plain gives a file that can be called by one name only in its folder, where it is there.
func (w *walker) plain(name string) error {
	file, err := w.files.open(w.op, w.cfg, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return w.files.explain(w.op, name, err)
	}
	if info.IsDir() {
		return nil
	}
	return w.each(entry{path: name, info: func() (fs.FileInfo, error) { return info, nil }})
}
