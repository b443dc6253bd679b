// Package pipelinetest changes one key of a pipeline folder at a time, for tests that show that every key matters.
package pipelinetest

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"drawbridge/internal/pipeline"
)

//go:embed bases
var bases embed.FS

// Config and Policy are the names of the environment's files in every folder.
const (
	Config = "config.dev.yaml"
	Policy = "policy.dev.yaml"
)

// Change is a folder before and after one key takes another valid value.
type Change struct {
	Key           pipeline.SchemaKey
	Before, After map[string][]byte
}

// Changes yields a valid change for every key of every document's schema that takes more than one value. A key that no
// base folder has, or that cannot be changed to one of its examples, is an error: it would go untested.
func Changes() iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		folders, err := readBases()
		if err != nil {
			yield(Change{}, err)
			return
		}
		for _, d := range pipeline.Documents() {
			for key := range pipeline.SchemaKeys(d) {
				if len(key.Examples) < 2 {
					continue
				}
				if !yield(change(folders, key)) {
					return
				}
			}
		}
	}
}

// readBases returns the folders in the order of their names.
func readBases() ([]map[string][]byte, error) {
	entries, err := bases.ReadDir("bases")
	if err != nil {
		return nil, fmt.Errorf("read base folders: %w", err)
	}
	var folders []map[string][]byte
	for _, entry := range entries {
		folder := map[string][]byte{}
		root := "bases/" + entry.Name()
		err := fs.WalkDir(bases, root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			folder[strings.TrimPrefix(path, root+"/")], err = bases.ReadFile(path)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read base folder %s: %w", entry.Name(), err)
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

// change makes the first change of the key that leaves a valid folder.
func change(folders []map[string][]byte, key pipeline.SchemaKey) (Change, error) {
	others, err := decodeAll(key)
	if err != nil {
		return Change{}, err
	}
	file := fileOf(key.Document)
	reason := errors.New("no base folder has the key")
	for _, folder := range folders {
		var doc any
		if err := yaml.UnmarshalWithOptions(folder[file], &doc, yaml.UseOrderedMap()); err != nil {
			return Change{}, fmt.Errorf("read %s: %w", file, err)
		}
		if !set(doc, strings.Split(strings.ReplaceAll(key.Path, "[]", ".[]"), "."), others) {
			continue
		}
		body, err := yaml.Marshal(doc)
		if err != nil {
			return Change{}, fmt.Errorf("write %s: %w", file, err)
		}
		after := maps.Clone(folder)
		after[file] = body
		if reason = valid(after); reason == nil {
			return Change{Key: key, Before: folder, After: after}, nil
		}
	}
	return Change{}, fmt.Errorf("change %s of %s: %w", key.Path, key.Document, reason)
}

func decodeAll(key pipeline.SchemaKey) ([]any, error) {
	others := make([]any, len(key.Examples))
	for i, example := range key.Examples {
		if err := yaml.UnmarshalWithOptions([]byte(example), &others[i], yaml.UseOrderedMap()); err != nil {
			return nil, fmt.Errorf("read an example of %s: %w", key.Path, err)
		}
	}
	return others, nil
}

func valid(files map[string][]byte) error {
	if _, err := pipeline.Parse(files, Config); err != nil {
		return err
	}
	_, err := pipeline.ParsePolicy(Policy, files[Policy])
	return err
}

func fileOf(d pipeline.Document) string {
	switch d {
	case pipeline.ConfigDocument:
		return Config
	case pipeline.PolicyDocument:
		return Policy
	case pipeline.TestDocument:
		return "tests/channels.yaml"
	case pipeline.MigrationDocument:
		return "migrations/0001_channel.yaml"
	default:
		return pipeline.File
	}
}

// set gives the first value at path that has the form of one of others another value, in place. It is false where
// there is none.
func set(doc any, path []string, others []any) bool {
	switch node := doc.(type) {
	case yaml.MapSlice:
		if path[0] == "*" && len(path) > 1 {
			return slices.ContainsFunc(node, func(item yaml.MapItem) bool { return set(item.Value, path[1:], others) })
		}
		i := slices.IndexFunc(node, func(item yaml.MapItem) bool { return item.Key == path[0] })
		if i < 0 {
			return false
		}
		if len(path) > 1 {
			return set(node[i].Value, path[1:], others)
		}
		for _, other := range others {
			if form(node[i].Value) == form(other) && fmt.Sprint(node[i].Value) != fmt.Sprint(other) {
				node[i].Value = other
				return true
			}
		}
		return false
	case []any:
		if path[0] != "[]" || len(path) == 1 {
			return false
		}
		return slices.ContainsFunc(node, func(item any) bool { return set(item, path[1:], others) })
	default:
		return false
	}
}

func form(v any) string {
	switch v.(type) {
	case yaml.MapSlice:
		return "mapping"
	case []any:
		return "list"
	default:
		return "scalar"
	}
}
