package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// throttledLab is a lab whose warehouse has as much to do as a test says.
func throttledLab(t *testing.T, days int) (l *tbLab, busy func(n string)) {
	t.Helper()
	w := newWorld(t)
	busy = func(n string) {
		t.Helper()
		w.session(`UPDATE public.busy SET n = ` + n)
	}
	w.session(`CREATE TABLE public.busy (n int); INSERT INTO public.busy VALUES (0)`)
	w.impatient("dev", "approval: {required: false}\nthrottle: {queries: [{name: jobs, sql: SELECT n FROM public.busy, max: 5}]}\n", "5s")
	w.worker("first", "--env", "dev", "--workflows")
	return w.tbNewLab("lab", days), busy
}

func TestABackfillWaitsWhileTheWarehouseHasEnoughToDo(t *testing.T) {
	t.Parallel()
	l, busy := throttledLab(t, 4)
	l.deploy(tbFirst("ta"))
	l.corrected(3, l.days...)
	busy("6")
	require.Zero(t, l.backfill("--detach").code)
	l.w.await("it to be throttled", func() bool {
		return strings.Contains(l.w.cli(0, "status", l.backfillID()).out, "throttled: jobs is 6, the limit is 5")
	})
	busy("5") // below the limit, and not well below
	l.w.await("it to wait for less", func() bool {
		return strings.Contains(l.w.cli(0, "status", l.backfillID()).out, "it goes on below 4")
	})
	l.are("dev", 1, "ta")
	busy("4")
	s := l.w.tbEnds(l.backfillID())
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	l.are("dev", 3, "ta")
}

func TestADeploymentWaitsWhileTheWarehouseHasEnoughToDo(t *testing.T) {
	t.Parallel()
	l, busy := throttledLab(t, 12)
	l.deploy(tbFirst("ta"))
	busy("6")
	l.w.cli(0, "deploy", l.release(tbSecond("ta")), "--to", "dev", "--rebuild", "all", "--detach")
	id := workflows.DeploymentID(l.name, "1.1.0")
	l.w.await("it to be throttled", func() bool { return strings.Contains(l.w.cli(0, "status", id).out, "throttled: jobs is 6") })
	l.w.cli(0, "run", l.name, "--env", "dev", "--partition", l.days[0]) // somebody waits for it
	l.are("dev", 1, "ta")
	busy("0")
	s := l.w.tbEnds(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	l.are("dev", 10, "ta")
}

func TestASignalThatCannotBeObservedIsSaidBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()
	l, _ := throttledLab(t, 2)
	l.deploy(tbFirst("ta"))
	l.w.session(`DROP TABLE public.busy`)
	l.corrected(3, l.days...)
	for _, said := range []answer{l.backfill("--dry-run"), l.backfill(), l.w.try("deploy", l.release(tbSecond("ta")), "--to", "dev")} {
		require.Equal(t, 2, said.code, tbTold(said))
		require.Contains(t, said.out+said.err, "jobs cannot be observed")
		require.Contains(t, said.out+said.err, "mend the query jobs")
	}
	l.are("dev", 1, "ta")
}
