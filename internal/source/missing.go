package source

import (
	"errors"
	"io/fs"
	"path"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// Missing are the load files of a partition that are not there, as a config names them, in the order of the loads. Of a load with
// several files it is how they are called, where there is none.
func (f Files) Missing(cfg pipeline.Config, p *pipeline.Pipeline, key partition.Key) ([]string, error) {
	var missing []string
	for _, load := range p.FileLoads() {
		there, err := f.there(cfg, load, key)
		if err != nil {
			return nil, err
		}
		if !there {
			missing = append(missing, path.Join(cfg.SourceFiles, load.Path(key)))
		}
	}
	return missing, nil
}

// there says whether a load has a file of a partition.
func (f Files) there(cfg pipeline.Config, load pipeline.Load, key partition.Key) (bool, error) {
	files, err := f.List(cfg, load, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || len(files) > 1 {
		return err == nil, err
	}
	file, err := files[0].Open()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, file.Close()
}
