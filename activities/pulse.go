package activities

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/partition"
)

// beat is well below the heartbeat timeout of build activities, so that one late beat does not end an attempt.
const beat = 2 * time.Second

// pulse heartbeats while a build works and turns its progress into log lines. It beats only as long as the work reports
// or the database works on a statement; the activity's context ends with the heartbeat's answer, so a cancelled or
// superseded attempt stops at its next statement.
type pulse struct {
	ctx  context.Context
	done chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	last Progress
}

// newPulse starts the heartbeat of one partition.
func newPulse(ctx context.Context, partition partition.Key) *pulse {
	p := &pulse{ctx: ctx, done: make(chan struct{}), last: Progress{Stage: "start", Partition: partition}}
	activity.RecordHeartbeat(ctx, p.last)
	p.wg.Go(func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
				p.mu.Lock()
				last := p.last
				p.mu.Unlock()
				activity.RecordHeartbeat(ctx, last)
			}
		}
	})
	return p
}

// report takes the progress of a build: the next heartbeat carries it, and a stage's or check's begin and end are logged.
func (p *pulse) report(g Progress) {
	p.mu.Lock()
	p.last = g
	p.mu.Unlock()
	logProgress(p.ctx, g)
}

// stop ends the heartbeat.
func (p *pulse) stop() {
	close(p.done)
	p.wg.Wait()
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
	if g.Check != "" {
		fields = append(fields, "check", g.Check, "threshold", g.Limit, "outcome", g.Outcome)
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
