package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// exitStuck is the exit code of what was turned back in part.
const exitStuck = 5

// tbMiddle is a day that no order of turning back, from either end and in batches, takes first: some days have gone back
// before it, and it has not.
const tbMiddle = "2026-01-09"

// tbHalfWay is a lab in which releases are live one after another, and a rollback of the newest stops at one day for a lock
// that somebody holds.
func tbHalfWay(t *testing.T, releases ...tbRelease) (*tbLab, *worker, *tbLock) {
	t.Helper()
	l, p := tbWorld(t, 10)
	for _, r := range releases {
		l.deploy(r)
	}
	held := l.block("dev", "ta", tbMiddle)
	a := l.rollback()
	require.Equal(t, 4, a.code, tbTold(a))
	require.Contains(t, a.out, report)
	newest := releases[len(releases)-1]
	seen := l.seen("dev", "ta")
	require.Equal(t, fmt.Sprint(newest.factor), seen[tbMiddle], "it is held")
	require.NotEqual(t, seen[tbMiddle], seen[l.days[0]], "and others have gone back: %v", seen)
	return l, p, held
}

// stopped asserts that a rollback that a person ended half-way says so, and what is left.
func (l *tbLab) stopped(id string) {
	l.w.t.Helper()
	s := l.w.tbOver(id)
	require.Equal(l.w.t, workflows.StageStuck, s.Stage, "something moved: %s", s.Sentence)
	require.Equal(l.w.t, exitStuck, s.code)
	shown := l.w.try("status", id)
	require.Contains(l.w.t, shown.out+shown.err, tbMiddle, "what is left is named")
}

// finished asserts that the same command again makes everything as it was under the release to go back to.
func (l *tbLab) finished(version string, factor int, flags ...string) {
	l.w.t.Helper()
	a := l.rollback(flags...)
	require.Equal(l.w.t, 0, a.code, tbTold(a))
	require.Equal(l.w.t, version, l.active("dev"))
	l.are("dev", factor, "ta")
}

// A rollback that was cancelled half-way is stuck, and names what is left; the same command again finishes it, and goes
// not one release further.
func TestACancelledRollbackIsFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	l, _, held := tbHalfWay(t, tbFirst(), tbSecond(), tbThird())
	l.w.cli(0, "cancel", l.id())
	l.w.tbOver(l.id())
	held.end()
	l.finished("1.1.0", 10)
}

// Whoever cancels a rollback that has moved something is not told that nothing happened.
func TestACancelledRollbackIsStuckAndNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	l, _, _ := tbHalfWay(t, tbFirst(), tbSecond())
	l.w.cli(0, "cancel", l.id())
	l.stopped(l.id())
}

// Where only two releases were ever there, the half-done rollback can be finished too, named or not.
func TestACancelledRollbackOfTheSecondReleaseIsFinished(t *testing.T) {
	t.Parallel()
	l, _, held := tbHalfWay(t, tbFirst(), tbSecond())
	l.w.cli(0, "cancel", l.id())
	l.w.tbOver(l.id())
	held.end()
	l.finished("1.0.0", 1)
}

// Naming the release to go back to means the same before and after the stop.
func TestACancelledRollbackIsFinishedByItsVersion(t *testing.T) {
	t.Parallel()
	l, _, held := tbHalfWay(t, tbFirst(), tbSecond())
	l.w.cli(0, "cancel", l.id())
	l.w.tbOver(l.id())
	held.end()
	l.finished("1.0.0", 1, "--to", "1.0.0")
}

// A rejection at the gate of the lock is no other ending than a cancel.
func TestARejectedRollbackIsStuckAndFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	l, _, held := tbHalfWay(t, tbFirst(), tbSecond(), tbThird())
	l.w.cli(0, "reject", l.id(), "--reason", "not now")
	l.stopped(l.id())
	held.end()
	l.finished("1.1.0", 10)
}

// A worker that is killed while a rollback waits changes nothing of what the rollback is.
func TestARollbackOutlivesItsWorker(t *testing.T) {
	t.Parallel()
	l, first, held := tbHalfWay(t, tbFirst(), tbSecond(), tbThird())
	first.kill()
	held.end()
	l.w.worker("second", "--env", "dev", "--workflows")
	l.w.await("the second worker to answer", func() bool {
		return l.w.try("decide", l.id(), "--choice", "retry", "--reason", "the report is done").code == 0
	})
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.id()).Stage)
	require.Equal(t, "1.1.0", l.active("dev"))
	l.are("dev", 10, "ta")
}

// A worker killed in the middle of it, and the rollback cancelled before another is there: the same command finishes it.
func TestARollbackWhoseWorkerWasKilledIsFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	l, first, held := tbHalfWay(t, tbFirst(), tbSecond(), tbThird())
	first.kill()
	l.w.cli(0, "cancel", l.id())
	l.w.worker("second", "--env", "dev", "--workflows")
	l.w.tbOver(l.id())
	held.end()
	l.finished("1.1.0", 10)
}

// A rollback that somebody terminated is abandoned, not over: the same command finishes it.
func TestATerminatedRollbackIsFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	l, _, held := tbHalfWay(t, tbFirst(), tbSecond(), tbThird())
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), l.id(), "", "by hand"))
	held.end()
	l.finished("1.1.0", 10)
}

// A rollback that somebody terminated can be recovered like any other workflow: by its end it is done.
func TestATerminatedRollbackIsRecovered(t *testing.T) {
	t.Parallel()
	l, _, held := tbHalfWay(t, tbFirst(), tbSecond(), tbThird())
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), l.id(), "", "by hand"))
	held.end()
	a := l.w.try("recover", l.id())
	require.Equal(t, 0, a.code, tbTold(a))
	require.Equal(t, "1.1.0", l.active("dev"))
	l.are("dev", 10, "ta")
}

// While a turn-back is open, nothing else of that pipeline changes that environment.
func TestAnOpenTurnBackKeepsOthersOut(t *testing.T) {
	t.Parallel()
	l, _, held := tbHalfWay(t, tbFirst(), tbSecond())
	l.w.record(l.id(), "open")
	l.w.cli(0, "cancel", l.id())
	l.w.tbOver(l.id())
	held.end()
	before := l.seen("dev", "ta")
	a := l.w.try("deploy", l.release(tbThird()), "--to", "dev", "--rebuild", "all")
	require.Equal(t, 2, a.code, "a deployment over a half-done rollback: %s", tbTold(a))
	require.Equal(t, before, l.seen("dev", "ta"))
}

// What a deployment that nobody finished left behind goes back with a rollback to the release below it.
func TestARollbackTakesLeftoversOfAnAbandonedDeploymentBack(t *testing.T) {
	t.Parallel()
	l := tbAbandoned(t)
	l.w.try("deploy", l.release(tbThird()), "--to", "dev", "--rebuild", "last=1") // may be refused until it is recovered
	a := l.rollback("--to", "1.0.0")
	require.Equal(t, 0, a.code, tbTold(a))
	require.Equal(t, "1.0.0", l.active("dev"))
	l.are("dev", 1, "ta")
}

// tbAbandoned is a lab in which a deployment was terminated when a part of it was live.
func tbAbandoned(t *testing.T) *tbLab {
	t.Helper()
	l, _ := tbWorld(t, 12)
	l.deploy(tbFirst())
	held := l.block("dev", "ta", tbMiddle)
	a := l.w.try("deploy", l.release(tbSecond()), "--to", "dev", "--rebuild", "all")
	require.Equal(t, 4, a.code, tbTold(a))
	require.Subset(t, slices.Collect(maps.Values(l.seen("dev", "ta"))), []string{"1", "10"}, "a part of it is live")
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), l.w.status(l.name).ID, "", "by hand"))
	held.end()
	return l
}
