package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"drawbridge/workflows"
)

// promote makes a build of the workers the current one, once the server knows it.
func (w *world) promote(build string) {
	w.t.Helper()
	deployment := w.temporal.WorkerDeploymentClient().GetHandle("drawbridge")
	w.await("build "+build+" to be current", func() bool {
		_, err := deployment.SetCurrentVersion(w.t.Context(), client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
		return err == nil
	})
}

// A versioned worker takes no task before its build is made current; then it takes over what an earlier build began.
func TestABuildThatIsNotCurrentTakesNoTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	version := func(build string) []string {
		return []string{"TEMPORAL_DEPLOYMENT_NAME=drawbridge", "TEMPORAL_WORKER_BUILD_ID=" + build}
	}
	w.policy("dev", "approval: {required: true}\n")
	first := w.start(built.worker, version("a"), "first", "--env", "dev", "--workflows")
	w.promote("a")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev")
	plan := w.status(shop).Plan
	first.kill()
	w.start(built.worker, version("b"), "second", "--env", "dev", "--workflows")
	said := w.cli(0, "approve", shop, "--gate", "approval-dev", "--plan", plan, "--as", "grace", "--reason", "looks right")
	require.Contains(t, said.out, "will be applied when a worker returns", "the build that is there takes no task")
	require.Equal(t, workflows.StageWaiting, w.status(shop).Stage, "nobody has made the build current")
	w.promote("b")
	w.done(four, "1.0.0")
}
