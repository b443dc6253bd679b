package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

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

// One deployment of a pipeline crosses an environment at a time, and a newer one does not end an older one's watch by
// starting, nor by being refused: the watch ends when another release is published where it looks.
func TestDeploymentsOfAPipelineDoNotEndEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	slow := w.pipe(middleDay)
	w.cli(0, "deploy", w.release("1.0.0", "watch: {for: 0s}\n", "watch: {for: 1h, every: 1s}\n"), "--to", "dev", "--detach")
	slow.loading()
	a := w.cli(2, "deploy", w.release("1.1.0"), "--to", "dev", "--as", "grace")
	require.Contains(t, a.out+a.err, "deploy/shop/1.0.0 crosses here")
	slow.restore()
	slow.finish()
	first := shop + "@1.0.0"
	w.await("the watch to begin", func() bool { return w.status(first).Stage == workflows.StageWatching })
	w.cli(2, "deploy", first, "--to", "dev") // it runs already

	bad := w.release("1.1.1", "channel, amount\n", "channel, (2 * amount)::numeric(12,2) AS amount\n")
	w.cli(2, "deploy", bad, "--to", "dev", "--rebuild", "all")
	looks := w.status(first).Crossings[0].Looks
	w.await("the watch to look again", func() bool { return w.status(first).Crossings[0].Looks > looks+1 })
	require.Equal(t, workflows.StageWatching, w.status(first).Stage)

	w.cli(0, "deploy", w.withCurrency("1.2.0"), "--to", "dev", "--rebuild", "all", "--as", "grace")
	w.await("the watch to see the newer release", func() bool { return w.status(first).Stage == workflows.StageDone })
	require.Contains(t, w.status(first).Sentence, "1.2.0")
	w.holds("dev", fiveFilled)
	require.Equal(t, "1.2.0", w.active("dev"))
	w.await("none to be listed as open, so that the newest is meant", func() bool { return w.status(shop).Release.Version == "1.2.0" })
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

// While no worker runs nothing expires: what was decided until one came counts, also after the gate's time.
func TestWhatIsDecidedWhileNoWorkerRunsCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true, approvers: [grace, linus], quorum: 2, expires: 20s}\n")
	p := w.worker("first", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev")
	g := w.status(shop).Gates[0]
	p.kill()
	for _, who := range []string{"grace", "linus"} {
		w.cli(0, "approve", workflows.DeploymentID(shop, "1.0.0"), "--gate", g.Name, "--plan", g.Plan, "--as", who, "--reason", "looks right")
	}
	w.await("the gate's time to end", func() bool { return time.Now().After(g.Deadline()) })
	w.worker("second", "--env", "dev", "--workflows")
	w.await("the gate to be decided", func() bool { return w.status(shop).Gates[0].Decided != "" })
	decided := w.status(shop).Gates[0]
	require.Equal(t, gate.Approve, decided.Decided, decided.Why)
	require.Len(t, decided.Answers, 2)
}
