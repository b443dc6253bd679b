package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/pipeline"
)

func TestEnvironmentsOfOneReleaseWriteInWaysOfTheirOwn(t *testing.T) {
	t.Parallel()
	const output = "    sql: fct_orders.sql\n"
	files := edited(t, "pipeline.yaml", output, output+"    version_column: ordered_at\n    delete_when: order_id < 0\n")
	for _, mode := range []pipeline.WriteMode{pipeline.Replace, pipeline.Merge, pipeline.Append} {
		files["config.dev.yaml"] = []byte("warehouse_schema: shop_dev\nwrite_mode: " + string(mode) + "\n")
		p, err := pipeline.Parse(files, "config.dev.yaml")
		require.NoError(t, err)
		require.Equal(t, mode, p.Config.WriteMode)
		require.Equal(t, mode != pipeline.Replace, p.Config.WriteMode.Keeps())
		o, _ := p.Output("fct_orders")
		require.Equal(t, "ordered_at", o.VersionColumn)
		require.Equal(t, "order_id < 0", o.DeleteWhen)
	}
}

func TestWhatCannotBeMergedIsRefused(t *testing.T) {
	t.Parallel()
	const output, key = "    sql: fct_orders.sql\n", "    key: [order_id]\n"
	for name, tc := range map[string]struct{ from, to, mode, want string }{
		"an output without a key":    {key, "", "merge", "merge finds rows by their key, and fct_orders has none"},
		"a version without a key":    {key, "    version_column: ordered_at\n", "replace", "version_column says how rows of one key are merged, and fct_orders has no key"},
		"a delete without a key":     {key, "    delete_when: amount < 0\n", "replace", "delete_when says how rows of one key are merged, and fct_orders has no key"},
		"a delete of two statements": {output, output + "    delete_when: amount < 0; true\n", "merge", "holds a semicolon"},
		"a delete by the moment":     {output, output + "    delete_when: ordered_at < @now\n", "merge", "delete_when has no placeholders"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := edited(t, "pipeline.yaml", tc.from, tc.to)
			files["config.dev.yaml"] = []byte("warehouse_schema: shop_dev\nwrite_mode: " + tc.mode + "\n")
			_, err := pipeline.Parse(files, "config.dev.yaml")
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestNamesOfBatches(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"monday": true, "2026-01-31.late": true, "a:b_c": true,
		"": false, "files-0123": false, "two words": false, "-x": false, "a'b": false,
	} {
		require.Equal(t, ok, pipeline.BatchName(name), name)
	}
}

// Each partition is built over its own rows where they are kept.
func TestNoBatchIsBuiltWhereRowsAreKept(t *testing.T) {
	t.Parallel()
	p := pipeline.Pipeline{Batch: 7}
	require.Equal(t, 7, p.BatchIn(pipeline.Config{WriteMode: pipeline.Replace}))
	require.Zero(t, p.BatchIn(pipeline.Config{WriteMode: pipeline.Merge}))
	require.Zero(t, p.BatchIn(pipeline.Config{WriteMode: pipeline.Append}))
}
