package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// A release that adds a column is rolled back, the earlier one runs, and the newer one is deployed again: the same digest
// publishes again.
func TestAColumnComesAndGoesAndComesAgain(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	stop := w.readers("dev", 2)
	next := w.withCurrency("1.1.0")
	w.cli(0, "deploy", next, "--to", "dev", "--rebuild", "all")
	w.ended(workflows.StageDone, fiveFilled, "1.1.0")

	before := w.number(`SELECT count(*) FROM shop_dev__ledger.swap`)
	dry := w.cli(0, "rollback", shop, "--env", "dev", "--reason", "just looking", "--dry-run")
	require.Contains(t, dry.out, "back by swap: 6 partitions")
	require.Equal(t, before, w.number(`SELECT count(*) FROM shop_dev__ledger.swap`), "a dry run changes nothing")
	w.cli(0, "rollback", shop, "--env", "dev", "--reason", "currencies are wrong", "--verify", "full")
	w.holds("dev", fiveEmpty)
	require.Equal(t, "1.0.0", w.active("dev"))
	w.tidy("dev")

	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay) // with the active release
	w.holds("dev", fiveEmpty)
	w.record(workflows.RunID(shop, "dev", middleDay), "done")
	w.record(workflows.RollbackID(shop, "dev"), "done")
	digest := w.status(shop).Release.Digest
	w.cli(0, "deploy", "shop@1.1.0", "--to", "dev", "--rebuild", "all")
	w.ended(workflows.StageDone, fiveFilled, "1.1.0")
	require.Equal(t, digest, w.status(shop).Release.Digest)

	w.record(workflows.DeploymentID(shop, "1.1.0"), "done")

	stop()

	// One partition goes back on its own; the release stays.
	w.cli(0, "rollback", shop, "--env", "dev", "--output", "orders", "--partition", middleDay, "--to", "last-good", "--reason", "a late file")
	require.Equal(t, "1.1.0", w.active("dev"))
	require.Equal(t, 50, w.number(`SELECT count(*) FROM shop_dev.orders WHERE currency IS NULL AND ordered_on = $1`, middleDay))
	w.cli(0, "run", "shop@1.1.0", "--env", "dev", "--partition", middleDay)
	w.ended(workflows.StageDone, fiveFilled, "1.1.0")
}

// The numbers are wrong only across partitions: every audit and the canary pass, the watch does not.
func TestABreachedWatchTurnsBack(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	bad := w.release("1.1.0", "watch: {for: 0s}\n", "watch: {for: 1h, every: 1s}\n",
		"channel, amount\n", "channel, CASE WHEN ordered_on < '"+newestDay+"' THEN 2 * amount ELSE amount END::numeric(12,2) AS amount\n")
	a := w.cli(3, "deploy", bad, "--to", "dev", "--rebuild", "all")
	require.Contains(t, a.out, "total: 4,006.25 differs by 75.62 %")
	w.ended(workflows.StageRolledBack, four, "1.0.0")
	w.record(workflows.DeploymentID(shop, "1.1.0"), "rolled_back")
}

// A canary that differs from what is live stops the release before anyone sees it.
func TestABadCanaryIsStopped(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	bad := w.release("1.1.0", "channel, amount\n", "channel, (2 * amount)::numeric(12,2) AS amount\n")
	a := w.cli(2, "deploy", bad, "--to", "dev", "--rebuild", "all")
	require.Contains(t, a.out, "amount changed in")
	w.ended(workflows.StageRefused, four, "1.0.0")
	w.record(workflows.DeploymentID(shop, "1.1.0"), "refused")
}
