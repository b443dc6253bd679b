package pipeline_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/pipeline"
)

// uncut is the shop, whose orders of all days come in one file.
func uncut(t *testing.T, from, to string) map[string][]byte {
	t.Helper()
	files := shopFolder()
	text := strings.Replace(string(files["pipeline.yaml"]), "orders_@partition.csv", "orders.csv", 1)
	text = strings.Replace(text, "column: order_date}", "column: order_date, batch: 31}", 1)
	require.Contains(t, text, from)
	files["pipeline.yaml"] = []byte(strings.Replace(text, from, to, 1))
	return files
}

func TestABatchIsOfWhatARangeCanBeBuiltFrom(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(uncut(t, "", ""), "")
	require.NoError(t, err)
	require.Equal(t, 31, p.Batch)
	for name, c := range map[string]struct{ from, to, sql, says string }{
		"a file per partition":       {from: "file: \"orders.csv\"", to: "file: \"orders_@partition.csv\"", says: "raw_orders has a file per partition"},
		"a SELECT that asks for one": {sql: "SELECT order_id, order_date, amount FROM raw_orders WHERE order_date = @partition::date", says: "@partition, which is one key"},
		"what is not the same twice": {
			from: "      - metric: {name: revenue, sql: sum(amount)}\n", to: "    repeatable: {is: false, because: it draws}\n", says: "fct_orders is not the same twice",
		},
		"one partition":     {from: "batch: 31", to: "batch: 1", says: "batch"},
		"a pipeline of one": {from: "{by: day, column: order_date, batch: 31}", to: "{by: all, batch: 3}", says: "the pipeline is one partition"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := uncut(t, c.from, c.to)
			if c.sql != "" {
				files["fct_orders.sql"] = []byte(c.sql)
			}
			_, err := pipeline.Parse(files, "")
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestAnOutputSaysWhyItNeedNotBeRepeatable(t *testing.T) {
	t.Parallel()
	const end = "      - metric: {name: revenue, sql: sum(amount)}\n"
	p, err := pipeline.Parse(edited(t, "pipeline.yaml", end, end+"    repeatable: {is: false, because: ids are drawn anew}\n"), "")
	require.NoError(t, err)
	require.Equal(t, "ids are drawn anew", p.Outputs[0].NotRepeatable)
	require.Empty(t, p.Outputs[1].NotRepeatable)
	for text, says := range map[string]string{
		"{is: false}":                       `the key "because" is missing`,
		"{is: true, because: it always is}": "leave repeatable out",
		"false":                             "repeatable",
	} {
		_, err := pipeline.Parse(edited(t, "pipeline.yaml", end, end+"    repeatable: "+text+"\n"), "")
		require.ErrorContains(t, err, says, text)
	}
}
