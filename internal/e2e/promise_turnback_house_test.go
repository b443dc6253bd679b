package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// tbAsks is a watch of dev that is breached at once by what multiplies amounts, and asks.
const tbAsks = "  for: 2s\n  every: 1s\n  on_breach: ask\n  checks:\n    - metric: {name: total, sql: SELECT sum(v) FROM ta, vs_history: 25%}\n"

// While a watch is open, whatever it would go back to is kept, however old: another pipeline's housekeeping too knows that.
func TestHousekeepingKeepsWhatAnOpenWatchWouldGoBackTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: false}\nkeep_retired: 2s\n")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.deploy(tbFirst())
	kept := l.child("dev", "ta", l.days[0])
	second := tbSecond()
	second.watch = tbAsks
	a := w.try("deploy", l.release(second), "--to", "dev", "--rebuild", "all")
	require.Equal(t, 4, a.code, tbTold(a))
	l.are("dev", 10, "ta")
	w.await("what was retired to be older than is kept", func() bool {
		return w.number(`SELECT count(*) FROM lab_dev__ledger.generation WHERE state = 'retired' AND at < now() - interval '3 s'`) == 2
	})

	other := w.tbNewLab("other", 1)
	other.deploy(tbRelease{version: "1.0.0", factor: 1, outputs: []string{"tother"}, schema: "lab_dev"})
	w.await("housekeeping to drop what nobody could go back to", func() bool {
		w.cli(0, "run", other.name, "--env", "dev", "--partition", other.days[0])
		return w.number(`SELECT count(*) FROM lab_dev__ledger.generation WHERE output = 'tother' AND state = 'dropped'`) > 0
	})
	require.Equal(t, 1, w.number(`SELECT count(*) WHERE to_regclass($1) IS NOT NULL`, kept), "%s is what the watch would go back to", kept)
	for _, day := range l.days {
		w.remove(l.source(day)) // it cannot be built again
	}
	w.cli(0, "decide", w.status(l.name).ID, "--choice", "rollback", "--reason", "bad")
	require.Equal(t, workflows.StageRolledBack, w.tbEnds(l.name).Stage)
	l.are("dev", 1, "ta")
}

// A watch that outlasts what is kept could not keep its promise: the plan says so.
func TestAWatchLongerThanWhatIsKeptIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: false}\nkeep_retired: 1h\n")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 1)
	long := tbFirst()
	long.watch = "  for: 2h\n  every: 10m\n  checks:\n    - metric: {name: total, sql: SELECT sum(v) FROM ta, vs_history: 25%}\n"
	folder := l.release(long)
	a := w.try("plan", folder, "--to", "dev")
	require.Contains(t, a.out+a.err, "keep_retired", "the plan names what is too short")
	a = w.try("deploy", folder, "--to", "dev", "--detach")
	if a.code == 0 {
		s := w.tbEnds(l.name)
		require.Equal(t, workflows.StageRefused, s.Stage, s.Sentence)
	}
	require.Zero(t, w.number(`SELECT count(*) WHERE to_regclass('lab_dev.ta') IS NOT NULL`))
}

// Over what a terminated deployment left nothing is deployed, neither another release nor the same one again; recover
// takes it back, whatever was tried since, and then there is room.
func TestNothingIsDeployedOverAnAbandonedDeployment(t *testing.T) {
	t.Parallel()
	l := tbAbandoned(t)
	id := l.w.status(l.name).ID
	before := l.seen("dev", "ta")
	a := l.w.try("deploy", l.release(tbThird()), "--to", "dev", "--rebuild", "last=1")
	require.Equal(t, 2, a.code, tbTold(a))
	require.Contains(t, a.out+a.err, "recover")
	require.Equal(t, before, l.seen("dev", "ta"))
	l.recovered(id)
	l.deploy(tbThird())
	l.are("dev", 100, "ta")
}

// A try that was refused does not hide what the one before it left.
func TestARecoveryFindsAnEarlierRunOfTheWorkflow(t *testing.T) {
	t.Parallel()
	l := tbAbandoned(t)
	id := l.w.status(l.name).ID
	l.w.try("deploy", l.name+"@1.1.0", "--to", "dev", "--rebuild", "last=1")
	l.recovered(id)
}

// recovered asserts that a recovery takes back all that a deployment left.
func (l *tbLab) recovered(id string) {
	l.w.t.Helper()
	a := l.w.try("recover", id)
	require.Equal(l.w.t, 0, a.code, tbTold(a))
	require.Equal(l.w.t, "1.0.0", l.active("dev"))
	l.are("dev", 1, "ta")
}

// A run that was terminated when its rows were visible and its release was not yet active is recovered too.
func TestATerminatedRunIsRecovered(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 1)
	l.deploy(tbFirst())
	held := l.block("dev", "ta", l.days[0])
	a := l.w.try("run", l.name, "--env", "dev", "--partition", l.days[0])
	require.Equal(t, 4, a.code, tbTold(a))
	id := workflows.RunID(l.name, "dev", "2026-01-01")
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), id, "", "by hand"))
	held.end()
	a = l.w.try("recover", id)
	require.Equal(t, 0, a.code, tbTold(a))
	l.are("dev", 1, "ta")
}

// The first run of all publishes and makes its release active, both or neither: who cancels it between the two is not
// told that nothing is visible when something is.
func TestACancelledRunSaysWhetherItsRowsAreVisible(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	folder := w.release("1.0.0")
	w.await("a plan, which makes the ledger", func() bool { return w.try("plan", folder, "--to", "dev").code == 0 })
	h := w.hold("dev", "active", "true")
	w.cli(0, "run", folder, "--env", "dev", "--partition", middleDay, "--detach")
	h.reached()
	id := workflows.RunID(shop, "dev", middleDay)
	w.cli(0, "cancel", id)
	w.await("the cancel to be heard", func() bool {
		return w.status(id).Stage.Finished() || w.becomes(3*time.Second, func() bool { return false })
	})
	h.release()
	s := w.tbOver(id)
	visible := w.number(`SELECT count(*) WHERE to_regclass('shop_dev.orders') IS NOT NULL`) > 0 && len(w.rows("dev")) > 0
	require.Equal(t, visible, s.Stage == workflows.StageDone, "rows are visible: %v, and the run ends %s: %s", visible, s.Stage, s.Sentence)
	require.Equal(t, visible, w.active("dev") == "1.0.0", "rows and active release come together")
}
