package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/effect"
	"drawbridge/workflows/conduct"
)

// ControlQueue is the task queue of an environment's short control work: observe, publish, compensate.
func ControlQueue(environment string) string { return conduct.ControlQueue.Of(environment) }

// BuildQueue is the task queue of an environment's long work: loads, builds, comparisons.
func BuildQueue(environment string) string { return conduct.BuildQueue.Of(environment) }

// retry is for every effect: transient failures are tried again for about ten minutes, long enough for a failover of
// Postgres; then a person is asked. Faults are not retried: they say so themselves.
func retry() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{
		InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Second, MaximumAttempts: 45,
	}
}

// lost is the silence after which a worker counts as gone and another takes over.
const lost = 8 * time.Second

// control is short work. An attempt that outlives a minute is lost, and one whose worker is gone within seconds; none of it
// waits for locks.
type control struct{}

func (control) Queue() conduct.Queue { return conduct.ControlQueue }

func (control) In(environment, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ControlQueue(environment), StartToCloseTimeout: time.Minute, HeartbeatTimeout: lost, RetryPolicy: retry(), Summary: summary,
	}
}

// settling is short work whose outcome the workflow has to know: it decides what there is to take back. A cancelled one is
// waited for.
type settling struct{ control }

func (settling) In(environment, summary string) workflow.ActivityOptions {
	opts := control{}.In(environment, summary)
	opts.WaitForCancellation = true
	return opts
}

// observing is to look at an environment. Where no file name says which partitions there are, the files are loaded to find
// out, which takes as long as that.
type observing struct{}

func (observing) Queue() conduct.Queue { return conduct.ControlQueue }

func (observing) In(environment, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ControlQueue(environment), StartToCloseTimeout: 6 * time.Hour, HeartbeatTimeout: lost, RetryPolicy: retry(), Summary: summary,
	}
}

// entering is observing whose outcome the workflow has to know. A cancelled one is waited for.
type entering struct{ observing }

func (entering) In(environment, summary string) workflow.ActivityOptions {
	opts := observing{}.In(environment, summary)
	opts.WaitForCancellation = true
	return opts
}

// swapping waits for locks and snapshots within the policy's budgets and heartbeats meanwhile. A cancelled publish is waited
// for, so that a compensation never overtakes it.
type swapping struct{}

func (swapping) Queue() conduct.Queue { return conduct.ControlQueue }

func (swapping) In(environment, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ControlQueue(environment), StartToCloseTimeout: time.Hour, HeartbeatTimeout: lost, RetryPolicy: retry(),
		WaitForCancellation: true, Summary: summary,
	}
}

// altering is swapping that may read a whole table, or build an index on it.
type altering struct{ swapping }

func (altering) In(environment, summary string) workflow.ActivityOptions {
	opts := swapping{}.In(environment, summary)
	opts.StartToCloseTimeout = 24 * time.Hour
	return opts
}

// building is loads, builds and comparisons, which may take hours. A cancelled one is waited for.
type building struct{}

func (building) Queue() conduct.Queue { return conduct.BuildQueue }

func (building) In(environment, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: BuildQueue(environment), StartToCloseTimeout: 24 * time.Hour, HeartbeatTimeout: lost, RetryPolicy: retry(),
		WaitForCancellation: true, Summary: summary,
	}
}

// aside is work that no change waits for. Where no worker takes it up it is given up soon, and done another time.
type aside struct{}

func (aside) Queue() conduct.Queue { return conduct.ControlQueue }

func (aside) In(environment, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ControlQueue(environment), ScheduleToStartTimeout: untaken, StartToCloseTimeout: 6 * time.Hour, HeartbeatTimeout: lost,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 3}, Summary: summary,
	}
}

// examining is aside for a person who waits for the answer, however long it takes to find.
type examining struct{ aside }

func (examining) In(environment, summary string) workflow.ActivityOptions {
	opts := aside{}.In(environment, summary)
	opts.ScheduleToStartTimeout = untakenLook
	return opts
}

const (
	// untaken is how long work that nobody waits for lies until it counts as nobody's, untakenLook what a person waits for.
	untaken     = time.Minute
	untakenLook = 15 * time.Second
)

// owner is the workflow that effects belong to.
func owner(ctx workflow.Context) effect.Owner { return conduct.Owner(ctx) }
