package source

import (
	"errors"
	"io/fs"
	"path"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// Missing are the load files of a partition that are not there, as a config names them, in the order of the loads.
func (f Files) Missing(cfg pipeline.Config, p *pipeline.Pipeline, key partition.Key) ([]string, error) {
	var missing []string
	for _, load := range p.FileLoads() {
		file, err := f.Open(cfg, load, key)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, path.Join(cfg.SourceFiles, load.Path(key)))
			continue
		}
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return nil, err
		}
	}
	return missing, nil
}
