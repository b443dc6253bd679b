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
)

// devstack runs the local stack's own program.
func devstack(ctx context.Context, t *testing.T, args ...string) {
	t.Helper()
	program, err := filepath.Abs("../../.ci/devstack")
	require.NoError(t, err)
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	require.NoError(t, err, "devstack %v\n%s", args, out)
}

// The server goes away in the middle of a load, and in the middle of a commit, and comes back: what was lost is done
// again, once.
func TestPostgresRestartsDuringALoadAndACommit(t *testing.T) {
	t.Parallel()
	if os.Getenv(stackDir) == "" {
		t.Skipf("%s is not set: the servers are not ours to restart", stackDir)
	}
	stack := t.TempDir() // one of its own: the other tests use theirs meanwhile
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
	w := worldOn(t, its.Temporal, its.Warehouse, its.Superuser)
	w.worker("worker", "--env", "dev", "--workflows")
	slow := w.pipe(middleDay)
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev", "--detach")
	slow.loading()
	slow.restore()
	devstack(t.Context(), t, "restart-postgres", "--dir", stack)
	slow.finish()
	w.db.Reset() // the test's own sessions are gone too
	w.done(four, "1.0.0")

	h := w.hold("dev", "effect", effectOf("publish-slice-1"))
	w.rebuild(w.withCurrency("1.1.0"))
	h.reached()
	devstack(t.Context(), t, "restart-postgres", "--dir", stack) // which releases it
	w.db.Reset()
	w.done(fiveFilled, "1.1.0")
}
