package activities_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"drawbridge/activities"
	"drawbridge/internal/fault"
)

func TestFaultsLeaveActivitiesWithTheirClassAndAreNotRetried(t *testing.T) {
	t.Parallel()
	for _, class := range fault.Classes() {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			cause := fault.Newf(class, "publish", "fct_orders", "plan again", "it moved")
			app := run(t, fmt.Errorf("step 3: %w", cause))
			require.Equal(t, string(class), app.Type())
			require.True(t, app.NonRetryable())
			require.Equal(t, "step 3: publish fct_orders: it moved", app.Message())
			var detail activities.Fault
			require.NoError(t, app.Details(&detail))
			require.Equal(t, activities.Fault{Op: "publish", Object: "fct_orders", Hint: "plan again"}, detail)
		})
	}
	t.Run("a transient error stays retryable", func(t *testing.T) {
		t.Parallel()
		require.False(t, run(t, errors.New("connection reset")).NonRetryable())
	})
}

func TestNoTextWithoutABoundLeavesAnActivity(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a name, ", 100_000)
	for name, err := range map[string]error{
		"of a fault":           fmt.Errorf("%s: %w", long, fault.Newf(fault.Invalid, "load", "f.csv", "shorten it", long)),
		"of a transient error": fmt.Errorf("look: %w", fmt.Errorf("again: %w", errors.New(long))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := run(t, err)
			require.LessOrEqual(t, len(app.Message()), fault.MaxText)
			for cause := errors.Unwrap(app); cause != nil; cause = errors.Unwrap(cause) {
				require.LessOrEqual(t, len(cause.Error()), fault.MaxText)
			}
		})
	}
}

const planted = "hunter2-S3cret"

func redact(text string) string { return strings.ReplaceAll(text, planted, "[redacted]") }

func TestNoSecretLeavesAnActivityInAnError(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("dial " + planted),
		fmt.Errorf("step %s: %w", planted, fault.Newf(fault.Refused, "open "+planted, "db "+planted, "use "+planted, "no "+planted)),
	} {
		app := run(t, err)
		require.Contains(t, app.Message(), "[redacted]")
		require.NotContains(t, app.Message(), planted)
		require.Equal(t, fault.ClassOf(err) != "", app.NonRetryable())
		if app.HasDetails() {
			var detail activities.Fault
			require.NoError(t, app.Details(&detail))
			require.Equal(t, activities.Fault{Op: "open [redacted]", Object: "db [redacted]", Hint: "use [redacted]"}, detail)
		}
	}
}

// run returns what an activity's error is for the workflow that called it.
func run(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.NewFaultInterceptor(redact)}})
	env.RegisterActivityWithOptions(func(context.Context) error { return err }, activity.RegisterOptions{Name: "Fail"})
	_, got := env.ExecuteActivity("Fail")
	var app *temporal.ApplicationError
	require.ErrorAs(t, got, &app)
	return app
}
