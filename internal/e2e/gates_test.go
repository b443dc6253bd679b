package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// atTheGate is a world in which a release waits for two approvals in dev.
func atTheGate(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true, quorum: 2, approvers: [ada, grace, linus]}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev")
	return w
}

func TestOnlyTheRightDecisionsOpenAGate(t *testing.T) {
	t.Parallel()
	w := atTheGate(t)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"another gate":        {[]string{"--gate", "canary-dev", "--as", "grace", "--reason", "r"}, 2, "the open gate is approval-dev"},
		"another plan":        {[]string{"--plan", strings.Repeat("0", 12), "--as", "grace", "--reason", "r"}, 2, "about another plan"},
		"no approver":         {[]string{"--as", "mallory", "--reason", "r"}, 2, "mallory is not an approver"},
		"no reason":           {[]string{"--as", "grace"}, 1, "reason is missing"},
		"no choice of a gate": {[]string{"--as", "grace", "--reason", "r", "--choice", "keep"}, 1, "no choice here"},
	} {
		args := []string{"approve", shop}
		if strings.Contains(name, "choice") {
			args[0] = "decide"
		}
		a := w.cli(c.code, append(args, c.args...)...)
		require.Contains(t, a.err, c.says, name)
	}
	// The same person twice is one of two.
	for range 2 {
		a := w.cli(0, "approve", shop, "--as", "grace", "--reason", "looks right")
		require.Contains(t, a.out, "1 of 2")
	}
	require.Equal(t, workflows.StageWaiting, w.status(shop).Stage)
	w.cli(0, "approve", shop, "--as", "linus", "--reason", "me too")
	w.done(four, "1.0.0")
	require.Len(t, w.status(shop).Gates[0].Answers, 2)
	w.record(workflows.DeploymentID(shop, "1.0.0"), "approved")
}

// What the Web UI sends is JSON that a person typed: it counts by the same rules, and what does not count is seen.
func TestASignalFromTheWebUIDecides(t *testing.T) {
	t.Parallel()
	w := atTheGate(t)
	send := func(body string) {
		t.Helper()
		require.NoError(t, w.temporal.SignalWorkflow(t.Context(), workflows.DeploymentID(shop, "1.0.0"), "", workflows.Decide, json.RawMessage(body)))
	}
	send(`{"gate": "approval-dev", "plan": "000000000000", "choice": "approve", "by": "grace", "reason": "the wrong plan"}`)
	w.await("the refused decision to be told", func() bool { return len(w.status(shop).RefusedDecisions) == 1 })
	require.Contains(t, w.status(shop).RefusedDecisions[0], "another plan")
	plan := gate.Short(w.status(shop).Plan)
	for _, by := range []string{"grace", "linus"} {
		send(`{"gate": "approval-dev", "plan": "` + plan + `", "choice": "approve", "by": "` + by + `", "reason": "from the Web UI"}`)
	}
	w.done(four, "1.0.0")
}

func TestARejectionTurnsBack(t *testing.T) {
	t.Parallel()
	w := atTheGate(t)
	w.cli(0, "reject", shop, "--as", "grace", "--reason", "not on a Friday")
	w.cli(2, "status", shop, "--watch")
	s := w.status(shop)
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "not on a Friday")
	require.Empty(t, w.active("dev"))
	w.tidy("dev")
}

func TestAPipelineHasOneDeploymentAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	watched := "watch: {for: 1h, every: 1s}\n"
	slow := w.pipe(middleDay)
	w.cli(0, "deploy", w.release("1.0.0", "watch: {for: 0s}\n", watched), "--to", "dev", "--detach")
	slow.loading()
	a := w.cli(2, "deploy", w.release("1.1.0"), "--to", "dev", "--as", "grace")
	require.Contains(t, a.err, "shop@1.0.0")
	require.Contains(t, a.err, "by ada runs already")
	slow.restore()
	slow.finish()
	w.await("the watch to begin", func() bool { return w.status(shop).Stage == workflows.StageWatching })

	// What is only watched makes room, and stays published.
	before := w.status(shop).Release
	w.cli(0, "deploy", w.withCurrency("1.2.0"), "--to", "dev", "--rebuild", "all", "--as", "grace")
	w.ended(workflows.StageDone, fiveFilled, "1.2.0")
	require.Equal(t, "1.0.0", before.Version)
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_dev__ledger.tenure WHERE version = '1.0.0'`), "1.0.0 was never turned back")
}

// Ctrl-C ends the looking, not what is looked at.
func TestAnInterruptedCommandLeavesTheDeploymentAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	slow := w.pipe(middleDay)
	a := w.tryUntil(slow.loading, "deploy", w.release("1.0.0"), "--to", "dev")
	require.Equal(t, 130, a.code, a.err)
	require.Contains(t, a.err, "goes on without you")
	slow.finish()
	w.done(four, "1.0.0")
}

// An old worker waits at the gate; a newer one carries on.
func TestANewerWorkerGoesOnWhereAnOlderOneWaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true}\n")
	old := w.worker("old", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev")
	old.stop()
	w.workerOf(built.newer, "new", "--env", "dev", "--workflows")
	w.cli(0, "approve", shop, "--as", "grace", "--reason", "looks right")
	w.done(four, "1.0.0")
}
