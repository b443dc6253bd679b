package pipeline_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// visits is a pipeline that is cut by a list.
func visits(list, sql, more string) map[string][]byte {
	return map[string][]byte{
		"config.dev.yaml": []byte("warehouse_schema: shop_dev\n"),
		"out.sql":         []byte(sql),
		"pipeline.yaml": []byte("name: visits\nversion: 1.0.0\nowner: sales\npartition: {by: {list: " + list + "}, column: channel" + more + "}\n" +
			"steps:\n  - load: {name: raw, file: visits.csv}\noutputs:\n  - table: fct_visits\n    sql: out.sql\n    key: [visit_id]\n    checks: [row_count: {min: 1}]\n"),
	}
}

const ofTheList = "SELECT visit_id, channel FROM raw WHERE channel = @partition_value"

func TestAListIsReadInTheOrderInWhichItIsWritten(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]partition.Value{
		"[web, store]":       {{Key: "web", Text: "web"}, {Key: "store", Text: "store"}},
		"[NO, 10, -3, null]": {{Key: "NO", Text: "NO"}, {Key: "10", Text: "10"}, {Key: "-3", Text: "-3"}, {Key: "null", Null: true}},
		"[true, 'null']":     {{Key: "true", Text: "true"}, {Key: "null", Text: "null"}},
		`{web: "W", eu: "north & south", half: 0.5, none: null, empty: ""}`: {
			{Key: "web", Text: "W"}, {Key: "eu", Text: "north & south"}, {Key: "half", Text: "0.5"}, {Key: "none", Null: true}, {Key: "empty", Text: ""},
		},
	} {
		p, err := pipeline.Parse(visits(list, ofTheList, ""), "")
		require.NoError(t, err, list)
		require.Equal(t, want, p.Partition.Values.All(), list)
		require.Equal(t, p.Partition, p.Outputs[0].Partition)
	}
}

func TestAListThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ list, sql, more, says string }{
		"no list":           {"web", ofTheList, "", "partition.by.list: must be a list"},
		"an empty one":      {"[]", ofTheList, "", "must not be empty"},
		"lists in it":       {"[[web]]", ofTheList, "", "must be a single value"},
		"twice the same":    {"[web, web]", ofTheList, "", "two partitions of the list are called web"},
		"null by two names": {"{a: null, b: null}", ofTheList, "", "the value of b is in the list twice"},
		"no name":           {"[north america]", ofTheList, "", "value 1 of the list needs a name"},
		"a timezone":        {"[web]", ofTheList, ", timezone: UTC", "a list has no size or timezone"},
		"a batch":           {"[web]", ofTheList, ", batch: 7", "a batch is of a range"},
		"a lower bound":     {"[web]", "SELECT visit_id, channel FROM raw WHERE channel >= @partition_start", "", "out.sql:1:52: a partition of a list has no @partition_start; write channel = @partition_value, or channel IS NOT DISTINCT FROM @partition_value where the list has null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.Parse(visits(c.list, c.sql, c.more), "")
			require.ErrorContains(t, err, c.says)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
		})
	}
	_, err := pipeline.Parse(edited(t, "fct_orders.sql", "@partition_start", "@partition_value"), "")
	require.ErrorContains(t, err, "only a list has @partition_value")
	keyed := visits("[web, null]", ofTheList, "")
	keyed["pipeline.yaml"] = bytes.Replace(keyed["pipeline.yaml"], []byte("key: [visit_id]"), []byte("key: [visit_id, channel]"), 1)
	_, err = pipeline.Parse(keyed, "")
	require.ErrorContains(t, err, "a column of the key is never NULL, and the list has null for channel")
}

// Rows that no value of a list has are found where the comparison with the value is one that can be taken away.
func TestAComparisonWithTheValueOfAListIsTakenAway(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT 1 WHERE c = @partition_value":                      "SELECT 1 WHERE c || '' IS DISTINCT FROM '~' || @partition_value",
		"SELECT 1 WHERE c IS NOT DISTINCT FROM @partition_value":   "SELECT 1 WHERE c || '' IS DISTINCT FROM '~' || @partition_value",
		"SELECT 1 WHERE c is not distinct\n from @partition_value": "SELECT 1 WHERE c || '' IS DISTINCT FROM '~' || @partition_value",
		"SELECT 1 WHERE @partition_value = c AND d = @partition":   "SELECT 1 WHERE @partition_value || '~' IS DISTINCT FROM '' || c AND d || '' IS DISTINCT FROM '~' || @partition",
	} {
		got := pipeline.Unbounded(sql)
		require.Equal(t, strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(got), " "))
		require.True(t, pipeline.Unbound(sql))
	}
	for _, sql := range []string{"SELECT @partition_value AS c", "SELECT 1 WHERE c = ANY(ARRAY[@partition_value])", "SELECT 1 WHERE c IS DISTINCT FROM @partition_value"} {
		require.False(t, pipeline.Unbound(sql), sql)
	}
}

func TestAKeyOfTheWholeOutputNeedsPartitions(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(edited(t, "pipeline.yaml", "key: [order_id]", "key: [order_id]\n    key_scope: output"), "")
	require.NoError(t, err)
	require.Equal(t, pipeline.KeyOfOutput, p.Outputs[0].KeyScope)
	_, err = pipeline.Parse(edited(t, "pipeline.yaml", "key: [channel]", "key: [channel]\n    key_scope: output"), "")
	require.ErrorContains(t, err, "the output is one partition, in which its key is unique")
	_, err = pipeline.Parse(edited(t, "pipeline.yaml", "    key: [order_id]\n", "    key_scope: output\n"), "")
	require.ErrorContains(t, err, "the output has no key")
}
