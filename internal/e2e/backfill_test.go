package e2e_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// corrected writes the file of a day anew: every amount is so many times what it was.
func (l *tbLab) corrected(times int, days ...string) {
	l.w.t.Helper()
	for _, day := range days {
		n := day[len(day)-2:]
		l.w.remove(l.source(day))
		l.w.write(l.source(day), fmt.Sprintf("id,d,v\n%[1]s1,%[2]s,%[3]d\n%[1]s2,%[2]s,%[4]d\n%[1]s3,%[2]s,%[5]d\n", n, day, times, 2*times, 3*times))
	}
}

// poisoned writes a file of a day that no build can load.
func (l *tbLab) poisoned(day string) {
	l.w.t.Helper()
	l.w.remove(l.source(day))
	l.w.write(l.source(day), "id,d,v\n1,"+day+",not a number\n")
}

func (l *tbLab) backfill(flags ...string) answer {
	l.w.t.Helper()
	return l.w.try(append([]string{"backfill", l.name, "--env", "dev", "--from", l.days[0], "--to", l.days[len(l.days)-1], "--reason", "corrected"}, flags...)...)
}

// backfillID is the workflow of that command.
func (l *tbLab) backfillID() string {
	return workflows.BackfillID(l.name, "dev", partition.Key(l.days[0]), partition.Key(l.days[len(l.days)-1]))
}

// sees asserts by which factor readers see each day of an output.
func (l *tbLab) sees(output string, usual int, others map[string]string) {
	l.w.t.Helper()
	want := map[string]string{}
	for _, day := range l.days {
		want[day] = fmt.Sprint(usual)
	}
	maps.Copy(want, others)
	require.Equal(l.w.t, want, l.seen("dev", output), output)
}

func TestABackfillBuildsWhatIsOlderThanItsFiles(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 6)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days[1], l.days[4])

	before := l.child("dev", "ta", l.days[0])
	said := l.backfill("--dry-run")
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "2 partitions would be built with lab@1.0.0")
	require.Contains(t, said.out, l.days[1]+", "+l.days[4])
	l.are("dev", 1, "ta", "tb")

	said = l.backfill()
	require.Zero(t, said.code, tbTold(said))
	for _, o := range []string{"ta", "tb"} {
		l.sees(o, 1, map[string]string{l.days[1]: "3", l.days[4]: "3"})
	}
	require.Equal(t, before, l.child("dev", "ta", l.days[0]), "what is current was built again")
	said = l.backfill()
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "nothing to do")
	said = l.backfill("--force", "--order", "newest", "--lanes", "3")
	require.Zero(t, said.code, tbTold(said))
	require.NotEqual(t, before, l.child("dev", "ta", l.days[0]))
	l.w.record(l.backfillID(), "forced")
}

// What is one partition is built from all of them, so it comes last.
func TestABackfillBuildsWhatIsOnePartitionAtTheEnd(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 5)
	first := tbFirst("ta")
	first.dim = true
	l.deploy(first)
	l.corrected(3, l.days...)
	l.w.remove("source/" + l.name + "/dim.csv")
	l.w.write("source/"+l.name+"/dim.csv", "c,n\na,3\nb,15\n")
	said := l.backfill("--lanes", "4")
	require.Zero(t, said.code, tbTold(said))
	l.are("dev", 3, "ta", "dim")
	order := l.w.texts(`SELECT output FROM ` + l.schema("dev") + `__ledger.swap WHERE starts_with(owner, '` + l.backfillID() + `') ORDER BY id`)
	require.Equal(t, []string{"ta", "ta", "ta", "ta", "ta", "dim"}, order)
	l.w.cli(0, "backfill", "rollback", l.backfillID(), "--reason", "wrong")
	l.are("dev", 1, "ta", "dim")
}

func TestABackfillIsTurnedBackWhole(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 5)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days[1:4]...)
	require.Zero(t, l.backfill().code)
	l.corrected(7, l.days[2])
	l.w.cli(0, "run", l.name, "--env", "dev", "--partition", l.days[2])
	after := map[string]string{l.days[1]: "3", l.days[2]: "7", l.days[3]: "3"}
	l.sees("ta", 1, after)

	back := []string{"backfill", "rollback", l.backfillID(), "--reason", "the correction was wrong"}
	said := l.w.try(append(back, "--dry-run")...)
	require.Zero(t, said.code, tbTold(said))
	l.sees("ta", 1, after)
	said = l.w.try(back...)
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "ta["+l.days[2]+"]: generation", "what a run published since is named")
	require.Contains(t, said.out, "published by "+workflows.RunID(l.name, "dev", partition.Key(l.days[2])))
	force := []string{"backfill", "rollback", l.backfillID(), "--reason", "TEXT", "--force"}
	require.Contains(t, said.out, "drawbridge "+strings.Join(force, " "))
	for _, o := range []string{"ta", "tb"} {
		l.sees(o, 1, map[string]string{l.days[2]: "7"})
	}
	require.Equal(t, "1.0.0", l.active("dev"))
	said = l.w.try(back...)
	require.Equal(t, 2, said.code, tbTold(said))
	require.Contains(t, said.out, "nothing that it has published is left")
	require.Contains(t, said.out, "drawbridge "+strings.Join(force, " "))

	// What was left goes back too when a person says so, and nothing else does.
	l.corrected(9, l.days[1])
	l.w.cli(0, "run", l.name, "--env", "dev", "--partition", l.days[1])
	said = l.w.try(append(force, "--dry-run")...)
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "ta["+l.days[2]+"] swap: generation")
	require.Contains(t, said.out, "what others have published since is discarded in 1 partition")
	l.sees("ta", 1, map[string]string{l.days[1]: "9", l.days[2]: "7"})
	said = l.w.try(force...)
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "what others have published since is discarded in 1 partition")
	for _, o := range []string{"ta", "tb"} {
		l.sees(o, 1, map[string]string{l.days[1]: "9"})
	}
}

func TestAPartitionThatFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 6)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days...)
	l.poisoned(l.days[2])
	l.poisoned(l.days[3])
	said := l.backfill()
	require.Equal(t, 4, said.code, tbTold(said))
	others := map[string]string{l.days[2]: "1", l.days[3]: "1"}
	l.sees("ta", 3, others)
	screen := l.w.cli(4, "status", l.backfillID()).out
	for _, text := range []string{l.days[2], l.days[3], "2 failed", "retry-failed"} {
		require.Contains(t, screen, text)
	}
	require.NotContains(t, screen, "not a number")

	require.NotZero(t, l.w.try("skip", l.backfillID(), l.days[0], "--reason", "no").code, "it has not failed")
	l.w.cli(0, "skip", l.backfillID(), l.days[3], "--reason", "the shop was closed")
	l.corrected(3, l.days[2])
	l.w.cli(0, "retry-failed", l.backfillID())
	s := l.w.tbEnds(l.backfillID())
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	l.sees("ta", 3, map[string]string{l.days[3]: "1"})
	l.sees("tb", 3, map[string]string{l.days[3]: "1"})
	l.w.record(l.backfillID(), "failed")
}

func TestABackfillAboveALimitWantsAnApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\nbackfill: {max_partitions: 2}\n", "5s")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 4)
	l.deploy(tbFirst("ta"))
	l.corrected(3, l.days...)
	said := l.backfill()
	require.Equal(t, 4, said.code, tbTold(said))
	require.Contains(t, said.out, "4 partitions, more than 2")
	l.are("dev", 1, "ta")
	for _, list := range []string{"inbox", "status"} {
		require.Contains(t, w.try(list).out, l.backfillID(), list)
	}
	w.cli(0, "reject", l.backfillID(), "--reason", "not today")
	require.Equal(t, workflows.StageRefused, w.tbOver(l.backfillID()).Stage)
	require.Equal(t, 4, l.backfill().code)
	l.are("dev", 1, "ta")
	w.cli(0, "approve", l.backfillID(), "--reason", "yes")
	require.Equal(t, workflows.StageDone, w.tbEnds(l.backfillID()).Stage)
	l.are("dev", 3, "ta")
}

// Wherever its worker is killed, the next one goes on with what is left: no partition is built twice, and none is forgotten.
func TestABackfillSurvivesTheDeathOfItsWorker(t *testing.T) {
	t.Parallel()
	l, first := tbWorld(t, 8)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days...)
	h := l.w.holdIn(l.schema("dev"), "generation", "NEW.state = 'built' AND NEW.partition = '"+l.days[3]+"'")
	require.Zero(t, l.backfill("--detach", "--lanes", "1").code)
	h.reached()
	seen := l.seen("dev", "ta") // of the days before, some may wait to go live with this one
	for _, day := range l.days[3:] {
		require.Equal(t, "1", seen[day], day)
	}
	first.kill()
	h.release()
	l.w.worker("second", "--env", "dev", "--workflows")
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.backfillID()).Stage)
	l.are("dev", 3, "ta", "tb")
	require.Equal(t, 8*2, l.w.number(`SELECT count(*) FROM `+l.schema("dev")+`__ledger.swap WHERE starts_with(owner, '`+l.backfillID()+`')`), "each is published once")
}

// A backfill and a deployment build one partition after another, never beside each other; those of other spans are free.
func TestABackfillKeepsItsSpanToItself(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	l.deploy(tbFirst("ta"))
	l.corrected(3, l.days...)
	h := l.w.holdIn(l.schema("dev"), "generation", "NEW.state = 'built' AND NEW.partition = '"+l.days[0]+"'")
	require.Zero(t, l.w.try("backfill", l.name, "--env", "dev", "--from", l.days[0], "--to", l.days[1], "--detach").code)
	h.reached()
	said := l.backfill()
	require.Equal(t, 2, said.code, tbTold(said))
	require.Contains(t, said.out+said.err, "backfill/lab/dev/"+l.days[0]+".."+l.days[1])
	said = l.w.try("deploy", l.release(tbSecond("ta")), "--to", "dev", "--rebuild", "all")
	require.Equal(t, 2, said.code, tbTold(said))
	require.Contains(t, said.out+said.err, "backfill/lab/dev/"+l.days[0]+".."+l.days[1])
	said = l.w.try("backfill", l.name, "--env", "dev", "--from", l.days[2], "--to", l.days[3])
	require.Zero(t, said.code, tbTold(said))
	h.release()
	id := workflows.BackfillID(l.name, "dev", partition.Key(l.days[0]), partition.Key(l.days[1]))
	require.Equal(t, workflows.StageDone, l.w.tbEnds(id).Stage)
	l.are("dev", 3, "ta")
	l.deploy(tbThird("ta"))
}

// A cancelled backfill keeps what it has published, says so, and goes on by the same command.
func TestACancelledBackfillKeepsWhatItPublished(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days...)
	h := l.w.holdIn(l.schema("dev"), "generation", "NEW.state = 'built' AND NEW.partition = '"+l.days[2]+"'")
	require.Zero(t, l.backfill("--detach", "--lanes", "1").code)
	h.reached()
	l.w.cli(0, "cancel", l.backfillID())
	h.release()
	s := l.w.tbOver(l.backfillID())
	require.Equal(t, workflows.StageStuck, s.Stage, s.Sentence)
	require.Contains(t, s.Sentence, "backfill rollback")
	l.together("dev", "ta", "tb")
	published := 0
	for _, factor := range l.seen("dev", "ta") {
		if factor == "3" {
			published++
		}
	}
	require.GreaterOrEqual(t, published, 2)
	require.Contains(t, s.Sentence, fmt.Sprintf("%d partitions that it has published", published))
	require.Zero(t, l.backfill().code)
	l.are("dev", 3, "ta", "tb")
}

// A pause in the middle of a slice holds at the edge of the partition that is being built, and says how long that took.
func TestAPausedBackfillHoldsAtTheNextEdge(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 6)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days...)
	built := "NEW.state = 'built' AND NEW.partition = '" + l.days[2] + "'"
	h := l.w.holdIn(l.schema("dev"), "generation", built)
	require.Zero(t, l.backfill("--detach", "--lanes", "1").code)
	h.reached()
	require.Contains(t, l.w.cli(0, "pause", l.backfillID(), "--reason", "the warehouse is busy").out, "it does not hold yet")
	asked := time.Now()
	l.w.await("the partition to have taken longer than partitions share an edge", func() bool {
		return l.w.number(`
			SELECT count(*)
			FROM `+l.schema("dev")+`__ledger.generation
			WHERE state = 'building' AND partition = $1 AND now() - started_at > interval '6 s'`, l.days[2]) > 0
	})
	going := time.Since(asked)
	h.release()
	var s status
	l.w.await("the pause to hold", func() bool {
		s = l.w.status(l.backfillID())
		return s.Paused != nil && s.Paused.Held != nil
	})
	require.True(t, s.told("the pause holds, ") && s.told(" after it was asked for"), "%v", s.Events)
	require.GreaterOrEqual(t, s.Paused.Held.Sub(s.Paused.At), going)
	half := map[string]string{l.days[3]: "1", l.days[4]: "1", l.days[5]: "1"}
	for _, o := range []string{"ta", "tb"} {
		l.sees(o, 3, half)
	}
	require.Equal(t, 3, s.Backfill.Published)
	require.Equal(t, "###...", s.Backfill.Heat)
	l.w.cli(0, "resume", l.backfillID())
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.backfillID()).Stage)
	l.are("dev", 3, "ta", "tb")
}

// While another release becomes active it holds, and asks: what it was started with is never published beside it.
func TestABackfillAsksWhenAnotherReleaseBecomesActive(t *testing.T) {
	t.Parallel()
	for choice, want := range map[string]workflows.Stage{"proceed": workflows.StageDone, "keep": workflows.StageStuck} {
		t.Run(choice, func(t *testing.T) {
			t.Parallel()
			l, _ := tbWorld(t, 4)
			l.deploy(tbFirst("ta"))
			l.corrected(3, l.days[:3]...)
			l.w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
			require.Zero(t, l.w.try("backfill", l.name, "--env", "dev", "--from", l.days[0], "--to", l.days[2], "--detach").code)
			id := workflows.BackfillID(l.name, "dev", partition.Key(l.days[0]), partition.Key(l.days[2]))
			l.w.await("it to wait for the hold", func() bool {
				return l.w.number(`SELECT count(*) FROM `+l.schema("dev")+`__ledger.generation WHERE state = 'built' AND starts_with(owner_key, '`+id+`')`) > 0
			})
			l.w.cli(0, "pause", id, "--reason", "wait")
			l.w.cli(0, "release-hold", "--env", "dev")
			// The deployment builds the day that is in no span.
			l.w.cli(0, "deploy", l.release(tbSecond("ta")), "--to", "dev", "--rebuild", "none")
			l.w.cli(0, "resume", id)
			s := l.w.tbEnds(id)
			require.Equal(t, workflows.StageWaiting, s.Stage, s.Sentence)
			require.Contains(t, s.Sentence, "lab@1.1.0 is active since")
			l.w.cli(0, "decide", id, "--choice", choice, "--reason", "because")
			ended := l.w.tbEnds(id)
			require.Equal(t, want, ended.Stage, ended.Sentence)
			for _, day := range l.days[:3] {
				require.NotEqual(t, "3", l.seen("dev", "ta")[day], "the release that is active no more was published")
			}
			if choice == "proceed" {
				l.sees("ta", 30, map[string]string{l.days[3]: "10"})
				l.w.record(id, "moved")
			}
		})
	}
}

// What somebody terminated keeps its span until it is recovered; what it has published stays.
func TestATerminatedBackfillIsRecovered(t *testing.T) {
	t.Parallel()
	l, first := tbWorld(t, 4)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days...)
	h := l.w.holdIn(l.schema("dev"), "generation", "NEW.state = 'built' AND NEW.partition = '"+l.days[2]+"'")
	require.Zero(t, l.backfill("--detach", "--lanes", "1").code)
	h.reached()
	first.kill()
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), l.backfillID(), "", "a test"))
	h.release()
	l.w.worker("second", "--env", "dev", "--workflows")
	part := []string{"backfill", l.name, "--env", "dev", "--from", l.days[1], "--to", l.days[3]}
	said := l.w.try(part...)
	require.Equal(t, 2, said.code, tbTold(said))
	require.Contains(t, said.out+said.err, "drawbridge recover "+l.backfillID())
	said = l.w.try("recover", l.backfillID())
	require.Zero(t, said.code, tbTold(said))
	l.together("dev", "ta", "tb")
	require.Equal(t, "3", l.seen("dev", "ta")[l.days[0]])
	l.w.cli(0, part...)
	l.are("dev", 3, "ta", "tb")
}
