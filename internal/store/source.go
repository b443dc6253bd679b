package store

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"drawbridge/internal/fault"
)

// Source packs files into an uncompressed tar whose bytes depend on nothing but paths and contents.
// Compression is left to transports: its output changes with the toolchain.
func Source(files Files) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range files.Paths() {
		if err := checkPath(name); err != nil {
			return nil, invalidSource(fmt.Errorf("%q %w", name, err))
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     name,
			Size:     int64(len(files[name])),
			Mode:     0o644,
			ModTime:  time.Unix(0, 0),
			Format:   tar.FormatPAX,
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("write tar header of %s: %w", name, err)
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, fmt.Errorf("write %s into tar: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close tar: %w", err)
	}
	return out.Bytes(), nil
}

// Unpack reads a tar that Source wrote. It may come from anybody, so it accepts regular files with clean
// relative paths only, each once, none below another, and no more of them than a release may have.
func Unpack(archive []byte) (Files, error) {
	var (
		files   = Files{}
		folders = map[string]bool{}
		total   int64
	)
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, invalidSource(err)
		}
		name := header.Name
		if header.Typeflag != tar.TypeReg {
			return nil, invalidSource(fmt.Errorf("%q is no regular file", name))
		}
		if err := checkPath(name); err != nil {
			return nil, invalidSource(fmt.Errorf("%q %w", name, err))
		}
		if _, twice := files[name]; twice || folders[name] || len(files) == maxFiles {
			return nil, invalidSource(fmt.Errorf("%q is there twice, is also a folder, or is one too many", name))
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, isFile := files[dir]; isFile {
				return nil, invalidSource(fmt.Errorf("%q is below a file", name))
			}
			folders[dir] = true
		}
		// A sparse file is larger than the bytes that describe it: without this bound a small archive fills the memory.
		if total += header.Size; total > min(int64(len(archive)), maxTotalSize) {
			return nil, invalidSource(fmt.Errorf("%q makes the files larger than the archive or than a release may be", name))
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, invalidSource(fmt.Errorf("read %q: %w", name, err))
		}
		files[name] = content
	}
}

func invalidSource(err error) error {
	return fault.New(fault.Invalid, "read files of release", "", "build the release again from its folder", err)
}
