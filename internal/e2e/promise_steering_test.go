package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// steeredSlices is how many slices of eight partitions are built after the canary's.
const steeredSlices = 4

// steeredBuilding is a deployment whose partitions are stopped when they are built, all of them: as many as there are lanes have
// begun. The first release is live in dev.
func steeredBuilding(t *testing.T) (*world, *worker, *hold) {
	t.Helper()
	w := newWorld(t)
	var days []string
	for n := range 1 + 8*steeredSlices - 2 {
		days = append(days, fmt.Sprintf("2026-01-%02d", n+1))
	}
	w.sources(days)
	first := w.worker("first", "--env", "dev", "--workflows", "--builds", "4")
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev")
	h := w.hold("dev", "generation", "NEW.state = 'built' AND NEW.effect_key LIKE '%/slice-%'")
	w.rebuild(w.withCurrency("1.1.0"))
	w.await("both lanes to build", func() bool { return w.begun() == 2 })
	return w, first, h
}

// begun counts the slices after the canary's of which some partition was begun by the second release.
func (w *world) begun() int {
	w.t.Helper()
	return w.number(`
		SELECT count(DISTINCT substring(effect_key FROM '/(slice-[0-9]+)/'))
		FROM shop_dev__ledger.generation
		WHERE effect_key LIKE 'deploy/shop/1.1.0%/slice-%'`)
}

// generations counts all that were ever begun in dev.
func (w *world) generations() int {
	w.t.Helper()
	return w.number(`SELECT count(*) FROM shop_dev__ledger.generation`)
}

// pauseHolds waits until the pause holds.
func (w *world) pauseHolds() status {
	w.t.Helper()
	var s status
	w.await("the pause to hold", func() bool {
		s = w.status(shop)
		return s.Paused != nil && s.Paused.Held != nil
	})
	require.Equal(w.t, workflows.StagePaused, s.Stage)
	require.Equal(w.t, 4, s.code)
	return s
}

func TestAPausedDeploymentBeginsNoPartitionUntilItIsResumed(t *testing.T) {
	t.Parallel()
	w, first, h := steeredBuilding(t)
	said := w.cli(0, "pause", shop, "--as", "bob", "--reason", "the month is closed")
	require.Contains(t, said.out, "is paused by bob: the month is closed")
	require.Contains(t, said.out, "it does not hold yet")
	require.Contains(t, w.cli(0, "pause", shop, "--as", "carol", "--reason", "me too").out, "was already paused by bob")
	h.release()
	s := w.pauseHolds()
	require.Equal(t, "bob", s.Paused.By)
	screen := w.cli(4, "status", shop).out
	for _, text := range []string{"paused by bob: the month is closed", "it holds since", "2 lanes", "drawbridge resume shop@1.1.0"} {
		require.Contains(t, screen, text)
	}
	require.Equal(t, 2, w.begun(), "what had begun is all that was begun")
	begun, swaps := w.generations(), w.number(`SELECT count(*) FROM shop_dev__ledger.swap`)

	first.kill()
	w.worker("second", "--env", "dev", "--workflows")
	require.NotNil(t, w.pauseHolds().Paused, "the next worker finds it paused")
	require.Contains(t, w.cli(0, "set-lanes", shop, "4", "--as", "bob").out, "works in 4 lanes")
	require.Contains(t, w.cli(4, "status", shop).out, "4 lanes (set by a person)")
	require.Equal(t, begun, w.generations())
	require.Equal(t, swaps, w.number(`SELECT count(*) FROM shop_dev__ledger.swap`))

	require.Contains(t, w.cli(0, "resume", shop, "--as", "bob").out, "goes on")
	w.done(fiveFilled, "1.1.0")
	require.Contains(t, w.cli(2, "pause", shop, "--reason", "too late").err, "it has ended")
	w.record(workflows.DeploymentID(shop, "1.1.0"), "paused")
}

func TestLanesAreSetWhileSlicesAreBuilt(t *testing.T) {
	t.Parallel()
	w, _, h := steeredBuilding(t)
	require.Equal(t, 2, w.begun(), "the policy's lanes")
	w.cli(0, "set-lanes", shop, "4")
	w.await("two lanes more", func() bool { return w.begun() == 4 })
	require.Contains(t, w.cli(0, "set-lanes", shop, "4").out, "was already set to 4 lanes")
	h.release()
	w.done(fiveFilled, "1.1.0")
}

// What no worker hears is kept, in its order.
func TestAPauseThatNoWorkerHearsIsAppliedWhenOneReturns(t *testing.T) {
	t.Parallel()
	w, first, h := steeredBuilding(t)
	require.Contains(t, w.cli(0, "resume", shop).out, "was not paused")
	first.kill()
	require.Contains(t, w.cli(0, "pause", shop, "--as", "bob", "--reason", "the month is closed").out, "recorded, will be applied when a worker returns")
	h.release()
	w.worker("second", "--env", "dev", "--workflows")
	require.Equal(t, "bob", w.pauseHolds().Paused.By)
	require.Equal(t, 2, w.begun())
	w.cli(0, "resume", shop)
	w.done(fiveFilled, "1.1.0")
}

func TestAPausedDeploymentIsCancelledAndNothingOfItWasVisible(t *testing.T) {
	t.Parallel()
	w, _, h := steeredBuilding(t)
	w.cli(0, "pause", shop, "--reason", "wait")
	h.release()
	w.pauseHolds()
	w.cli(0, "cancel", shop)
	w.turnedBack(2, workflows.StageRefused, four, "1.0.0")
}

func TestARunIsNotPausedAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	h := w.hold("dev", "generation", "NEW.state = 'built' AND NEW.effect_key LIKE 'run/%'")
	w.cli(0, "run", shop, "--env", "dev", "--partition", newestDay, "--detach")
	h.reached()
	id := workflows.RunID(shop, "dev", newestDay)
	refused := w.cli(2, "pause", id, "--reason", "wait")
	require.Contains(t, refused.err, "takes only cancel")
	require.Contains(t, refused.err, "drawbridge cancel "+id)
	h.release()
	w.cli(0, "status", id, "--watch")
}
