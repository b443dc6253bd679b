package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// oneFile writes the orders of all days into one file, with further lines, and returns how a release reads it.
func (w *world) oneFile(more ...string) (replace []string) {
	w.t.Helper()
	var file strings.Builder
	file.WriteString(ordersColumns + "\n")
	for _, day := range w.days {
		file.WriteString(strings.TrimPrefix(csv(day, ordersPerDay), ordersColumns+"\n"))
	}
	file.WriteString(strings.Join(more, ""))
	w.write("source/data/orders.csv", file.String())
	return []string{
		"data/orders_@partition.csv", "data/orders.csv", "FROM raw_orders\n",
		"FROM raw_orders\nWHERE ordered_on >= @partition_start AND ordered_on < @partition_end\n",
	}
}

// together counts the live orders' partitions that were written by a transaction which wrote others too.
func (w *world) together() int {
	w.t.Helper()
	return w.number(`SELECT count(*) FROM (
		SELECT count(*) OVER (PARTITION BY built_xid) AS n FROM shop_dev__ledger.generation WHERE output = 'orders' AND state = 'live') AS g WHERE n > 1`)
}

// A release that gives for a range what it gives one by one is built so, by whoever builds it; what is wrong with one partition is
// that one's alone.
func TestDeploymentsAndBackfillsBuildNeighboursTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uncut := w.oneFile()
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(0, "deploy", w.release("1.0.0", append(uncut, "column: ordered_on}", "column: ordered_on, batch: 31}")...), "--to", "dev")
	w.ended(workflows.StageDone, four, "1.0.0")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_dev__ledger.batch_proof WHERE difference = '' AND cardinality(partitions) = 3`))
	require.Equal(t, 4, w.together(), "all but the canary's day")

	repeated, _, _ := strings.Cut(strings.TrimPrefix(csv(middleDay, 1), ordersColumns+"\n"), "\n")
	w.oneFile(repeated + "\n") // the key of an order of the middle day repeats
	backfill := []string{"backfill", "shop", "--env", "dev", "--from", w.days[0], "--to", newestDay, "--force", "--reason", "corrected"}
	id := workflows.BackfillID("shop", "dev", partition.Key(w.days[0]), newestDay)
	a := w.try(backfill...)
	require.Equal(t, 4, a.code, a.out+a.err)
	screen := w.cli(4, "status", id).out
	require.Contains(t, screen, middleDay)
	require.Contains(t, screen, "1 failed")

	w.oneFile()
	w.cli(0, "retry-failed", id)
	s := w.tbEnds(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	w.holds("dev", four)
	require.Zero(t, w.together(), "the batch was run one by one")
	w.cli(0, backfill...)
	w.holds("dev", four)
	require.Equal(t, 5, w.together())
}
