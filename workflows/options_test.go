package workflows_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/workflows"
)

// A worker that is gone is noticed by its silence, whatever it did: no activity waits for its time to run out.
func TestEveryActivityIsTakenOverWithinSeconds(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	silence := map[string]time.Duration{}
	e := smooth(t, crossing("dev"))
	s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
			mu.Lock()
			defer mu.Unlock()
			silence[info.ActivityType.Name] = info.HeartbeatTimeout
		})
	})
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	for name, timeout := range silence {
		require.Positive(t, timeout, name)
		require.LessOrEqual(t, timeout, 10*time.Second, name)
	}
}
