package e2e_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// Wherever a deployment is cancelled, dev is afterwards as it was before, and the same release can be deployed again.
func TestACancelAtEveryStageTurnsBack(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	next := w.withCurrency("1.1.0")
	shape := four
	for _, c := range []struct {
		stage, table, when string // an empty when: at any touch of the table
		published          bool   // all of it may have been visible
	}{
		{"plan", "active", "", false},
		{"smoke", "generation", "NEW.state = 'building' AND NEW.effect_key LIKE '%/canary/%'", false},
		{"audit", "check_result", "true", false},
		{"shadow", "generation", "NEW.state = 'shadow'", false},
		{"build of the rest", "generation", "NEW.state = 'built' AND NEW.effect_key LIKE '%/slice-1/%'", false},
		{"publish", "effect", effectOf("publish"), true},
		{"activation", "active", "true", true},
	} {
		var h *hold
		if c.when == "" {
			h = w.shut("dev", c.table)
		} else {
			h = w.hold("dev", c.table, c.when)
		}
		publishes := func() int {
			return w.number(`SELECT count(DISTINCT effect_key) FROM shop_dev__ledger.swap WHERE kind = 'publish' AND starts_with(owner, 'deploy/shop/1.1.0')`)
		}
		before := publishes()
		w.rebuild(next)
		h.reached()
		w.cli(0, "cancel", shop)
		h.release()
		if c.published {
			shape = fiveEmpty // the added column stays
		}
		ended := w.try("status", shop, "--watch")
		code, stage := 2, workflows.StageRefused
		if publishes() > before { // it may have heard of the cancel before its commit
			code, stage = 3, workflows.StageRolledBack
		}
		require.Equal(t, code, ended.code, "%s: %s", c.stage, tbTold(ended))
		require.True(t, c.published || code == 2, c.stage)
		require.Equal(t, stage, w.status(shop).Stage, c.stage)
		w.holds("dev", shape)
		require.Equal(t, "1.0.0", w.active("dev"), c.stage)
		w.tidy("dev")
		h.drop()
	}
}

// A person who changes their mind at the gate, or while it is watched, gets back what was there.
func TestACancelAtTheGateAndDuringTheWatchTurnsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	watched := w.release("1.0.0", "watch: {for: 0s}\n", "watch: {for: 1h, every: 1s}\n")
	w.cli(4, "deploy", watched, "--to", "dev")
	w.cli(0, "cancel", shop)
	w.cli(2, "status", shop, "--watch")
	require.Empty(t, w.active("dev"))
	w.tidy("dev")

	w.cli(4, "deploy", watched, "--to", "dev")
	w.cli(0, "approve", shop, "--as", "grace", "--reason", "looks right")
	w.await("the watch to begin", func() bool { return w.status(shop).Stage == workflows.StageWatching })
	w.holds("dev", four)
	w.cli(0, "cancel", shop)
	w.cli(3, "status", shop, "--watch")
	require.Empty(t, w.active("dev"))
	require.Empty(t, w.rows("dev"), "nothing was live before, so nothing is")
	w.tidy("dev")
}

// With --compensate all, what a later environment refuses is taken back from the earlier ones too.
func TestACompensationOfAllTakesTheEarlierEnvironmentsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", everything()...)
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "prod", "--compensate", "all")
	w.holds("staging", four)
	w.cli(0, "reject", shop, "--as", "grace", "--reason", "not this year")
	w.cli(3, "status", shop, "--watch")
	for _, env := range []string{"dev", "staging"} {
		require.Empty(t, w.rows(env))
		require.Empty(t, w.active(env))
		w.tidy(env)
	}
	w.tidy("prod")
}

// Whoever cancels twice does not stop the way back.
func TestASecondCancelDoesNotStopTheCompensation(t *testing.T) {
	t.Parallel()
	w, _ := liveInSteps(t)
	published := w.hold("dev", "effect", effectOf("publish-slice-1"))
	swapBack := w.hold("dev", "effect", effectOf("turn-back-%"))
	w.rebuild(w.withCurrency("1.1.0"))
	published.reached()
	w.cli(0, "cancel", shop)
	published.release()
	swapBack.reached()
	w.cli(0, "cancel", shop)
	swapBack.release()
	w.turnedBack(3, workflows.StageRolledBack, fiveEmpty, "1.0.0")
	w.record(workflows.DeploymentID(shop, "1.1.0"), "cancelled")
}

// A person who terminates leaves it as it is: status says so, and recover turns it back.
func TestATerminatedDeploymentIsRecovered(t *testing.T) {
	t.Parallel()
	w, _ := liveInSteps(t)
	h := w.hold("dev", "effect", effectOf("publish-slice-1"))
	w.rebuild(w.withCurrency("1.1.0"))
	h.reached()
	a := w.cli(2, "recover", "shop@1.1.0")
	require.Contains(t, a.err, "it is running")
	require.NoError(t, w.temporal.TerminateWorkflow(t.Context(), workflows.DeploymentID(shop, "1.1.0"), "", "by hand"))
	h.release()
	s := w.status(shop)
	require.Equal(t, workflows.Stage("abandoned"), s.Stage)
	require.Equal(t, 2, s.code)
	require.Contains(t, w.cli(2, "status", shop).out, "drawbridge recover deploy/shop/1.1.0")
	w.await("the publish to be visible", func() bool {
		return w.number(`SELECT count(*) FROM shop_dev__ledger.effect WHERE key LIKE '%/publish-slice-1/%'`) == 2
	})
	w.cli(0, "recover", "shop@1.1.0")
	w.record(workflows.RecoveryID(workflows.DeploymentID(shop, "1.1.0")), "rolled_back")
	w.holds("dev", fiveEmpty)
	require.Equal(t, "1.0.0", w.active("dev"))
	w.tidy("dev")
	require.Equal(t, workflows.StageRolledBack, w.status("recover/deploy/shop/1.1.0").Stage)
	w.cli(0, "deploy", "shop-1.1.0", "--to", "dev", "--rebuild", "all")
	w.ended(workflows.StageDone, fiveFilled, "1.1.0")
}

// A compensation that was terminated half-way is finished by the recovery: what is left goes back, what went back stays.
func TestARecoveryFinishesATerminatedCompensation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inSteps()
	w.sources(append(fiveDays(), "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09", "2026-01-10", "2026-01-11")) // more than goes back at once
	first := w.worker("first", "--env", "dev", "--workflows")
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev")
	published := w.hold("dev", "effect", effectOf("publish-slice-1"))
	swapBack := w.hold("dev", "effect", effectOf("turn-back-%"))
	w.rebuild(w.withCurrency("1.1.0"))
	published.reached()
	w.cli(0, "cancel", shop)
	published.release()
	swapBack.reached()
	require.NoError(t, w.temporal.TerminateWorkflow(t.Context(), workflows.DeploymentID(shop, "1.1.0"), "", "by hand"))
	first.kill()
	w.texts(`SELECT pg_terminate_backend(pid)::text FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND ` + swapBack.waiting) // where the server has not seen it yet
	swapBack.release()
	w.worker("second", "--env", "dev", "--workflows")
	require.Equal(t, workflows.Stage("abandoned"), w.status(shop).Stage)
	w.cli(0, "recover", "shop@1.1.0")
	w.holds("dev", fiveEmpty)
	require.Equal(t, "1.0.0", w.active("dev"))
	w.tidy("dev")
}

// Once it is stated that the release passed there is nothing to turn back any more: a statement must not stand for what was
// turned back.
func TestACancelAfterTheStatementIsTooLate(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	h := w.holdOn("dev", "crossing", "DELETE", "true") // the deployment leaves, which is its last step
	w.rebuild(w.withCurrency("1.1.0"))
	h.reached()
	w.cli(0, "cancel", shop)
	h.release()
	w.cli(0, "status", shop, "--watch")
	w.ended(workflows.StageDone, fiveFilled, "1.1.0")
}

// relay reads a table by turns until stop, so that somebody always does, and nobody for long enough to be reported.
func (w *world) relay(table string) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	turns := []*pgx.Conn{w.session(`BEGIN; SELECT count(*) FROM ` + table), w.session(`SELECT 1`)}
	ended := make(chan error, 1)
	go func() {
		var err error
		for n := 1; err == nil; n++ {
			if _, err = turns[n%2].Exec(ctx, `BEGIN; SELECT count(*) FROM `+table); err == nil {
				_, err = turns[(n+1)%2].Exec(ctx, `COMMIT`)
			}
		}
		ended <- err
	}()
	return func() {
		w.t.Helper()
		require.Empty(w.t, ended, "a reader was ended")
		cancel()
		require.ErrorIs(w.t, <-ended, context.Canceled)
		for _, conn := range turns {
			require.NoError(w.t, conn.Close(cleanup(w.t)))
		}
	}
}

// Readers hold the table, and the publish waits for its locks in the middle of its transaction: whoever cancels then has changed nothing
// that anybody can see.
func TestACancelWhileAPublishWaitsForItsLocksLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: false}\n")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 3)
	l.deploy(tbFirst("ta", "tb"))
	stop := w.relay(l.schema("dev") + ".ta")
	folder, id := l.release(tbSecond("ta", "tb")), workflows.DeploymentID(l.name, "1.1.0")
	w.cli(0, "deploy", folder, "--to", "dev", "--rebuild", "all", "--detach")
	w.await("the publish to wait for its locks", func() bool {
		return w.number(`
			SELECT count(*)
			FROM pg_locks
			WHERE NOT granted AND mode = 'AccessExclusiveLock'
			  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) > 0
	})
	require.Equal(t, workflows.StageCrossing, w.status(id).Stage)
	w.cli(0, "cancel", l.name)
	s := w.tbOver(id)
	require.Equal(t, workflows.StageRefused, s.Stage, s.Sentence)
	require.Contains(t, w.cli(2, "status", id).out, "refused in dev")
	stop()
	l.are("dev", 1, "ta", "tb")
	require.Equal(t, "1.0.0", l.active("dev"))
	require.Zero(t, w.number(`SELECT count(*) FROM lab_dev__ledger.swap WHERE starts_with(owner, $1)`, id))
	require.Zero(t, w.number(`SELECT count(*) FROM lab_dev__ledger.generation WHERE state IN ('building', 'built', 'shadow')`), "what was built is given up")
	w.cli(0, "deploy", folder, "--to", "dev", "--rebuild", "all")
	l.are("dev", 10, "ta", "tb")
}
