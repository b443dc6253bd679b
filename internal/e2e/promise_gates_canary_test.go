package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// doubled is a release that doubles every amount: no budget allows that.
func (w *world) doubled(version string, replace ...string) string {
	w.t.Helper()
	return w.release(version, append(replace, "channel, amount\n", "channel, (2 * amount)::numeric(12,2) AS amount\n")...)
}

// verdictOf is the newest verdict of a gate in the first environment of a deployment.
func (w *world) verdictOf(id, name string) gate.Verdict {
	w.t.Helper()
	var found gate.Verdict
	for _, v := range w.status(id).Crossings[0].Verdicts {
		if v.Gate == name {
			found = v.Verdict
		}
	}
	return found
}

// The ordinary morning: the day's file is there, and nobody has run it yet.
func TestAFileThatNobodyHasRunSwitchesNoCanaryOff(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.days = append(w.days, "2026-01-06")
	w.write(sourceOf("2026-01-06"), csv("2026-01-06", ordersPerDay))
	a := w.cli(2, "deploy", w.doubled("1.1.0"), "--to", "dev", "--rebuild", "all")
	require.Contains(t, a.out, "amount changed in")
	require.Equal(t, gate.Fail, w.verdictOf(shop, "canary").Outcome)
	require.Equal(t, "1.0.0", w.active("dev"))
}

// A first release has nothing to be compared with: it is no tick, and it asks nobody.
func TestTheCanaryOfAFirstReleaseIsNoPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev")
	v := w.verdictOf(shop, "canary")
	require.Equal(t, gate.None, v.Outcome)
	require.Contains(t, v.Reason, "no baseline")
	a := w.cli(0, "status", shop)
	require.Contains(t, a.out, "– canary")
	require.NotContains(t, a.out, "✔ canary")
}

// Where a release is active and nothing of it can be built again, a person decides.
func TestACanaryThatComparedNothingAsks(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	for _, day := range w.days {
		w.remove(sourceOf(day))
	}
	w.write(sourceOf("2026-01-06"), csv("2026-01-06", ordersPerDay))
	a := w.cli(4, "deploy", w.release("1.1.0", "  - table: channels\n    partition: all\n    sql: sql/channels.sql\n    key: [channel]\n    checks:\n      - row_count: {min: 1}\n      - unique: [channel]\n", "", "  - load:\n      name: raw_channels\n      file: data/channels.csv\n      columns: {channel: text, title: text}\n", ""), "--to", "dev")
	require.Contains(t, a.out, "nothing could be compared")
	s := w.status(shop)
	require.Equal(t, workflows.StageWaiting, s.Stage)
	require.Equal(t, gate.Inconclusive, s.Gates[0].Verdict.Outcome)
	w.cli(0, "approve", s.ID, "--as", "grace", "--reason", "nothing of it is left")
	require.Equal(t, workflows.StageDone, w.tbEnds(s.ID).Stage, "the publish finds her answer")
	require.Equal(t, "1.1.0", w.active("dev"))
	require.Equal(t, []string{"inconclusive grace"}, w.texts(`
		SELECT v.outcome || ' ' || a.person
		FROM shop_dev__ledger.verdict v
		JOIN shop_dev__ledger.answer a ON a.about = v.about
		WHERE v.stage = 'canary' AND v.owner = a.owner`))
}

// With a config from outside the control runs where the candidate does, and is not the candidate.
func TestAControlRunsInTheCrossingsOwnWarehouse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.write("alt.yaml", "warehouse_schema: shop_alt\nwrite_mode: replace\nsource_files: .\nwatch: {for: 0s}\n")
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev", "--config", "dev=alt.yaml")
	w.write(sourceOf(newestDay), csv(newestDay, ordersPerDay-1)) // other inputs than those of the live generation
	a := w.cli(2, "deploy", w.doubled("1.1.0"), "--to", "dev", "--config", "dev=alt.yaml")
	require.Contains(t, a.out, "amount changed in 49 of 49 rows")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_alt__ledger.generation WHERE control AND output = 'orders' AND effect_key NOT LIKE '%-again/%'`))
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_alt__ledger.active a JOIN shop_alt__ledger.tenure t ON t.number = a.tenure WHERE t.version = '1.0.0'`))
	require.Equal(t, 0, w.number(`SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'shop_dev__ledger'`), "nothing is left elsewhere")
}

// All that smoke names is built and audited; what no canary compares and nobody asked to rebuild is not published.
func TestSmokeBuildsAllThatThePlanSays(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	folder := w.release("1.1.0", "canary:", "smoke: {partitions: latest 3, max_runtime: 5m}\ncanary:", "channel, amount\n", "channel, amount, currency\n")
	a := w.cli(0, "plan", folder, "--to", "dev")
	require.Contains(t, a.out, "build and audit 2026-01-03, 2026-01-04, 2026-01-05 aside, within 5m; 2026-01-03, 2026-01-04: not published")
	w.cli(0, "deploy", folder, "--to", "dev")
	var days []string
	for _, e := range w.verdictOf(shop, "smoke").Evidence {
		days = append(days, e.Name)
	}
	require.Subset(t, days, []string{"orders[2026-01-03]", "orders[2026-01-04]", "orders[2026-01-05]"})
	require.Equal(t, 50, w.number(`SELECT count(*) FROM shop_dev.orders WHERE currency IS NOT NULL`), "only the canary's day is of the new release")
	require.Equal(t, 2, w.number(`SELECT count(*) FROM shop_dev__ledger.generation WHERE version = '1.1.0' AND output = 'orders' AND NOT control AND state IN ('rejected', 'dropped')`))
}
