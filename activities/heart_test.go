package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"drawbridge/activities"
)

// An activity that only works is heard of all the same, and carries on what the attempt before it said.
func TestEveryActivityHeartbeatsWhileItWorks(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.NewFaultInterceptor(redact), activities.NewHeartInterceptor()}})
	env.SetHeartbeatDetails(activities.Waited{Locks: 20 * time.Second})
	beats := make(chan activities.Waited, 100)
	env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		var w activities.Waited
		if err := details.Get(&w); err == nil {
			beats <- w
		}
	})
	env.RegisterActivityWithOptions(func(context.Context) error {
		require.Equal(t, activities.Waited{Locks: 20 * time.Second}, <-beats)
		return nil
	}, activity.RegisterOptions{Name: "Work"})
	_, err := env.ExecuteActivity("Work")
	require.NoError(t, err)
}
