package backfill_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
	"drawbridge/internal/partition"
)

var update = flag.Bool("update", false, "write the golden files")

// The span is 2 to 5 January.
func TestWhoReadsWhatIsBuiltIsNamedWithThePartitionsThatOverlap(t *testing.T) {
	t.Parallel()
	scheme := func(by partition.By, zone string) partition.Scheme {
		return partition.Scheme{By: by, Column: "c", Timezone: zone}
	}
	for name, c := range map[string]struct {
		scheme partition.Scheme
		live   []partition.Key
		want   string
		says   string
	}{
		"by day":             {scheme(partition.Day, ""), []partition.Key{"2026-01-01", "2026-01-02", "2026-01-05", "2026-01-06"}, "2026-01-02, 2026-01-05", "drawbridge backfill sums --env prod --from 2026-01-02 --to 2026-01-02 --force"},
		"by month":           {scheme(partition.Month, ""), []partition.Key{"2025-12", "2026-01", "2026-02"}, "2026-01", "--from 2026-01 --to 2026-01"},
		"by week":            {scheme(partition.Week, ""), []partition.Key{"2025-W52", "2026-W01", "2026-W02", "2026-W03"}, "2026-W01 to 2026-W02 (2)", "--from 2026-W01 --to 2026-W02"},
		"by hour":            {scheme(partition.Hour, ""), []partition.Key{"2026-01-01T23", "2026-01-02T00", "2026-01-05T23", "2026-01-06T00"}, "2026-01-02T00, 2026-01-05T23", "--from 2026-01-02T00"},
		"of another place":   {scheme(partition.Day, "America/New_York"), []partition.Key{"2025-12-31", "2026-01-01", "2026-01-05", "2026-01-06"}, "2026-01-01, 2026-01-05", "--from 2026-01-01"},
		"one partition":      {partition.Scheme{By: partition.All}, []partition.Key{"all"}, "all", "drawbridge run sums --env prod --partition all"},
		"cut by another way": {partition.Scheme{By: partition.Range, Column: "c", Size: 10}, []partition.Key{"0", "10"}, "0 to 10 (2)", "--from 0 --to 10"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t)
			in.Ask.Force = true
			in.Readers = []backfill.Reader{{Pipeline: "sums", Scheme: c.scheme, Reads: []string{"fct_orders"}, Live: c.live}}
			p, err := backfill.Compute(in)
			require.NoError(t, err)
			require.Len(t, p.Downstream, 1)
			require.Contains(t, p.Downstream[0].String(), "sums reads fct_orders: "+c.want+" is as before")
			require.Contains(t, p.Downstream[0].Commands[0], c.says)
			require.Contains(t, strings.Join(backfill.Summarize(p, byDay).Lines, "\n"), c.says)
		})
	}
}

func TestIntegersOverlapByTheirBounds(t *testing.T) {
	t.Parallel()
	in := input(t)
	in.Pipeline.Partition = partition.Scheme{By: partition.Range, Column: "n", Size: 10}
	in.Ask = backfill.Ask{From: "20", To: "30", Order: backfill.Oldest, Force: true}
	in.Observed.Sources = []partition.Key{"20", "30"}
	in.Readers = []backfill.Reader{{
		Pipeline: "sums", Scheme: partition.Scheme{By: partition.Range, Column: "n", Size: 15}, Live: []partition.Key{"0", "15", "30", "45"},
	}}
	p, err := backfill.Compute(in)
	require.NoError(t, err)
	require.Equal(t, []backfill.Span{{First: "15", Last: "30", Count: 2}}, p.Downstream[0].Partitions)
}

// A document is read by people who review it: names cannot mark anything up in it.
func TestTheChangeDocumentSaysWhatHappensWhoReadsItAndTheWayBack(t *testing.T) {
	t.Parallel()
	in := input(t)
	in.Ask.Force, in.Bytes = true, 600_000
	in.Policy.Backfill.MaxPartitions = 3
	in.Policy.Windows = []string{"mon-fri 22:00-06:00 Europe/Berlin"}
	in.Readers = []backfill.Reader{
		{Pipeline: "sums", Scheme: partition.Scheme{By: partition.Month, Column: "m"}, Reads: []string{"fct_orders", "fct_refunds"}, Live: []partition.Key{"2026-01"}},
		{Pipeline: "a|b<c", Scheme: partition.Scheme{By: partition.All}, Reads: []string{"fct_orders"}, Live: []partition.Key{"all"}},
	}
	p, err := backfill.Compute(in)
	require.NoError(t, err)
	text := backfill.Markdown(backfill.Summarize(p, byDay), "shop", "prod", "backfill/shop/prod/2026-01-02..2026-01-05")
	file := filepath.Join("testdata", "document.md")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
	require.NotContains(t, text, "a|b")
}
