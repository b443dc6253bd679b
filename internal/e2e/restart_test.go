package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// devstack runs the local stack's own program.
func devstack(ctx context.Context, t *testing.T, args ...string) {
	t.Helper()
	program, err := filepath.Abs("../../.ci/devstack")
	require.NoError(t, err)
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	require.NoError(t, err, "devstack %v\n%s", args, out)
}

// onAStackOfItsOwn is a world whose servers may be broken: the other tests use theirs meanwhile.
func onAStackOfItsOwn(t *testing.T) (w *world, stack string) {
	t.Helper()
	if os.Getenv(stackDir) == "" {
		t.Skipf("%s is not set: the servers are not ours to restart", stackDir)
	}
	stack = t.TempDir()
	devstack(t.Context(), t, "up", "--test", "--dir", stack)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		devstack(ctx, t, "clean", "--dir", stack)
	})
	body, err := os.ReadFile(filepath.Join(stack, "devstack.json"))
	require.NoError(t, err)
	var its struct {
		Temporal  string `json:"temporal_address"`
		Warehouse string `json:"warehouse"`
		Superuser string `json:"test_superuser"`
	}
	require.NoError(t, json.Unmarshal(body, &its))
	return worldOn(t, its.Temporal, its.Warehouse, its.Superuser), stack
}

// The server goes away in the middle of a load, and in the middle of a commit, and comes back: what was lost is done
// again, once.
func TestPostgresRestartsDuringALoadAndACommit(t *testing.T) {
	t.Parallel()
	w, stack := onAStackOfItsOwn(t)
	w.worker("worker", "--env", "dev", "--workflows")
	slow := w.pipe(middleDay)
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev", "--detach")
	slow.loading()
	slow.restore()
	devstack(t.Context(), t, "restart-postgres", "--dir", stack)
	slow.finish()
	w.db.Reset() // the test's own sessions are gone too
	w.done(four, "1.0.0")

	h := w.hold("dev", "effect", effectOf("publish"))
	w.rebuild(w.withCurrency("1.1.0"))
	h.reached()
	devstack(t.Context(), t, "restart-postgres", "--dir", stack) // which releases it
	w.db.Reset()
	w.done(fiveFilled, "1.1.0")
}

// A crash of the server empties what was loaded for all builds of a deployment, and leaves no trace of that. None of them may
// take it for a file without rows.
func TestACrashOfTheServerEmptiesNoBuild(t *testing.T) {
	t.Parallel()
	w, stack := onAStackOfItsOwn(t)
	uncut := w.oneFile()
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(0, "deploy", w.release("1.0.0", uncut...), "--to", "dev")
	w.ended(workflows.StageDone, four, "1.0.0")
	require.Equal(t, 1, w.number(`SELECT count(*) FROM shop_dev__ledger.landing WHERE name = 'raw_orders'`), "it is loaded once for five days")

	const (
		loaded = "NEW.state = 'loaded' AND NEW.name = 'raw_orders'"            // between the load and the first build
		built  = "NEW.state = 'built' AND NEW.partition = '" + middleDay + "'" // between two builds
	)
	killed := func(h *hold) { h.crash() }
	powerless := func(*hold) {
		devstack(t.Context(), t, "crash-postgres", "--dir", stack)
		w.db.Reset()
	}
	for _, crash := range []struct {
		version, table, when string
		how                  func(*hold)
	}{
		{"1.1.0", "landing", loaded, killed},
		{"1.2.0", "generation", built, killed},
		{"1.3.0", "landing", loaded, powerless},
		{"1.4.0", "generation", built, powerless},
	} {
		h := w.hold("dev", crash.table, crash.when)
		w.rebuild(w.release(crash.version, append(uncut, "channel, amount\n", "channel, amount, currency\n")...))
		h.reached()
		crash.how(h)
		w.done(fiveFilled, crash.version)
		_, err := w.db.Exec(t.Context(), h.undo)
		require.NoError(t, err)
	}
	require.Zero(t, w.number(`SELECT count(*) FROM shop_dev__ledger.landing WHERE state IN ('loading', 'loaded')`), "they ended with their deployments")
}
