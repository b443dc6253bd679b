package e2e_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"drawbridge/workflows"
)

// envClosed counts the workflows that have ended, as the server's list has them by now.
func (w *world) envClosed() int64 {
	w.t.Helper()
	found, err := w.temporal.CountWorkflow(w.t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: w.namespace, Query: "ExecutionStatus != 'Running'",
	})
	require.NoError(w.t, err)
	return found.GetCount()
}

// envLooks are the questions that the workflow of dev answers.
func envLooks() [][]string {
	return [][]string{
		{"history", shop, "--env", "dev"},
		{"history", shop, "--env", "dev", "--output", "orders", "--partition", middleDay},
		{"checksum", shop, "--env", "dev", "--output", "orders"},
		{"diff", shop, "--env", "dev", "--output", "orders", "--partition", middleDay},
		{"doctor", shop, "--env", "dev"},
	}
}

// Looking leaves nothing behind in Temporal's list but the one workflow of the environment, which goes on.
func TestLookingLeavesNoWorkflowBehind(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay) // something to compare with
	w.cli(0, "history", shop, "--env", "dev")
	w.await("the list to hold the deployment and the run", func() bool { return w.envClosed() >= 2 })
	before := w.envClosed()
	for range 2 {
		for _, args := range envLooks() {
			w.cli(0, args...)
		}
	}
	marker, err := w.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "marker", TaskQueue: workflows.Queue}, workflows.InspectionName, map[string]any{
		"kind": "history", "target": map[string]any{"environment": "dev", "release": map[string]any{"pipeline": "marker"}},
	})
	require.NoError(t, err)
	require.Error(t, marker.Get(t.Context(), nil), "there is no such pipeline")
	w.await("the list to hold what ended last", func() bool { return w.envClosed() > before })
	require.Equal(t, before+1, w.envClosed())
	d, err := w.temporal.DescribeWorkflowExecution(t.Context(), workflows.EnvironmentID("dev"), "")
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, d.GetWorkflowExecutionInfo().GetStatus())
}

// Whatever becomes of the workflow of an environment: nothing is lost by it, and no change, hold or question needs it.
func TestNothingNeedsTheWorkflowOfAnEnvironment(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*world){
		"it was terminated": func(w *world) {
			_ = w.temporal.TerminateWorkflow(w.t.Context(), workflows.EnvironmentID("dev"), "", "by hand") // it may never have run
		},
		"it is stuck": func(w *world) {
			_ = w.temporal.TerminateWorkflow(w.t.Context(), workflows.EnvironmentID("dev"), "", "by hand")
			_, err := w.temporal.ExecuteWorkflow(w.t.Context(), client.StartWorkflowOptions{
				ID: workflows.EnvironmentID("dev"), TaskQueue: workflows.Queue, WorkflowTaskTimeout: time.Second,
				WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
			}, "nobody.KnowsIt", map[string]string{"environment": "dev"})
			require.NoError(w.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := liveInDev(t)
			breaks(w)
			w.cli(0, "deploy", w.withCurrency("1.1.0"), "--to", "dev", "--rebuild", "all")
			w.done(fiveFilled, "1.1.0")
			breaks(w)
			w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
			w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay, "--detach")
			id := workflows.RunID(shop, "dev", middleDay)
			w.await("the run to wait for the hold", func() bool { return envTold(w.status(id), "quarter end") })
			w.cli(0, "release-hold", "--env", "dev")
			w.cli(0, "status", id, "--watch")
			w.cli(0, "rollback", shop, "--env", "dev", "--reason", "bad")
			require.Equal(t, "1.0.0", w.active("dev"))
			breaks(w)
			for _, args := range envLooks()[:3] {
				w.cli(0, args...)
			}
			w.cli(0, "doctor", shop, "--env", "dev")
			w.recordKinds(strings.ReplaceAll(name, " ", "_"), "inspect")
			w.await("somebody who asks to have it started again", func() bool {
				w.cli(0, "history", shop, "--env", "dev")
				d, err := w.temporal.DescribeWorkflowExecution(t.Context(), workflows.EnvironmentID("dev"), "")
				require.NoError(t, err)
				i := d.GetWorkflowExecutionInfo()
				return i.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && i.GetType().GetName() == workflows.EnvironmentName
			})
		})
	}
}

// envTold says whether a story has a line with a text.
func envTold(s status, text string) bool {
	for _, e := range s.Events {
		if strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}

// A hold is in every schema of the environment or names the one that it is not in; while it stands nothing is published, what
// turns back is not held, and what waited goes on by itself.
func TestAHoldStopsEveryPublishOfAnEnvironmentButWhatTurnsBack(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.cli(0, "deploy", w.withCurrency("1.1.0"), "--to", "dev", "--rebuild", "all")
	other := w.tbNewLab("lab", 1)
	other.deploy(tbFirst())
	a := w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
	require.Contains(t, a.out, "shop_dev")
	require.Contains(t, a.out, "lab_dev")
	w.cli(0, "hold", "--env", "dev", "--reason", "again") // twice is once
	w.cli(0, "run", other.name, "--env", "dev", "--partition", other.days[0], "--detach")
	id := workflows.RunID(other.name, "dev", "2026-01-01")
	w.await("the run to wait", func() bool { return envTold(w.status(id), "quarter end") })
	w.cli(0, "rollback", shop, "--env", "dev", "--reason", "bad")
	require.Equal(t, "1.0.0", w.active("dev"), "what turns back is not held")
	require.False(t, w.status(id).Stage.Finished())
	w.cli(0, "release-hold", "--env", "dev")
	w.cli(0, "status", id, "--watch")
	w.cli(0, "release-hold", "--env", "dev")
	w.recordKinds("done", "hold", "environment")
	w.record(id, "held")
	require.Zero(t, w.number(`SELECT count(*) FROM shop_dev__ledger.hold WHERE released_at IS NULL`))

	_, err := w.db.Exec(t.Context(), `ALTER TABLE lab_dev__ledger.hold RENAME TO away`)
	require.NoError(t, err)
	a = w.cli(2, "hold", "--env", "dev", "--reason", "quarter end")
	require.Contains(t, a.out, "only in part")
	require.Contains(t, a.out, "lab_dev")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_dev__ledger.hold WHERE released_at IS NULL`))
	_, err = w.db.Exec(context.WithoutCancel(t.Context()), `ALTER TABLE lab_dev__ledger.away RENAME TO hold`)
	require.NoError(t, err)
}

// A schema that has no ledger yet when a hold is set, and one that only the config of a deployment names, are held as the others
// are, and released with them.
func TestALedgerThatIsMadeUnderAHoldTakesItOver(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
	fresh := w.tbNewLab("lab", 1)
	w.cli(0, "deploy", fresh.release(tbFirst()), "--to", "dev", "--detach")
	w.write("elsewhere.yaml", "warehouse: warehouse\nwarehouse_schema: shop_elsewhere\nwrite_mode: replace\nsource_files: .\nwatch: {for: 0s}\n")
	w.cli(0, "deploy", w.withCurrency("1.1.0"), "--to", "dev", "--config", "dev="+w.path("elsewhere.yaml"), "--detach")
	ids := []string{workflows.DeploymentID("lab", "1.0.0"), workflows.DeploymentID(shop, "1.1.0")}
	for _, id := range ids {
		w.await(id+" to wait for the hold", func() bool { return envTold(w.status(id), "on hold: quarter end") })
	}
	standing := func() (n int) {
		for _, schema := range []string{"shop_dev", "lab_dev", "shop_elsewhere"} {
			n += w.number(`SELECT count(*) FROM ` + schema + `__ledger.hold WHERE released_at IS NULL`)
		}
		return n
	}
	require.Equal(t, 3, standing())
	require.Zero(t, w.number(`SELECT count(*) FROM lab_dev__ledger.swap`)+w.number(`SELECT count(*) FROM shop_elsewhere__ledger.swap`))
	a := w.cli(0, "release-hold", "--env", "dev")
	require.Contains(t, a.out, "lab_dev")
	require.Contains(t, a.out, "shop_elsewhere")
	for _, id := range ids {
		w.cli(0, "status", id, "--watch")
	}
	a = w.cli(0, "hold", "--env", "dev", "--reason", "again")
	require.Contains(t, a.out, "shop_elsewhere")
	require.Equal(t, 3, standing())
	w.cli(0, "release-hold", "--env", "dev")
	require.Zero(t, standing())
}

// Deployments of new pipelines begin right before a hold and right after it. However they meet it: what has not published by then
// publishes when it is released, and not before.
func TestAHoldAndNewPipelinesMeet(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	var labs []*tbLab
	begun := 0
	for _, name := range []string{"lab_a", "lab_b", "lab_c", "lab_d", "lab_e"} {
		l := w.tbNewLab(name, 1)
		l.release(tbFirst())
		labs = append(labs, l)
	}
	begin := func(n int) {
		for _, l := range labs[begun : begun+n] {
			w.cli(0, "deploy", l.name+"@1.0.0", "--to", "dev", "--detach")
		}
		begun += n
	}
	begin(3)
	w.await("a ledger to be made", func() bool {
		return w.number(`SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'lab\_%\_\_ledger'`) > 0
	})
	w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
	published := map[string]int{}
	swaps := func(l *tbLab) int {
		if w.number(`SELECT count(*) FROM pg_namespace WHERE nspname = $1`, l.schema("dev")+"__ledger") == 0 {
			return 0
		}
		return w.number(`SELECT count(*) FROM ` + l.schema("dev") + `__ledger.swap`)
	}
	for _, l := range labs {
		published[l.name] = swaps(l)
	}
	begin(2)
	for _, l := range labs {
		id := workflows.DeploymentID(l.name, "1.0.0")
		w.await(id+" to end or to wait", func() bool {
			s := w.status(id)
			return s.Stage.Finished() || envTold(s, "on hold: quarter end")
		})
		require.Equal(t, 1, w.number(`SELECT count(*) FROM `+l.schema("dev")+`__ledger.hold WHERE released_at IS NULL`), l.name)
		require.Equal(t, published[l.name], swaps(l), l.name)
	}
	w.cli(0, "release-hold", "--env", "dev")
	for _, l := range labs {
		w.cli(0, "status", workflows.DeploymentID(l.name, "1.0.0"), "--watch")
		require.Zero(t, w.number(`SELECT count(*) FROM `+l.schema("dev")+`__ledger.hold WHERE released_at IS NULL`), l.name)
	}
}

// Where nothing keeps a hold, nobody is told that there is one.
func TestAHoldThatNothingKeepsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	w.await("the worker to be seen", func() bool { return w.try("release-hold", "--env", "dev").code == 0 })
	a := w.cli(2, "hold", "--env", "dev", "--reason", "quarter end")
	require.Contains(t, a.err, "no schema there has a ledger yet")
	a = w.cli(0, "release-hold", "--env", "dev")
	require.Contains(t, a.out, "nothing is held")
}

// Of a hold and a release that are asked for at once one comes after the other, and every schema ends as the last one said.
func TestAHoldAndItsReleaseAtOnceEndTheSameInEverySchema(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.tbNewLab("lab", 1).deploy(tbFirst())
	standing := `SELECT (SELECT count(*) FROM shop_dev__ledger.hold WHERE released_at IS NULL) - (SELECT count(*) FROM lab_dev__ledger.hold WHERE released_at IS NULL)`
	for range 3 {
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { w.cli(0, "hold", "--env", "dev", "--reason", "quarter end") })
			both.Go(func() { w.cli(0, "release-hold", "--env", "dev") })
		}
		both.Wait()
		require.Zero(t, w.number(standing))
	}
}
