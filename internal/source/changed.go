package source

import (
	"errors"
	"io/fs"
	"time"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// Changed is when the newest file that a partition is built from was last written, for each of some partitions. Outputs read one
// load or all of them: a file of any load counts. One that is not there says nothing.
func (f Files) Changed(cfg pipeline.Config, p *pipeline.Pipeline, keys []partition.Key) (map[partition.Key]time.Time, error) {
	changed := make(map[partition.Key]time.Time, len(keys))
	asked := make(map[partition.Key]bool, len(keys))
	for _, key := range keys {
		asked[key] = true
	}
	spelled := newKeys(p.Partition)
	const op = "look at source file"
	for _, load := range p.FileLoads() {
		pattern, err := load.Pattern()
		if err != nil {
			return nil, err
		}
		named := pattern.Partitioned()
		err = f.walk(op, cfg, pattern, pattern.Fits, func(e entry) error {
			r, ok := pattern.Read(e.path)
			of := keys
			if named && ok {
				key, fits := spelled.of(r)
				of, ok = []partition.Key{key}, fits && asked[key]
			}
			if !ok {
				return nil
			}
			info, err := e.info()
			if errors.Is(err, fs.ErrNotExist) { // it has gone since it was listed
				return nil
			}
			if err != nil {
				return f.explain(op, e.path, err)
			}
			for _, key := range of {
				if at := info.ModTime(); at.After(changed[key]) {
					changed[key] = at
				}
			}
			return nil
		})
		if err != nil && (named || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
	}
	return changed, nil
}
