package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// liveInDev is a world in which the first release is live in dev.
func liveInDev(t *testing.T) (*world, *worker) {
	t.Helper()
	return live(t, newWorld(t))
}

// liveInSteps is liveInDev where the next one becomes visible some partitions at a time.
func liveInSteps(t *testing.T) (*world, *worker) {
	t.Helper()
	w := newWorld(t)
	w.inSteps()
	return live(t, w)
}

func live(t *testing.T, w *world) (*world, *worker) {
	t.Helper()
	p := w.worker("first", "--env", "dev", "--workflows")
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev")
	w.holds("dev", four)
	return w, p
}

// rebuild starts a deployment to dev that builds every partition again, and returns at once.
func (w *world) rebuild(folder string) {
	w.t.Helper()
	w.cli(0, "deploy", folder, "--to", "dev", "--rebuild", "all", "--detach")
}

// done follows a deployment to its end, and holds it and dev to how that must be.
func (w *world) done(shape columns, active string) {
	w.t.Helper()
	w.cli(0, "status", shop, "--watch")
	w.ended(workflows.StageDone, shape, active)
}

// turnedBack is done for a deployment that is turned back.
func (w *world) turnedBack(code int, stage workflows.Stage, shape columns, active string) {
	w.t.Helper()
	w.cli(code, "status", shop, "--watch")
	w.ended(stage, shape, active)
}

func (w *world) ended(stage workflows.Stage, shape columns, active string) {
	w.t.Helper()
	s := w.status(shop)
	require.Equal(w.t, stage, s.Stage, s.Sentence)
	w.holds("dev", shape)
	require.Equal(w.t, active, w.active("dev"))
	w.tidy("dev")
}

func TestAWorkerIsKilledDuringALoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.worker("first", "--env", "dev", "--workflows")
	slow := w.pipe(middleDay)
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev", "--detach")
	slow.loading()
	first.kill()
	w.await("the killed worker's statement to end", func() bool {
		return w.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY pg_temp%' AND state = 'active'`) == 0
	})
	slow.restore()
	w.worker("second", "--env", "dev", "--workflows")
	w.done(four, "1.0.0")
}

// The commit is there and its acknowledgement never comes: the next attempt must find it, and not swap again.
func TestAWorkerIsKilledBetweenACommitAndItsAcknowledgement(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	h := w.hold("dev", "effect", effectOf("publish"))
	w.rebuild(w.withCurrency("1.1.0"))
	h.reached()
	visible := w.number(`SELECT count(*) FROM shop_dev__ledger.effect`)
	first.freeze()
	h.release()
	w.await("the publish to be visible", func() bool {
		return w.number(`SELECT count(*) FROM shop_dev__ledger.effect`) == visible+1
	})
	swaps := w.number(`SELECT count(*) FROM shop_dev__ledger.swap`)
	first.kill()
	w.worker("second", "--env", "dev", "--workflows")
	w.done(fiveFilled, "1.1.0")
	require.Equal(t, swaps, w.number(`SELECT count(*) FROM shop_dev__ledger.swap`), "nothing is swapped twice")
}

// A decision that nobody can answer is kept, and counts when a worker is there again.
func TestAWorkerIsKilledAtTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true}\n")
	first := w.worker("first", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev")
	plan := w.status(shop).Plan
	first.kill()
	require.Equal(t, workflows.StageWaiting, w.status(shop).Stage, "what the server remembers")
	said := w.cli(0, "approve", shop, "--gate", "approval-dev", "--plan", plan, "--as", "grace", "--reason", "looks right")
	require.Contains(t, said.out, "recorded, will be applied when a worker returns")
	w.worker("second", "--env", "dev", "--workflows")
	w.done(four, "1.0.0")
	g := w.status(shop).Gates[0]
	require.Len(t, g.Answers, 1)
	require.Equal(t, "grace", g.Answers[0].By)
}

func TestAWorkerIsKilledDuringCompensation(t *testing.T) {
	t.Parallel()
	w, first := liveInSteps(t)
	published := w.hold("dev", "effect", effectOf("publish-slice-1"))
	swapBack := w.hold("dev", "effect", effectOf("turn-back-%"))
	w.rebuild(w.withCurrency("1.1.0"))
	published.reached()
	w.cli(0, "cancel", shop)
	published.release()
	swapBack.reached()
	first.kill()
	swapBack.release()
	w.worker("second", "--env", "dev", "--workflows")
	w.turnedBack(3, workflows.StageRolledBack, fiveEmpty, "1.0.0")
}

// Nobody hears of the load any more, neither its worker nor a retry: what it had begun is given up all the same.
func TestACancelledLoadOfAKilledWorkerIsGivenUp(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	slow := w.pipe(middleDay)
	w.rebuild(w.withCurrency("1.1.0"))
	slow.loading()
	first.kill()
	w.cli(0, "cancel", shop)
	slow.restore()
	w.worker("second", "--env", "dev", "--workflows")
	w.turnedBack(2, workflows.StageRefused, four, "1.0.0")
	w.cli(0, "deploy", "shop-1.1.0", "--to", "dev", "--rebuild", "all")
	w.ended(workflows.StageDone, fiveFilled, "1.1.0")
}

// A run that was killed and terminated has nobody who compensates: housekeeping gives it up, and a deployment waits for neither.
func TestATerminatedRunOfAKilledWorkerIsGivenUp(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	slow := w.pipe(middleDay)
	w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay, "--detach")
	slow.loading()
	first.kill()
	require.NoError(t, w.temporal.TerminateWorkflow(t.Context(), workflows.RunID(shop, "dev", middleDay), "", "by hand"))
	slow.restore()
	w.worker("second", "--env", "dev", "--workflows")
	w.rebuild(w.withCurrency("1.1.0"))
	w.cli(0, "status", shop, "--watch")
	w.holds("dev", fiveFilled)
	require.Equal(t, "1.1.0", w.active("dev"))
}

// A worker that was stopped comes back when another has done its work, and finds that it may do nothing.
func TestAStoppedWorkerComesBackTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("decides", "--workflows")
	zombie := w.worker("zombie", "--env", "dev")
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev")
	live := w.generation(middleDay)

	slow := w.pipe(middleDay)
	w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", middleDay, "--detach")
	slow.loading()
	zombie.freeze()
	slow.restore()
	w.worker("second", "--env", "dev")
	w.await("another generation to be live", func() bool { return w.generation(middleDay) != live })
	live = w.generation(middleDay)
	zombie.thaw()
	slow.finish()
	w.cli(0, "status", "run/shop/dev/"+middleDay, "--watch")
	w.await("the zombie to give up", func() bool {
		return w.number(`SELECT count(*) FROM shop_dev__ledger.generation WHERE state = 'building'`) == 0
	})
	w.holds("dev", four)
	w.tidy("dev")
	require.Equal(t, live, w.generation(middleDay), "the zombie changed what is live")
}

// generation is the live one of a day's orders in dev.
func (w *world) generation(day string) int {
	w.t.Helper()
	return w.number(`SELECT generation FROM shop_dev__ledger.live WHERE output = 'orders' AND partition = $1`, day)
}
