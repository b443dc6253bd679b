package pipeline_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/pipelinetest"
)

var update = flag.Bool("update", false, "write the published schemas")

func TestPublishedSchemasAreTheGeneratedOnes(t *testing.T) {
	t.Parallel()
	for _, d := range pipeline.Documents() {
		file := filepath.Join("..", "..", "docs", string(d)+".schema.json")
		generated, err := pipeline.Schema(d)
		require.NoError(t, err)
		if *update {
			require.NoError(t, os.WriteFile(file, generated, 0o644))
		}
		published, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(generated), string(published), "run go test ./internal/pipeline -update")
	}
}

// digests names everything that a folder says in an environment.
func digests(t *testing.T, files map[string][]byte) string {
	t.Helper()
	p, err := pipeline.Parse(files, pipelinetest.Config)
	require.NoError(t, err)
	said := p.Digest() + p.Config.Digest()
	if policy, ok := files[pipelinetest.Policy]; ok {
		rules, err := pipeline.ParsePolicy(pipelinetest.Policy, policy)
		require.NoError(t, err)
		said += rules.Digest()
	}
	return said
}

func TestEveryKeyChangesADigest(t *testing.T) {
	t.Parallel()
	changed := 0
	for change, err := range pipelinetest.Changes() {
		require.NoError(t, err)
		t.Run(string(change.Key.Document)+" "+change.Key.Path, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, digests(t, change.Before), digests(t, change.After), "%s is read and ignored", change.Key.Path)
		})
		changed++
	}
	require.Greater(t, changed, 80)
}

// TestSchemaKeysAreTheSchemasProperties holds the walk of the test above against the published schema itself.
func TestSchemaKeysAreTheSchemasProperties(t *testing.T) {
	t.Parallel()
	for _, d := range pipeline.Documents() {
		walked := map[string]bool{}
		for key := range pipeline.SchemaKeys(d) {
			walked[key.Path] = true
			require.NotContains(t, key.Path, "..")
		}
		body, err := pipeline.Schema(d)
		require.NoError(t, err)
		var schema map[string]any
		require.NoError(t, json.Unmarshal(body, &schema))
		published := map[string]bool{}
		properties(schema, "", published)
		require.Equal(t, published, walked)
	}
}

func properties(schema map[string]any, path string, found map[string]bool) {
	below := func(name string, sub any) {
		if s, ok := sub.(map[string]any); ok {
			properties(s, strings.TrimPrefix(name, "."), found)
		}
	}
	if forms, ok := schema["anyOf"].([]any); ok {
		for _, form := range forms {
			below(path, form)
		}
	}
	below(path+"[]", schema["items"])
	below(path+".*", schema["additionalProperties"])
	if keys, ok := schema["properties"].(map[string]any); ok {
		for name, sub := range keys {
			at := strings.TrimPrefix(path+"."+name, ".")
			found[at] = true
			below(at, sub)
		}
	}
}

func TestAKeyWithOneValueTakesNoOther(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ file, from, to string }{
		{"pipeline.yaml", "file: channels.csv", "file: channels.csv, format: parquet"},
		{"pipeline.yaml", "partition: all", "partition: day"},
		{"config.dev.yaml", "warehouse_schema", "write_mode: upsert\nwarehouse_schema"},
	} {
		_, err := pipeline.Parse(edited(t, tc.file, tc.from, tc.to), "")
		require.ErrorContains(t, err, "must be", tc.to)
	}
}
