package source

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// Changed is when the newest file that a partition is built from was last written, for each of some partitions. Outputs read one
// load or all of them: a file of any load counts. One that is not there says nothing.
func (f Files) Changed(cfg pipeline.Config, p *pipeline.Pipeline, keys []partition.Key) (map[partition.Key]time.Time, error) {
	changed := make(map[partition.Key]time.Time, len(keys))
	note := func(key partition.Key, at time.Time) {
		if at.After(changed[key]) {
			changed[key] = at
		}
	}
	for _, load := range p.FileLoads() {
		if load.Partitioned() {
			times, err := f.written(cfg, load)
			if err != nil {
				return nil, err
			}
			for _, key := range keys {
				note(key, times[load.Path(key)])
			}
			continue
		}
		file, err := f.open("look at source file", cfg, load.Path(partition.AllKey))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := file.Stat()
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return nil, f.explain("look at source file", load.Path(partition.AllKey), err)
		}
		for _, key := range keys {
			note(key, info.ModTime())
		}
	}
	return changed, nil
}

// written is when each file in the folder of a load was last written, by its path.
func (f Files) written(cfg pipeline.Config, load pipeline.Load) (map[string]time.Time, error) {
	folder, before, after := load.Pattern()
	entries, err := f.list(cfg, folder)
	if err != nil {
		return nil, err
	}
	times := map[string]time.Time{}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), before)
		if !ok || !strings.HasSuffix(rest, after) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // it has gone since it was listed
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at the files of %s: %w", load.Name, f.explain("look at source file", e.Name(), err))
		}
		times[folder+e.Name()] = info.ModTime()
	}
	return times, nil
}
