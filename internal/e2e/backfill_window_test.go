package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// in is a window that opens after so long, for a minute.
func in(after time.Duration) string {
	opens := time.Now().UTC().Add(after)
	return opens.Format("15:04") + "-" + opens.Add(time.Minute).Format("15:04")
}

// Outside of its window a backfill begins nothing, shows when that opens, and goes on at once when somebody takes it away.
func TestABackfillWaitsForItsWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\nbackfill: {max_partitions: 2}\n", "5s")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 4)
	l.deploy(tbFirst("ta"))
	l.corrected(3, l.days...)
	require.Equal(t, 4, l.backfill().code, "it waits for an approval")
	id, window := l.backfillID(), in(5*time.Hour)
	require.NotZero(t, w.try("set-window", id, "at night").code)
	require.NotZero(t, w.try("set-window", id, "22:00-06:00 Mars/Base").code)
	require.Contains(t, w.cli(0, "set-window", id, window).out, "works "+window)
	require.Contains(t, w.cli(0, "set-window", id, window).out, "was already set")
	w.cli(0, "approve", id, "--reason", "at night")
	w.await("it to wait for its window", func() bool {
		return strings.Contains(w.try("backfill", "status", l.name).out, "its window is closed ("+window+"): it opens")
	})
	w.cli(0, "pause", id, "--reason", "wait")
	require.NotNil(t, w.status(id).Paused.Held, "it waits at an edge")
	w.cli(0, "resume", id)
	l.are("dev", 1, "ta")
	w.cli(0, "set-window", id, "always")
	s := w.tbOver(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	l.are("dev", 3, "ta")
}

// The window of an environment is its policy's: outside of it no backfill builds, whoever asks; a run for which somebody waits does.
func TestNoBackfillBuildsOutsideOfTheWindowOfItsEnvironment(t *testing.T) {
	t.Parallel()
	l, first := tbWorld(t, 3)
	l.deploy(tbFirst("ta"))
	first.kill()
	l.w.impatient("dev", "approval: {required: false}\nthrottle: {windows: [\""+in(5*time.Hour)+"\"]}\n", "5s")
	second := l.w.worker("second", "--env", "dev", "--workflows")
	l.corrected(3, l.days...)
	require.Contains(t, l.backfill("--dry-run").out, "it works only while a window of dev is open")
	require.Zero(t, l.backfill("--detach").code)
	closed := func() bool {
		return strings.Contains(l.w.try("status", l.backfillID()).out, "the window of dev is closed")
	}
	l.w.await("it to wait for the window", closed)
	l.w.cli(0, "set-window", l.backfillID(), "00:00-24:00")
	l.w.await("it to wait all the same", closed)
	l.w.cli(0, "run", l.name, "--env", "dev", "--partition", l.days[1])
	l.sees("ta", 1, map[string]string{l.days[1]: "3"})
	l.w.cli(0, "cancel", l.backfillID())
	require.Equal(t, workflows.StageRefused, l.w.tbOver(l.backfillID()).Stage, "nothing was published")
	second.kill()
}
