package pipeline_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/scaffold"
)

// published compiles the schemas as editors get them.
func published(t *testing.T) map[pipeline.Document]*jsonschema.Schema {
	t.Helper()
	all := map[pipeline.Document]*jsonschema.Schema{}
	for _, d := range pipeline.Documents() {
		body, err := os.ReadFile(filepath.Join("..", "..", "docs", string(d)+".schema.json"))
		require.NoError(t, err)
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		require.NoError(t, err)
		c := jsonschema.NewCompiler()
		require.NoError(t, c.AddResource(string(d), parsed))
		all[d], err = c.Compile(string(d))
		require.NoError(t, err)
	}
	return all
}

// asJSON is YAML as an editor hands it to a schema.
func asJSON(t *testing.T, content []byte) any {
	t.Helper()
	body, err := yaml.YAMLToJSON(content)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	require.NoError(t, err)
	return value
}

// documentOf is what a file of a pipeline's folder holds, by its name.
func documentOf(path string) (pipeline.Document, bool) {
	name := filepath.Base(path)
	switch {
	case name == pipeline.File:
		return pipeline.PipelineDocument, true
	case regexp.MustCompile(`^config\.\w+\.yaml$`).MatchString(name):
		return pipeline.ConfigDocument, true
	case regexp.MustCompile(`^policy\.\w+\.yaml$`).MatchString(name):
		return pipeline.PolicyDocument, true
	case filepath.Base(filepath.Dir(path)) == "tests" && strings.HasSuffix(name, ".yaml"):
		return pipeline.TestDocument, true
	case filepath.Base(filepath.Dir(path)) == "migrations" && strings.HasSuffix(name, ".yaml"):
		return pipeline.MigrationDocument, true
	}
	return "", false
}

// A file that the parser takes must not be underlined in an editor.
func TestEveryFileOfTheRepositoryFitsThePublishedSchemas(t *testing.T) {
	t.Parallel()
	schemas := published(t)
	held := map[pipeline.Document]int{}
	hold := func(path string, body []byte) {
		if d, ok := documentOf(path); ok {
			require.NoError(t, schemas[d].Validate(asJSON(t, body)), path)
			held[d]++
		}
	}
	for _, root := range []string{filepath.Join("..", "..", "examples"), "pipelinetest"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			body, err := os.ReadFile(path)
			hold(path, body)
			return err
		})
		require.NoError(t, err)
	}
	made, err := scaffold.New("shop")
	require.NoError(t, err)
	for path, body := range made {
		hold(path, body)
	}
	for _, d := range pipeline.Documents() {
		require.NotZero(t, held[d], "no file is a %s", d)
	}
}

// What the parser refuses for its shape is underlined in an editor, too.
func TestTheSchemasRefuseWhatTheParserRefusesForItsShape(t *testing.T) {
	t.Parallel()
	schemas := published(t)
	for name, tc := range map[string]struct{ file, from, to string }{
		"an unknown key":              {"pipeline.yaml", "owner: sales", "owner: sales\nonwer: x"},
		"a key that is missing":       {"pipeline.yaml", "owner: sales\n", ""},
		"a name that is none":         {"pipeline.yaml", "name: shop", "name: My Shop"},
		"an unknown grain":            {"pipeline.yaml", "by: day", "by: dya"},
		"what is not supported yet":   {"pipeline.yaml", "by: day", "by: list"},
		"two keys in one step":        {"pipeline.yaml", "  - load: {name: raw_channels", "    extract: {}\n  - load: {name: raw_channels"},
		"an empty key":                {"pipeline.yaml", "key: [order_id]", "key: []"},
		"a check that is no list":     {"pipeline.yaml", "unique: [channel]", "unique: channel"},
		"a number as text":            {"pipeline.yaml", "{min: 1}", "{min: one}"},
		"a bare 5 for 5%":             {"pipeline.yaml", "{min: 1}", "{vs_history: 5}"},
		"a duration without unit":     {"pipeline.yaml", "for: 24h", "for: 24"},
		"a schema that is none":       {"config.dev.yaml", "shop_dev", "Shop"},
		"an unknown way to write":     {"config.dev.yaml", "warehouse_schema", "write_mode: upsert\nwarehouse_schema"},
		"a nested cell":               {"tests/orders.yaml", `"007"`, "[7]"},
		"a test that expects nothing": {"tests/orders.yaml", "expect:\n  fct_orders:\n    - {order_id: 1}\n", "expect: {}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, ok := documentOf(tc.file)
			require.True(t, ok)
			require.NoError(t, schemas[d].Validate(asJSON(t, shopFolder()[tc.file])))
			files := edited(t, tc.file, tc.from, tc.to)
			_, err := pipeline.Parse(files, "config.dev.yaml")
			require.Error(t, err)
			require.Error(t, schemas[d].Validate(asJSON(t, files[tc.file])))
		})
	}
}
