package warehouse_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/warehouse"
)

// stores is the shop with a file of each of its stores a day.
func stores() *pipeline.Pipeline {
	p := shop()
	p.Loads[0].File = "stores/*/sales_{store}_{date:%Y%m%d}.csv"
	p.Loads[0].Parts = []string{"@file", "@file.store"}
	p.Outputs[0].SQL = `SELECT order_id, ordered_at::date AS order_date, "@file.store" AS channel, "@file" AS file, amount
		FROM raw_orders
		WHERE ordered_at >= @partition_start AND ordered_at < @partition_end`
	return p
}

func (b *bundle) shown(t *testing.T, sql string) string {
	t.Helper()
	var text string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT coalesce(string_agg(row::text, ' ' ORDER BY row::text), '') FROM ("+sql+") AS row").Scan(&text))
	return text
}

func TestAllFilesOfAPartitionAreReadAndRowsKnowTheirs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.files["stores/north/sales_7_20260101.csv"] = "order_id,ordered_at,amount\n1,2026-01-01 10:00:00+00,1.50\n2,2026-01-01 11:00:00+00,2.50\n"
	b.files["stores/south/sales_o'hare \\_20260101.csv"] = "amount,order_id,ordered_at\r\n4.00,3,2026-01-01 10:00:00+00\r\n" // another order of columns, and an empty one after it
	b.files["stores/south/sales_9_20260101.csv"] = "order_id,ordered_at,amount\n"
	b.files["stores/south/sales_9_20260102.csv"] = "order_id,ordered_at,amount\n9,2026-01-02 10:00:00+00,9.00\n"
	built := b.build(t, stores(), "2026-01-01")
	require.EqualValues(t, 3, built.Generation.Rows)
	require.EqualValues(t, 3, built.LoadedRows)
	b.publish(t, swap(built.Generation, 0))
	require.Equal(t,
		`(1,7,stores/north/sales_7_20260101.csv,1.50) (2,7,stores/north/sales_7_20260101.csv,2.50) `+
			`(3,"o'hare \\","stores/south/sales_o'hare \\_20260101.csv",4.00)`,
		b.shown(t, "SELECT order_id, channel, file, amount FROM fct_orders"))

	// The same files are the same inputs; another name of one is another input, as rows have it.
	again := b.build(t, stores(), "2026-01-01")
	require.Equal(t, built.Generation.Inputs, again.Generation.Inputs)
	b.files["stores/north/sales_8_20260101.csv"] = b.files["stores/north/sales_7_20260101.csv"]
	delete(b.files, "stores/north/sales_7_20260101.csv")
	require.NotEqual(t, built.Generation.Inputs, b.build(t, stores(), "2026-01-01").Generation.Inputs)
}

func TestFilesThatAreNotCutByPartitionAreLoadedOnceForAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := stores()
	p.Loads[0].File = "stores/{store}.csv"
	b.files["stores/7.csv"] = "order_id,ordered_at,amount\n1,2026-01-01 10:00:00+00,1.50\n2,2026-01-02 11:00:00+00,2.50\n"
	b.files["stores/9.csv"] = "order_id,ordered_at,amount\n3,2026-01-02 10:00:00+00,4.00\n"
	b.publish(t, swap(b.build(t, p, "2026-01-01").Generation, 0))
	delete(b.files, "stores/9.csv") // what was loaded is what the whole workflow reads
	b.publish(t, swap(b.build(t, p, "2026-01-02").Generation, 0))
	require.Equal(t, "(1,7,1.50) (2,7,2.50) (3,9,4.00)", b.shown(t, "SELECT order_id, channel, amount FROM fct_orders"))
}

func TestWhatIsWrongWithOneOfSeveralFilesIsSaidOfThatFile(t *testing.T) {
	t.Parallel()
	const good = "order_id,ordered_at,amount\n1,2026-01-01 10:00:00+00,1.50\n"
	for name, c := range map[string]struct {
		file  string
		parts []string
		says  []string
	}{
		"a bad value":          {good + "2,2026-01-01,sEcret\n", nil, []string{"sales_9_20260101.csv, line 3, column amount"}},
		"another column":       {"order_id,ordered_at,amount,sEcret\n", nil, []string{"sales_9_20260101.csv", "column 4 of its header is not in that of stores/a/sales_7_20260101.csv"}},
		"a column less":        {"order_id,ordered_at\n", nil, []string{"sales_9_20260101.csv", "lacks amount"}},
		"an empty file":        {"", nil, []string{"sales_9_20260101.csv", "no header line"}},
		"a column like a part": {"order_id,ordered_at,amount,@file\n", nil, []string{"sales_9_20260101.csv", "column 4 of its header has the name"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.files["stores/a/sales_7_20260101.csv"], b.files["stores/b/sales_9_20260101.csv"] = good, c.file
			_, err := b.Build(t.Context(), b.spec(stores(), "2026-01-01"))
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
			for _, s := range c.says {
				require.ErrorContains(t, err, s)
			}
			require.NotContains(t, err.Error(), "sEcret")
			require.Zero(t, b.children(t), "the child of the failed attempt is still there")
		})
	}
}

// Plans and unit tests know the columns before a file is read.
func TestColumnsFromNamesAreKnownBeforeAFileIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := stores()
	columns, err := b.Describe(t.Context(), p, p.Outputs[0], nil)
	require.NoError(t, err)
	var names []string
	for _, c := range columns {
		names = append(names, c.Name+" "+c.Type)
	}
	require.Equal(t, "order_id bigint, order_date date, channel text, file text, amount numeric(12,2)", strings.Join(names, ", "))
	p.Tests = []pipeline.UnitTest{{
		File: "tests/stores.yaml", Name: "stores are channels", Partition: "2026-01-01",
		Given:  map[string][]pipeline.Row{"raw_orders": {{"order_id": 1, "ordered_at": "2026-01-01", "amount": 1, "@file.store": "7"}}},
		Expect: map[string][]pipeline.Row{"fct_orders": {{"order_id": 1, "channel": "7"}}},
	}}
	findings, err := b.Validate(t.Context(), p, warehouse.Headers{"raw_orders": {"order_id", "ordered_at", "amount"}})
	require.NoError(t, err)
	for _, f := range findings {
		require.True(t, f.OK, "%s: %s", f.Subject, f.Text)
	}
}

func TestPackedFilesAreLoaded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	packed := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return out.String()
	}
	p := stores()
	p.Loads[0].File = "sales_{store}_@partition.*"
	const good = "order_id,ordered_at,amount\n1,2026-01-01 10:00:00+00,1.50\n"
	b.files["sales_7_2026-01-01.csv"] = "order_id,ordered_at,amount\n2,2026-01-01 10:00:00+00,2.50\n"
	for content, says := range map[string]string{
		packed(good + "\\.\n"): "sales_9_2026-01-01.csv.gz, line 3", // of the text
		packed(good)[:40]:      "sales_9_2026-01-01.csv.gz: its gzip data ends too soon",
	} {
		b.files["sales_9_2026-01-01.csv.gz"] = content
		_, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, says)
	}
	b.files["sales_9_2026-01-01.csv.gz"] = packed(good)
	b.publish(t, swap(b.build(t, p, "2026-01-01").Generation, 0))
	require.Equal(t, "(1,9,1.50) (2,7,2.50)", b.shown(t, "SELECT order_id, channel, amount FROM fct_orders"))
}
