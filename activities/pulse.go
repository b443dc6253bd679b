package activities

import (
	"context"
	"sync"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/partition"
)

// pulse heartbeats while a partition is built or verified, until stop is called. The activity's context ends with a
// heartbeat's answer, so a cancelled or superseded attempt stops at its next statement. report takes the progress: the
// next heartbeat carries it, and the begin and end of a stage or check are logged.
func pulse(ctx context.Context, key partition.Key) (report func(Progress), stop func()) {
	var mu sync.Mutex
	last := Progress{Stage: "start", Partition: key}
	resume := beatsItself(ctx)
	activity.RecordHeartbeat(ctx, last)
	still := beating(ctx, func() {
		mu.Lock()
		current := last
		mu.Unlock()
		activity.RecordHeartbeat(ctx, current)
	})
	report = func(g Progress) {
		mu.Lock()
		last = g
		mu.Unlock()
		logProgress(ctx, g)
	}
	stop = func() {
		still()
		resume()
	}
	return report, stop
}

// logProgress writes one line for the start or the end of a stage or check; a middle is not logged.
func logProgress(ctx context.Context, g Progress) {
	if g.Middle {
		return
	}
	info := activity.GetInfo(ctx)
	fields := []any{
		"correlation_id", info.WorkflowExecution.ID, "stage", g.Stage, "phase", phase(g.Done),
		"output", g.Output, "partition", g.Partition, "load", g.Load, "rows_in", g.RowsIn, "rows_out", g.RowsOut, "seconds", g.Seconds,
	}
	if g.Outcome != "" {
		fields = append(fields, "outcome", g.Outcome)
	}
	if g.Check != "" {
		fields = append(fields, "check", g.Check, "threshold", g.Limit)
		if g.Value != nil {
			fields = append(fields, "value", *g.Value)
		}
	}
	activity.GetLogger(ctx).Info(g.Stage, fields...)
}

func phase(done bool) string {
	if done {
		return "end"
	}
	return "start"
}
