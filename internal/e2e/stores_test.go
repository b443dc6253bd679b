package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// example is a block of a document.
func example(t *testing.T, document, language string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "docs", document))
	require.NoError(t, err)
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(body)
	require.NotNil(t, m)
	return string(m[1])
}

// The example of the document works as it stands: tills of several stores, with the separators, letters and line ends of theirs.
func TestTillsOfManyStoresMakeADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("tills/pipeline.yaml", example(t, "files.md", "yaml"))
	w.write("tills/sql/fct_receipts.sql", example(t, "files.md", "sql"))
	w.write("tills/config.dev.yaml", truWarehouse+"source_files: pos\nwarehouse_schema: shop_dev\n")
	till := func(name string, rows ...string) {
		w.write("source/pos/stores/"+name, "receipt;sold_at;article;amount\r\n"+strings.Join(rows, ""))
	}
	till("north/sales_7_20260131.csv", "1;2026-01-31 09:00:00;K\xe4se;2.50\r\n", "2;2026-01-31 09:05:00;Brot;3.10\r\n")
	till("north/sales_8_20260131.csv", "1;2026-01-31 09:00:00;Milch;1.20\r\n")
	till("south/sales_7a_20260131.csv", "1;2026-01-31 17:00:00;Eier;4.00\r\n")
	till("south/sales_7a_20260201.csv", "1;2026-02-01 17:00:00;Eier;4.00\r\n")
	till("south/sales_7a_20260230.csv", "1;2026-02-28 17:00:00;Eier;4.00\r\n")
	w.worker("worker", "--env", "dev", "--workflows")
	folder := w.path("tills")

	validated := w.cli(0, "validate", folder, "--env", "dev")
	require.Contains(t, validated.out, "stores/south/sales_7a_20260230.csv", "nothing reads it, and that is said")
	w.cli(0, "run", folder, "--env", "dev", "--partition", "2026-01-31")
	require.Equal(t, []string{
		"7 1 Käse stores/north/sales_7_20260131.csv", "7 2 Brot stores/north/sales_7_20260131.csv", "7a 1 Eier stores/south/sales_7a_20260131.csv",
		"8 1 Milch stores/north/sales_8_20260131.csv",
	}, w.texts(`SELECT concat_ws(' ', till, receipt, article, received_in) FROM shop_dev.fct_receipts ORDER BY till COLLATE "C", receipt`))

	w.cli(0, "deploy", folder, "--to", "dev")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_dev.fct_receipts WHERE sold_on = '2026-02-01'`))

	till("north/sales_8_20260201.csv", "1;2026-02-01 09:00:00;Milch;not a price\r\n")
	failed := w.try("run", folder, "--env", "dev", "--partition", "2026-02-01")
	require.NotZero(t, failed.code)
	require.Contains(t, failed.out+failed.err, "stores/north/sales_8_20260201.csv, line 2, column amount")
	require.NotContains(t, failed.out+failed.err, "not a price")
	missing := w.try("run", folder, "--env", "dev", "--partition", "2026-02-02")
	require.NotZero(t, missing.code)
	require.Contains(t, missing.out+missing.err, "stores/*/sales_{till}_20260202.csv")
}
