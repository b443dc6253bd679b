// Package demo_test holds the releases of the demo to what its story says they are.
package demo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/store"
)

// laid is examples/shop with the files of a later release laid over it, as demo.sh does it.
func laid(t *testing.T, version string) store.Files {
	t.Helper()
	files := collect(t, filepath.Join("..", "shop"))
	if version == "1.0.0" {
		return files
	}
	err := filepath.WalkDir(version, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, ok := strings.CutPrefix(filepath.ToSlash(path), version+"/")
		require.True(t, ok)
		files[name] = content
		return err
	})
	require.NoError(t, err)
	return files
}

func collect(t *testing.T, dir string) store.Files {
	t.Helper()
	files, _, err := store.Collect(dir, store.Options{})
	require.NoError(t, err)
	return files
}

func load(t *testing.T, files store.Files, env string) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Parse(files, "config."+env+".yaml")
	require.NoError(t, err)
	return p
}

func TestEveryReleaseIsValidInEveryEnvironment(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0"} {
		files := laid(t, version)
		for _, env := range []string{"dev", "staging", "prod"} {
			p := load(t, files, env)
			require.Equal(t, version, p.Version)
			require.Equal(t, []string{"dev", "staging", "prod"}, p.Environments)
		}
	}
}

// The bad releases must be stopped by Drawbridge, not by being different in some other way.
func TestReleasesDifferOnlyAsTheStorySays(t *testing.T) {
	t.Parallel()
	shop := load(t, laid(t, "1.0.0"), "prod")
	for _, version := range []string{"1.1.0", "1.2.0", "1.3.0"} {
		files := laid(t, version)
		p := load(t, files, "prod")
		require.Contains(t, p.Outputs[0].SQL, "AS currency_code")
		require.Len(t, p.Tests, len(shop.Tests)+1, "%s has a unit test more", version)
		if version == "1.3.0" {
			require.Equal(t, map[string]float64{"amount": 0.5}, p.Canary.Expect.Changed)
			require.Equal(t, map[string]float64{"revenue": 0.5}, p.Canary.Expect.Metrics)
			p.Canary.Expect = canary.Budgets{}
		} else {
			require.Equal(t, shop.Canary, p.Canary)
		}
		p.Version, p.Canary, p.Tests, p.Outputs[0].SQL = shop.Version, shop.Canary, shop.Tests, shop.Outputs[0].SQL
		require.Equal(t, shop, p, version)
	}
}

// The demo deploys prod with a config of its own; only the watch may differ from the packed one.
func TestTheConfigOfTheDemoOnlyShortensTheWatch(t *testing.T) {
	t.Parallel()
	files := laid(t, "1.0.0")
	packed := load(t, files, "prod").Config
	body, err := os.ReadFile("config.prod.yaml")
	require.NoError(t, err)
	files["config.prod.yaml"] = body
	ours := load(t, files, "prod").Config
	require.NotNil(t, ours.Watch)
	ours.Watch = packed.Watch
	require.Equal(t, packed, ours)
}

func TestProdAsksAPersonAndWantsStagingFirst(t *testing.T) {
	t.Parallel()
	for env, asks := range map[string]bool{"dev": false, "staging": false, "prod": true} {
		file := filepath.Join("..", "policies", "policy."+env+".yaml")
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		policy, err := pipeline.ParsePolicy(file, body)
		require.NoError(t, err)
		require.Equal(t, asks, policy.Approval.Required, env)
		require.Equal(t, asks, len(policy.Requires) == 1, env)
	}
}
