package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
)

// A lost attempt has spent what it told in its last heartbeat; the next one does not wait for it again.
func TestAnAttemptGoesOnWithTheBudgetOfThoseBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Policy = pipeline.Policy{Publish: pipeline.Publish{LockBudget: 30 * time.Second, SnapshotWait: 10 * time.Minute}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetHeartbeatDetails(activities.Waited{Snapshots: 4 * time.Minute, Locks: 20 * time.Second})
	acts := &activities.Publishing{Site: b.Site}
	env.RegisterActivity(acts.Publish)
	_, err := env.ExecuteActivity(acts.Publish, activities.PublishInput{Target: target("prod"), Step: "swap-back", Swaps: []generation.Swap{{To: 1}}})
	require.NoError(t, err)
	require.Equal(t, 4*time.Minute, b.desk.spec.WaitedSnapshots)
	require.Equal(t, 20*time.Second, b.desk.spec.WaitedLocks)
	require.Equal(t, 30*time.Second, b.desk.spec.LockBudget)
	require.Equal(t, 10*time.Minute, b.desk.spec.SnapshotWait)
}
