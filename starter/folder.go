package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/secret"
	"drawbridge/internal/store"
)

// folder is a pipeline's folder as it would be packed.
type folder struct {
	dir     string
	files   store.Files
	skipped []store.Skipped
}

// openFolder reads what belongs into a release, and checks nothing but names and sizes.
func openFolder(dir string) (folder, error) {
	f := folder{dir: dir}
	allow, err := packAllow(dir)
	if err != nil {
		return folder{}, err
	}
	f.files, f.skipped, err = store.Collect(dir, store.Options{Allow: allow})
	return f, err
}

// packAllow reads the one key that says which large files are packed. It comes before the strict parse, which needs the
// files.
func packAllow(dir string) ([]string, error) {
	body, err := os.ReadFile(filepath.Join(dir, pipeline.File))
	if err != nil {
		return nil, fault.New(fault.Invalid, "open pipeline", dir, "name the folder that holds pipeline.yaml, or make one: drawbridge init NAME",
			errors.Unwrap(err))
	}
	var only struct {
		Pack struct {
			Allow []string `yaml:"allow"`
		} `yaml:"pack"`
	}
	_ = yaml.Unmarshal(body, &only) // said with all the rest by the strict parse
	return only.Pack.Allow, nil
}

// check refuses secrets and everything that is wrong in any of the environments, all at once.
func (f folder) check() (*pipeline.Pipeline, error) {
	if err := secretsIn(f.files); err != nil {
		return nil, err
	}
	return parse(f.files)
}

// secretsIn refuses files that hold what looks like a secret. It names places, never what stands there.
func secretsIn(files store.Files) error {
	found := secret.Scan(files)
	if len(found) == 0 {
		return nil
	}
	places := make([]string, len(found))
	for i, x := range found {
		places[i] = x.String()
	}
	return fault.Newf(fault.Refused, "pack", "secrets",
		"put the value into a file or variable of the worker, and refer to it in a connection of the environment's policy", strings.Join(places, "; "))
}

// parse reads a pipeline and all of its configs, without choosing one. All problems are one error.
func parse(files store.Files) (*pipeline.Pipeline, error) {
	p, err := pipeline.Parse(files, "")
	if err != nil {
		return nil, err
	}
	if len(p.Environments) == 0 {
		return nil, fault.Newf(fault.Invalid, "read pipeline", p.Name, "write config.dev.yaml", "it has no config.<env>.yaml, so it can run nowhere")
	}
	return p, nil
}

func configFile(env string) string { return "config." + env + ".yaml" }

// environmentOf reads the environment from the name of a config file.
func environmentOf(file string) (string, bool) {
	env, ok := strings.CutPrefix(file, "config.")
	if !ok {
		return "", false
	}
	env, ok = strings.CutSuffix(env, ".yaml")
	return env, ok && env != "" && !strings.ContainsAny(env, "/.")
}
