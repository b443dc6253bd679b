package e2e_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"drawbridge/workflows"
)

// recWorld is a world with a lab of several environments, whose publishes park soon, and a worker for each of them.
func recWorld(t *testing.T, days int) (l *tbLab, prod *worker) {
	t.Helper()
	w := newWorld(t)
	w.inSteps()
	for _, env := range []string{"dev", "prod"} {
		w.impatient(env, "approval: {required: "+map[bool]string{true: "true", false: "false"}[env == "prod"]+"}\n", "2s")
	}
	w.worker("dev", "--env", "dev", "--workflows")
	prod = w.worker("prod", "--env", "prod")
	return w.tbNewLab("lab", days), prod
}

// across is a release that goes from dev to prod.
func across(r tbRelease) tbRelease {
	r.environments = []string{"dev", "prod"}
	return r
}

func (l *tbLab) terminate(id string) {
	l.w.t.Helper()
	require.NoError(l.w.t, l.w.temporal.TerminateWorkflow(l.w.t.Context(), id, "", "by hand"))
}

// open is what the ledger of an environment holds open of anybody.
func (l *tbLab) open(env string) []string {
	l.w.t.Helper()
	schema := l.schema(env) + "__ledger"
	return l.w.texts(strings.ReplaceAll(`
		SELECT 'crossing of ' || owner FROM SCHEMA.crossing
		UNION ALL
		SELECT 'watch of ' || owner FROM SCHEMA.tenure WHERE watched_until IS NOT NULL
		UNION ALL
		SELECT 'landing of ' || owner FROM SCHEMA.landing WHERE state IN ('loading', 'loaded')
		UNION ALL
		SELECT 'generation ' || id FROM SCHEMA.generation WHERE state IN ('building', 'built', 'shadow')
		UNION ALL
		SELECT 'turn-back of ' || pipeline FROM SCHEMA.turn_back WHERE state = 'open'`, "SCHEMA", schema))
}

// nothingLeft asserts that a further recovery finds nothing, and that the ledger holds nothing open.
func (l *tbLab) nothingLeft(id string, envs ...string) {
	l.w.t.Helper()
	for _, env := range envs {
		require.Empty(l.w.t, l.open(env), "in %s", env)
	}
	a := l.w.cli(0, "recover", id)
	require.Contains(l.w.t, a.out, "nothing of it is open")
}

// A deployment that was terminated before its pipeline was ever published there holds nobody up once it is recovered.
func TestARecoveryEndsWhatIsOpenWhereNothingWasEverPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", admRule, "2s")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	first := tbFirst()
	first.dim = true // its file is not cut by partition: it leaves a landing
	s := l.asks(first)
	l.terminate(s.ID)
	require.NotEmpty(t, l.open("dev"))
	a := w.cli(0, "recover", s.ID)
	require.Contains(t, a.out, "stopped in dev")
	l.nothingLeft(s.ID, "dev")
	second := tbSecond()
	second.dim = true
	l.approved(second)
}

// What a deployment left in one environment goes back, whatever the others on its way know of it.
func TestARecoveryTurnsBackWhereTheDeploymentGot(t *testing.T) {
	t.Parallel()
	l, _ := recWorld(t, 12)
	l.w.cli(0, "deploy", l.release(across(tbFirst())), "--to", "dev", "--rebuild", "all")
	held := l.block("dev", "ta", tbMiddle)
	l.w.cli(4, "deploy", l.release(across(tbSecond())), "--to", "prod", "--rebuild", "all")
	id := l.w.status(l.name).ID
	require.Subset(t, slices.Collect(maps.Values(l.seen("dev", "ta"))), []string{"1", "10"}, "a part of it is live")
	l.terminate(id)
	held.end()
	l.w.cli(0, "recover", id)
	l.are("dev", 1, "ta")
	require.Equal(t, "1.0.0", l.active("dev"))
	l.nothingLeft(id, "dev")
	l.w.cli(0, "deploy", l.name+"@1.1.0", "--to", "dev", "--rebuild", "all")
}

// An environment that does not answer keeps no other from being recovered: it is named, and the command is not done.
func TestOneEnvironmentThatCannotBeRecoveredStopsNoOther(t *testing.T) {
	t.Parallel()
	l, prod := recWorld(t, 12)
	l.w.cli(0, "deploy", l.release(across(tbFirst())), "--to", "dev", "--rebuild", "all")
	held := l.block("dev", "ta", tbMiddle)
	l.w.cli(4, "deploy", l.release(across(tbSecond())), "--to", "prod", "--rebuild", "all")
	id := l.w.status(l.name).ID
	l.terminate(id)
	held.end()
	prod.kill()
	a := l.w.cli(exitStuck, "recover", id)
	require.Contains(t, a.out, "left as they are: prod")
	l.are("dev", 1, "ta")
	require.Empty(t, l.open("dev"))
	l.w.worker("again", "--env", "prod")
	l.nothingLeft(id, "dev")
}

// What was terminated in its watch had passed all else: it stays, and who recovers it is told what nobody does any more.
func TestADeploymentTerminatedInItsWatchStaysAndIsSaidToBeUnwatched(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst())
	second := tbSecond()
	second.watch = "  for: 1h\n  every: 10m\n  checks:\n    - metric: {name: rows, sql: SELECT count(*) FROM ta, vs_history: 25%}\n"
	l.w.cli(0, "deploy", l.release(second), "--to", "dev", "--rebuild", "all", "--detach")
	id := l.w.status(l.name + "@1.1.0").ID
	l.w.await("the watch", func() bool { return l.w.status(id).Stage == workflows.StageWatching })
	l.terminate(id)
	require.NotEmpty(t, l.open("dev"))
	a := l.w.cli(0, "recover", id)
	require.Contains(t, a.out, "lab@1.1.0 stays live in dev, and nobody watches it any more")
	require.Contains(t, strings.Join(strings.Fields(a.out), " "), "drawbridge rollback lab --env dev")
	l.are("dev", 10, "ta")
	l.nothingLeft(id, "dev")
	require.Equal(t, 0, l.rollback().code)
	l.are("dev", 1, "ta")
}

// A recovery that somebody terminated is recovered by its own name, or by that of what it recovers.
func TestATerminatedRecoveryIsRecovered(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(id string) string{
		"by its own name":             workflows.RecoveryID,
		"by that of what it recovers": func(id string) string { return id },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := tbAbandoned(t)
			id := l.w.status(l.name).ID
			held := l.block("dev", "ta", tbDays(1)[0])
			l.w.cli(4, "recover", id)
			l.w.cli(2, "recover", again(id)) // it still runs
			l.terminate(workflows.RecoveryID(id))
			held.end()
			l.recovered(again(id))
			l.nothingLeft(again(id), "dev")
		})
	}
}

// What cannot go back is left, and no recovery after that says that nothing is; once it is mended the same command finishes it.
func TestARecoveryThatLeavesSomethingIsNotDone(t *testing.T) {
	t.Parallel()
	l := tbAbandoned(t)
	id := l.w.status(l.name).ID
	day := ""
	for at, factor := range l.seen("dev", "ta") {
		if factor == "10" {
			day = at
		}
	}
	l.w.texts(`UPDATE lab_dev__ledger.generation SET not_reattachable = 'a column is gone' WHERE state = 'retired' AND partition = '` + day + `' RETURNING id::text`)
	l.w.remove(l.source(day))
	for range 2 {
		a := l.w.cli(exitStuck, "recover", id)
		require.Contains(t, strings.Join(strings.Fields(a.out), " "), "dev: ta["+day+"]")
		require.Equal(t, "10", l.seen("dev", "ta")[day])
	}
	l.w.write(l.source(day), tbRows(day))
	l.recovered(id)
	l.nothingLeft(id, "dev")
}

// What never was is not found, and what Temporal has forgotten is recovered where a person says that it was.
func TestARecoveryOfWhatTemporalDoesNotKnow(t *testing.T) {
	t.Parallel()
	l := tbAbandoned(t)
	id := l.w.status(l.name).ID
	a := l.w.cli(1, "recover", l.name+"@9.9.9")
	require.Contains(t, a.err, "there is none")
	a = l.w.cli(1, "recover", workflows.DeploymentID(l.name, "9.9.9"))
	require.Contains(t, a.err, "there is no such workflow")
	_, err := l.w.temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: l.w.namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
	})
	require.NoError(t, err)
	l.w.await("Temporal to forget it", func() bool {
		_, err := l.w.temporal.DescribeWorkflow(t.Context(), id, "")
		return err != nil
	})
	a = l.w.cli(1, "recover", id)
	require.Contains(t, a.err, "drawbridge recover "+id+" --env")
	l.w.cli(0, "recover", id, "--env", "dev")
	l.are("dev", 1, "ta")
	require.Empty(t, l.open("dev"))
}

// A later start of the same deployment that went less far does not hide where the earlier one had been.
func TestARecoveryGoesWhereverAnyStartOfTheDeploymentWas(t *testing.T) {
	t.Parallel()
	l, _ := recWorld(t, 2)
	l.w.cli(4, "deploy", l.release(across(tbFirst())), "--to", "prod", "--rebuild", "all")
	id := l.w.status(l.name).ID
	l.terminate(id)
	require.NotEmpty(t, l.open("prod"))
	l.w.try("deploy", l.name+"@1.0.0", "--to", "dev")
	l.w.cli(0, "recover", id)
	l.are("dev", 1, "ta")
	l.nothingLeft(id, "dev", "prod")
}

// A deployment that was reset goes on by itself; terminated after that, it is recovered like any other.
func TestADeploymentThatWasResetIsRecoveredOnceItIsClosed(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 12)
	l.deploy(tbFirst())
	held := l.block("dev", "ta", tbMiddle)
	l.w.cli(4, "deploy", l.release(tbSecond()), "--to", "dev", "--rebuild", "all")
	id := l.w.status(l.name).ID
	_, err := l.w.temporal.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: l.w.namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id}, Reason: "by hand",
		WorkflowTaskFinishEventId: 4, RequestId: uuid.NewString(),
	})
	require.NoError(t, err)
	a := l.w.cli(2, "recover", id)
	require.Contains(t, a.err, "it is running")
	l.terminate(id)
	held.end()
	l.recovered(id)
	l.nothingLeft(id, "dev")
}

// A run that was terminated in its pipeline's first days leaves nothing that keeps the next one out.
func TestATerminatedFirstRunIsRecovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := &tbLab{w: w, name: shop}
	folder := w.release("1.0.0")
	w.await("a plan, which makes the ledger", func() bool { return w.try("plan", folder, "--to", "dev").code == 0 })
	h := w.hold("dev", "generation", "NEW.state = 'built'")
	w.cli(0, "run", folder, "--env", "dev", "--partition", middleDay, "--detach")
	h.reached()
	id := workflows.RunID(shop, "dev", middleDay)
	l.terminate(id)
	h.release()
	w.await("what was built", func() bool {
		return w.number(`SELECT count(*) FROM shop_dev__ledger.generation WHERE state = 'built'`) > 0
	})
	w.cli(0, "recover", id)
	l.nothingLeft(id, "dev")
	w.cli(0, "deploy", folder, "--to", "dev")
	w.holds("dev", four)
}

// Who turned one partition back stopped the abandoned deployment by that; the rest of it is found all the same.
func TestARecoveryFindsWhatAnotherTurnBackHasStopped(t *testing.T) {
	t.Parallel()
	l := tbAbandoned(t)
	id := l.w.status(l.name).ID
	var days []string
	for at, factor := range l.seen("dev", "ta") {
		if factor == "10" {
			days = append(days, at)
		}
	}
	require.Greater(t, len(days), 1, "days that the deployment has published")
	a := l.rollback("--output", "ta", "--partition", days[0], "--to", "last-good")
	require.Equal(t, 0, a.code, tbTold(a))
	require.Equal(t, "1", l.seen("dev", "ta")[days[0]])
	l.recovered(id)
	l.nothingLeft(id, "dev")
}
