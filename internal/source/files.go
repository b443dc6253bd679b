// Package source is what the loads of a pipeline read: it lists the files of an environment, opens them and reads their
// headers. No path leads out of the roots that the environment's worker was given, and no text of a file is in an error.
package source

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
)

// Files are the files below an environment's roots.
type Files struct {
	roots []string
}

// Below returns the files below roots. The folder that a config names is looked for in one after another; the first root
// that has it is the one.
func Below(roots ...string) Files { return Files{roots: roots} }

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
