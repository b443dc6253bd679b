package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// placeholder in a load's file name stands for the partition key.
const placeholder = "@partition"

// sources are the files under a worker's source root.
type sources struct {
	root string
}

// folder is where a config's files are: relative to the worker's root.
func (s sources) folder(cfg pipeline.Config) string {
	if filepath.IsAbs(cfg.SourceFiles) {
		return cfg.SourceFiles
	}
	return filepath.Join(s.root, cfg.SourceFiles)
}

// Partitions implements activities.Sources.
func (s sources) Partitions(cfg pipeline.Config, p *pipeline.Pipeline) (keys []partition.Key, named bool, err error) {
	var common map[partition.Key]bool
	for _, load := range p.Loads {
		if !strings.Contains(load.File, placeholder) {
			continue
		}
		found, err := s.keys(cfg, load, p.Partition)
		if err != nil {
			return nil, false, err
		}
		if common == nil {
			common = found
			continue
		}
		for key := range common {
			if !found[key] {
				delete(common, key)
			}
		}
	}
	if common == nil {
		return nil, false, nil
	}
	for key := range common {
		keys = append(keys, key)
	}
	p.Partition.Sort(keys)
	return keys, true, nil
}

// keys are the partitions whose file of one load is there.
func (s sources) keys(cfg pipeline.Config, load pipeline.Load, scheme partition.Scheme) (map[partition.Key]bool, error) {
	dir, name := filepath.Split(load.File)
	before, after, ok := strings.Cut(name, placeholder)
	if !ok || strings.Contains(dir, placeholder) {
		return nil, fault.Newf(fault.Invalid, "list partitions of load", load.Name,
			"put "+placeholder+" into the last part of file, once", "only the last part of a path may name the partition")
	}
	folder := filepath.Join(s.folder(cfg), dir)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, s.explain("list source files", folder, err)
	}
	found := map[partition.Key]bool{}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), before)
		if !ok || e.IsDir() {
			continue
		}
		text, ok := strings.CutSuffix(rest, after)
		if !ok {
			continue
		}
		if key, err := scheme.Parse(text); err == nil {
			found[key] = true
		}
	}
	return found, nil
}

// Open implements activities.Sources.
func (s sources) Open(cfg pipeline.Config, load pipeline.Load, key partition.Key) (io.ReadCloser, error) {
	path := filepath.Join(s.folder(cfg), strings.ReplaceAll(load.File, placeholder, string(key)))
	f, err := os.Open(path)
	if err != nil {
		return nil, s.explain("open source file", path, err)
	}
	return f, nil
}

func (s sources) explain(op, path string, err error) error {
	hint := "put it there, or change source_files in the environment's config; the worker's --source-root is " + s.root
	cause := errors.New("it cannot be read")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cause = errors.New("it is not there")
	case errors.Is(err, fs.ErrPermission):
		cause, hint = errors.New("the worker may not read it"), "let the worker's user read it"
	}
	return fault.New(fault.Invalid, op, path, hint, cause)
}
