package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"drawbridge/workflows"
)

// eventsOfARun is what a run of a workflow may have at most.
const eventsOfARun = 10_000

// manyDays are consecutive days.
func manyDays(n int) []string {
	days := make([]string, n)
	for i := range days {
		days[i] = time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	return days
}

// byRanges reads by which factor each day is seen, some days at a time: a read of all of them would lock every partition.
func (l *tbLab) byRanges(output string) map[string]string {
	l.w.t.Helper()
	seen := map[string]string{}
	for days := range slices.Chunk(l.days, 100) {
		for _, line := range l.w.texts(fmt.Sprintf(`SELECT d || ' ' || trim_scale(sum(v) / %d) FROM %s.%s WHERE d >= '%s' AND d <= '%s' GROUP BY d`,
			tbRowsSum, l.schema("dev"), output, days[0], days[len(days)-1])) {
			var day, factor string
			_, err := fmt.Sscan(line, &day, &factor)
			require.NoError(l.w.t, err)
			seen[day] = factor
		}
	}
	return seen
}

// longest is how many events the longest run of a workflow has.
func (w *world) longest(id string) int64 {
	w.t.Helper()
	var most int64
	w.await("the runs of "+id+" to be listed", func() bool {
		list, err := w.temporal.ListWorkflow(w.context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: w.namespace, Query: "WorkflowId = '" + id + "'"})
		if err != nil {
			return false
		}
		for _, e := range list.Executions {
			most = max(most, e.HistoryLength)
		}
		return most > 0
	})
	return most
}

// Thousands of partitions (DRAWBRIDGE_SOAK=1; else a tenth), while the worker is killed and Postgres restarted at random moments: none is
// lost, none is published twice, one that cannot be read stops no other, and what is decided while no worker runs counts. Its rollback
// is the same.
func TestThousandsOfPartitionsSurviveKillsAndRestarts(t *testing.T) {
	t.Parallel()
	many, kills, restarts := 200, 3, 1
	if os.Getenv("DRAWBRIDGE_SOAK") == "1" {
		many, kills, restarts = 2_000, 10, 2
	}
	w, stack := onAStackOfItsOwn(t)
	w.impatient("dev", "approval: {required: false}\n", "20s")
	workers := 1
	p := w.worker("worker-1", "--env", "dev", "--workflows")
	next := func() {
		workers++
		p = w.worker(fmt.Sprintf("worker-%d", workers), "--env", "dev", "--workflows")
	}
	l := w.tbNewLab("lab", 0)
	l.days = manyDays(many)
	for _, day := range l.days[:3] {
		w.write(l.source(day), tbRows(day))
	}
	l.deploy(tbFirst("ta"))
	for _, day := range l.days[:3] {
		w.remove(l.source(day))
	}
	for _, day := range l.days {
		w.write(l.source(day), tbRows(day))
		l.corrected(3, day)
	}
	poisoned := l.days[many/2]
	l.poisoned(poisoned)

	seed := uint64(time.Now().UnixNano() % 1_000_000)
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, seed))
	type fault struct {
		at      int // so many partitions are live
		restart bool
	}
	var faults []fault
	for i := range kills + restarts {
		faults = append(faults, fault{at: 4 + draw.IntN(many-20), restart: i < restarts})
	}
	slices.SortFunc(faults, func(a, b fault) int { return a.at - b.at })
	require.Zero(t, l.backfill("--detach", "--lanes", "2").code)
	id := l.backfillID()
	ours := fmt.Sprintf(`FROM lab_dev__ledger.swap WHERE kind = 'publish' AND starts_with(owner, '%s')`, id)
	for _, f := range faults {
		require.True(t, w.becomes(5*patience, func() bool { return w.number(`SELECT count(*) `+ours) >= f.at }), "it does not get to %d", f.at)
		if f.restart {
			devstack(t.Context(), t, "restart-postgres", "--dir", stack)
			w.db.Reset()
			continue
		}
		p.kill()
		next()
	}
	var s status
	require.True(t, w.becomes(10*patience, func() bool {
		s = w.status(id)
		_, open := s.Open()
		return open || s.Stage.Finished()
	}), "it neither ends nor asks: %s", s.Sentence)
	require.Equal(t, workflows.StageWaiting, s.Stage, s.Sentence)
	require.Len(t, s.Backfill.Failures, 1, s.Backfill.Failures)
	require.Equal(t, poisoned, s.Backfill.Failures[0].Name)
	require.Equal(t, many-1, w.number(`SELECT count(*) `+ours))

	p.kill()
	l.corrected(3, poisoned)
	said := w.cli(0, "retry-failed", id)
	require.Contains(t, said.out, "recorded", "no worker runs")
	next()
	s = w.tbOver(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, many, s.Backfill.Published, "what was lost with a worker is not counted twice")
	require.Equal(t, many, w.number(`SELECT count(*) `+ours))
	require.Equal(t, many, w.number(`SELECT count(DISTINCT partition) `+ours), "each is published once")
	want := map[string]string{}
	for _, day := range l.days {
		want[day] = "3"
	}
	require.Equal(t, want, l.byRanges("ta"))
	require.LessOrEqual(t, w.longest(id), int64(eventsOfARun))

	require.Zero(t, w.try("backfill", "rollback", id, "--reason", "wrong", "--detach").code)
	w.await("it to turn back", func() bool {
		return w.number(`SELECT count(*) FROM lab_dev__ledger.turn_back WHERE state = 'open'`) == 1 || w.status(l.id()).Stage.Finished()
	})
	p.kill()
	next()
	require.True(t, w.becomes(5*patience, func() bool { s = w.status(l.id()); return s.Stage.Finished() }), s.Sentence)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, map[string]string{l.days[0]: "1", l.days[1]: "1", l.days[2]: "1"}, l.byRanges("ta"), "where nothing was live, nothing is")
	require.LessOrEqual(t, w.longest(l.id()), int64(eventsOfARun))
}
