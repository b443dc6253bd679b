// Package scaffold holds the pipeline folder that drawbridge init writes.
package scaffold

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"text/template"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
)

//go:embed template
var templates embed.FS

// New returns the files of a pipeline that validates untouched, by slash path below its folder. A name that cannot be a
// pipeline's is Invalid.
func New(name string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(templates, "template", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := render(path, name)
		files[strings.TrimPrefix(path, "template/")] = content
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write the scaffold: %w", err)
	}
	if _, err := pipeline.Parse(files, ""); err != nil {
		return nil, fault.New(fault.Invalid, "name pipeline", name,
			"Use lower-case words joined by _ or -, such as taxi_trips.", err)
	}
	return files, nil
}

func render(path, name string) ([]byte, error) {
	t, err := template.New(path).Delims("<<", ">>").ParseFS(templates, path)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	// Schemas are identifiers and have no "-".
	data := struct{ Name, Schema string }{name, strings.ReplaceAll(name, "-", "_")}
	if err := t.ExecuteTemplate(&out, path[strings.LastIndexByte(path, '/')+1:], data); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
