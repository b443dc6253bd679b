package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// half brings a rollback to a stop at what somebody holds, cancels it there, lets go, and asks for it again: the second
// must do what the first has left.
func (l *tbLab) half(output, day string, flags ...string) {
	l.w.t.Helper()
	held := l.block("dev", output, day)
	a := l.rollback(flags...)
	require.Equal(l.w.t, 4, a.code, tbTold(a))
	l.w.cli(0, "cancel", l.id())
	l.w.tbOver(l.id())
	held.end()
	a = l.rollback(flags...)
	require.Equal(l.w.t, 0, a.code, tbTold(a))
}

// back is a rollback that makes outputs what the first release made them.
func (l *tbLab) back(outputs ...string) {
	l.w.t.Helper()
	a := l.rollback()
	require.Equal(l.w.t, 0, a.code, tbTold(a))
	l.are("dev", 1, outputs...)
}

// runsLater is the scheduled run of a further day.
func (l *tbLab) runsLater() {
	l.w.t.Helper()
	l.w.cli(0, "run", l.name, "--env", "dev", "--partition", l.later())
}

// While a rollback waits, no reader sees outputs of one day of two releases.
func TestTheOutputsOfAPartitionTurnBackTogether(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	three := []string{"ta", "tb", "tc"}
	l.deploy(tbFirst(three...))
	l.deploy(tbSecond(three...))
	held := l.block("dev", "tc", "2026-01-03")
	a := l.rollback()
	require.Equal(t, 4, a.code, tbTold(a))
	l.together("dev", three...)
	held.end()
	l.w.cli(0, "decide", l.id(), "--choice", "retry", "--reason", "the report is done")
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.id()).Stage)
	l.are("dev", 1, three...)
}

// Nor while a deployment that was cancelled is turned back.
func TestTheOutputsOfAPartitionAreCompensatedTogether(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	three := []string{"ta", "tb", "tc"}
	l.deploy(tbFirst(three...))
	second := tbSecond(three...)
	second.watch = "  for: 1h\n  every: 1s\n  checks:\n    - metric: {name: total, sql: SELECT sum(v) FROM ta, min: 0}\n"
	l.w.cli(0, "deploy", l.release(second), "--to", "dev", "--rebuild", "all", "--detach")
	id := l.w.status(l.name).ID
	l.w.await("the watch to begin", func() bool { return l.w.status(id).Stage == workflows.StageWatching })
	held := l.block("dev", "tc", "2026-01-03")
	l.w.cli(0, "cancel", id)
	l.w.await("the way back to be held up", func() bool { return l.w.status(id).Stage == workflows.StageWaiting })
	l.together("dev", three...)
	held.end()
	g, open := l.w.status(id).Open()
	require.True(t, open)
	l.w.cli(0, "decide", id, "--gate", g.Name, "--choice", "retry", "--reason", "the report is done")
	require.Equal(t, workflows.StageRolledBack, l.w.tbEnds(id).Stage)
	l.are("dev", 1, three...)
}

// While a deployment waits for a lock, no reader sees outputs of one day of two releases.
func TestTheOutputsOfAPartitionCrossTogether(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	three := []string{"ta", "tb", "tc"}
	l.deploy(tbFirst(three...))
	held := l.block("dev", "tc", "2026-01-02")
	a := l.w.try("deploy", l.release(tbSecond(three...)), "--to", "dev", "--rebuild", "all")
	require.Equal(t, 4, a.code, tbTold(a))
	l.together("dev", three...)
	held.end()
	l.w.cli(0, "decide", l.w.status(l.name).ID, "--choice", "retry", "--reason", "the report is done")
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.name).Stage)
	l.are("dev", 10, three...)
}

// What of a day can swap back waits for what must be built again.
func TestSwapsAndRebuildsOfAPartitionTurnBackTogether(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst("ta", "tb"))
	first := l.child("dev", "ta", "2026-01-01")
	l.deploy(tbSecond("ta", "tb"))
	_, id, _ := strings.Cut(first, ".g")
	_, err := l.w.db.Exec(t.Context(), `UPDATE lab_dev__ledger.generation SET not_reattachable = 'for a test' WHERE id = $1`, id)
	require.NoError(t, err)
	finish := l.fifo("2026-01-01")
	l.w.cli(0, "rollback", l.name, "--env", "dev", "--reason", "bad", "--detach")
	require.True(t, l.w.becomes(tbSoon, l.w.loads), "the day is built again")
	l.together("dev", "ta", "tb")
	finish()
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.id()).Stage)
	l.are("dev", 1, "ta", "tb")
}

// What was built and never deployed there says nothing about what is there: all outputs that the environment has go back.
func TestARollbackTakesTheOutputsOfWhatIsThere(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst("ta", "tb"))
	l.deploy(tbSecond("ta", "tb"))
	l.w.cli(0, "build", l.release(tbRelease{version: "2.0.0", factor: 1000, outputs: []string{"ta"}}))
	l.back("ta", "tb")
}

// The newest release in the store may have moved elsewhere: history and rollback look where the active one is.
func TestARollbackGoesToTheWarehouseOfWhatIsThere(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst())
	l.deploy(tbSecond())
	l.w.cli(0, "build", l.release(tbRelease{version: "2.0.0", factor: 1000, schema: "lab_elsewhere"}))
	require.Equal(t, "1.1.0", l.active("dev"))
	l.back("ta")
	require.Equal(t, "1.0.0", l.active("dev"))
}

// What was published under the bad release after its deployment is built again; a day whose file is gone is listed, and
// stops no other. Once the file is there the same command builds that one too.
func TestAMissingFileStopsNoOtherRebuild(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	l.deploy(tbFirst())
	l.deploy(tbSecond())
	for _, day := range l.days {
		l.w.cli(0, "run", l.name, "--env", "dev", "--partition", day)
	}
	gone := l.days[1]
	l.w.remove(l.source(gone))
	a := l.rollback()
	require.Equal(t, map[string]string{l.days[0]: "1", gone: "10", l.days[2]: "1", l.days[3]: "1"}, l.seen("dev", "ta"), tbTold(a))
	s := l.w.status(l.id())
	require.Equal(t, workflows.StageStuck, s.Stage, s.Sentence)
	require.Equal(t, exitStuck, s.code)
	require.Contains(t, l.w.try("status", l.id()).out, gone)
	l.w.write(l.source(gone), tbRows(gone))
	l.finished("1.0.0", 1)
}

// tbDim is a lab whose second release changed days and dimension.
func tbDim(t *testing.T) *tbLab {
	t.Helper()
	l, _ := tbWorld(t, 3)
	for _, r := range []tbRelease{tbFirst(), tbSecond()} {
		r.dim = true
		l.deploy(r)
	}
	l.are("dev", 10, "ta", "dim")
	return l
}

func TestADimensionTurnsBackWithItsDays(t *testing.T) {
	t.Parallel()
	l := tbDim(t)
	l.back("ta", "dim")
}

func TestADimensionTurnsBackFromAHalfState(t *testing.T) {
	t.Parallel()
	l := tbDim(t)
	l.half("dim", "")
	l.are("dev", 1, "ta", "dim")
	require.Equal(t, "1.0.0", l.active("dev"))
}

// A dimension that a run published again under the bad release is built again, and so is the run's day.
func TestADimensionThatARunPublishedAgainIsBuiltAgain(t *testing.T) {
	t.Parallel()
	l := tbDim(t)
	l.runsLater()
	l.are("dev", 10, "ta", "dim")
	l.back("ta", "dim")
}

// A release that dropped an output is turned back: what it left alone stays, and what came under it gets all the outputs
// that the earlier release has.
func TestADroppedOutputComesBackWithTheRelease(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 3)
	l.deploy(tbFirst("ta", "tb"))
	l.deploy(tbSecond("ta"))
	l.runsLater()
	l.back("ta", "tb")
}

func TestADroppedOutputComesBackFromAHalfState(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 10)
	l.deploy(tbFirst("ta", "tb"))
	l.deploy(tbSecond("ta"))
	l.half("ta", tbMiddle)
	l.are("dev", 1, "ta", "tb")
	require.Equal(t, "1.0.0", l.active("dev"))
}

// An output that the earlier release does not have is no mistake of that release: it stays, and is listed.
func TestAnOutputThatTheEarlierReleaseLacksStays(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 3)
	l.deploy(tbFirst("ta"))
	l.deploy(tbSecond("ta", "tb"))
	a := l.rollback()
	l.are("dev", 1, "ta")
	l.are("dev", 10, "tb")
	require.Contains(t, a.out+a.err, "tb", "what stays is listed")
}

// Columns that came with the later release stay, empty.
func TestColumnsThatCameLaterTurnBackFromAHalfState(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 10)
	l.deploy(tbFirst())
	second := tbSecond()
	second.columns = ", 7 AS later"
	l.deploy(second)
	filled := func() int { return l.w.number(`SELECT count(later) FROM lab_dev.ta`) }
	require.Equal(t, 3*len(l.days), filled())
	l.half("ta", tbMiddle)
	l.are("dev", 1, "ta")
	require.Zero(t, filled())
}

// A rollback of the first release of all does what the plan of that release said: it empties the tables, or it does not.
func TestARollbackOfAFirstReleaseDoesWhatItsPlanSaid(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 3)
	said := strings.Contains(l.w.cli(0, "plan", l.release(tbFirst()), "--to", "dev").out, "empty")
	l.deploy(tbFirst())
	a := l.rollback()
	require.Equal(t, said, len(l.seen("dev", "ta")) == 0, "the plan said that a rollback leaves empty tables: %v\n%s", said, tbTold(a))
}

// The screens of a first release propose a rollback: there is one.
func TestAFinishedFirstReleaseIsTakenAwayAndComesBack(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 3)
	l.deploy(tbFirst())
	there := l.seen("dev", "ta")
	a := l.rollback()
	require.Contains(t, a.out+a.err, "--to nothing", tbTold(a))
	a = l.w.try("rollback", l.name, "--env", "dev", "--to", "nothing", "--reason", "never mind")
	require.Equal(t, 0, a.code, tbTold(a))
	require.Empty(t, l.seen("dev", "ta"))
	require.Empty(t, l.active("dev"))
	a = l.w.try("rollback", l.name, "--env", "dev", "--to", "1.0.0", "--reason", "it was right")
	require.Equal(t, 0, a.code, tbTold(a))
	require.Equal(t, there, l.seen("dev", "ta"))
}

// A first release of which a part has gone back goes back whole.
func TestAFirstReleaseTurnsBackFromAHalfState(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 10)
	first := tbFirst()
	first.watch = "  for: 1h\n  every: 1s\n  checks:\n    - metric: {name: total, sql: SELECT sum(v) FROM ta, vs_history: 25%}\n"
	l.w.cli(0, "deploy", l.release(first), "--to", "dev", "--detach")
	l.w.await("the watch to begin", func() bool { return l.w.status(l.name).Stage == workflows.StageWatching })
	held := l.block("dev", "ta", tbMiddle)
	id := l.w.status(l.name).ID
	l.w.cli(0, "cancel", id)
	l.w.await("the way back to be held up", func() bool { return l.w.status(id).Stage == workflows.StageWaiting })
	require.NotEmpty(t, l.seen("dev", "ta"))
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), id, "", "by hand"))
	held.end()
	a := l.w.try("recover", id)
	require.Equal(t, 0, a.code, tbTold(a))
	require.Empty(t, l.seen("dev", "ta"))
	require.Empty(t, l.active("dev"))
}

// Whatever was turned back can be brought back, also when nothing is active any more.
func TestAFirstReleaseThatWasTakenAwayComesBack(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 3)
	first := tbFirst()
	first.watch = "  for: 1h\n  every: 1s\n  checks:\n    - metric: {name: total, sql: SELECT sum(v) FROM ta, vs_history: 25%}\n"
	l.w.cli(0, "deploy", l.release(first), "--to", "dev", "--detach")
	l.w.await("the watch to begin", func() bool { return l.w.status(l.name).Stage == workflows.StageWatching })
	id := l.w.status(l.name).ID
	l.w.cli(0, "cancel", id)
	require.Equal(t, workflows.StageRolledBack, l.w.tbEnds(id).Stage)
	require.Empty(t, l.seen("dev", "ta"))
	require.Empty(t, l.active("dev"))
	a := l.rollback("--to", "1.0.0")
	require.Equal(t, 0, a.code, tbTold(a))
	l.are("dev", 1, "ta")
	require.Equal(t, "1.0.0", l.active("dev"))
}

// A day that a run has published first, from a wrong file, is taken away by a person's word, also where that is stopped half way;
// all its outputs together, and nothing else. Then it is run again.
func TestAPartitionThatWasPublishedFirstIsTakenAway(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	two := []string{"ta", "tb"}
	l.deploy(tbFirst(two...))
	l.runsLater()
	day := l.days[len(l.days)-1]
	others := func(want string) {
		for _, o := range two {
			seen := l.seen("dev", o)
			require.Equal(t, want, seen[day], o)
			require.Equal(t, "1", seen[l.days[0]], o)
		}
	}
	others("1")
	a := l.rollback("--output", "ta", "--partition", day)
	require.Equal(t, 2, a.code, tbTold(a))
	require.Contains(t, strings.Join(strings.Fields(a.out+a.err), " "), "--partition "+day+" --to nothing")
	a = l.w.cli(0, "history", l.name, "--env", "dev", "--output", "ta", "--partition", day)
	require.Contains(t, a.out, "drawbridge rollback "+l.name+" --env dev --partition "+day+" --to nothing")
	a = l.rollback("--partition", day, "--to", "nothing", "--dry-run")
	require.Equal(t, 0, a.code, tbTold(a))
	require.Contains(t, a.out, "detached: 1")
	others("1")
	l.half("tb", day, "--partition", day, "--to", "nothing")
	others("")
	require.Equal(t, "1.0.0", l.active("dev"))
	l.w.cli(0, "run", l.name, "--env", "dev", "--partition", day)
	others("1")
}

// What the administrator of a warehouse demands of a table since does not keep earlier data from going back, where its rows obey;
// where they do not, the end names the demand and the statement that takes it away, and the same command goes on.
func TestARollbackGoesBackUnderWhatATableHasGainedSince(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 3)
	l.deploy(tbFirst())
	l.deploy(tbSecond())
	_, err := l.w.db.Exec(t.Context(), `ALTER TABLE `+l.schema("dev")+`.ta ALTER COLUMN v SET NOT NULL, ADD CONSTRAINT positive CHECK (v > 0), ADD CONSTRAINT large CHECK (v >= 10)`)
	require.NoError(t, err)
	a := l.rollback()
	require.Equal(t, 5, a.code, tbTold(a))
	said := strings.Join(strings.Fields(a.out+a.err), " ")
	require.Contains(t, said, "break constraint large")
	drop := `ALTER TABLE "` + l.schema("dev") + `"."ta" DROP CONSTRAINT "large"`
	require.Contains(t, said, drop)
	require.NotContains(t, said, "constraint positive")
	_, err = l.w.db.Exec(t.Context(), drop)
	require.NoError(t, err)
	a = l.rollback()
	require.Equal(t, 0, a.code, tbTold(a))
	l.are("dev", 1, "ta")
}
