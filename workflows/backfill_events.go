package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/workflows/conduct"
)

// stallAfter is how long a backfill that could go on may publish nothing until people are told.
const stallAfter = 10 * time.Minute

// watchForStalls tells, once until it goes on, that nothing was published or built for a while although nobody holds it up who knows of
// it: not while it is paused, or waits at a gate.
func (b *filling) watchForStalls(ctx workflow.Context) {
	goes := func() bool {
		stage := b.Header().Stage
		return stage == conduct.StageCrossing || stage.Finished()
	}
	for since := workflow.Now(ctx); ; {
		if !goes() { // no timer runs while a person holds it, for weeks maybe
			if workflow.Await(ctx, goes) != nil {
				return
			}
			since = workflow.Now(ctx)
		}
		if workflow.NewTimerWithOptions(ctx, stallAfter-workflow.Now(ctx).Sub(since), workflow.TimerOptions{Summary: "does it go on?"}).Get(ctx, nil) != nil {
			return
		}
		s, now := b.state, workflow.Now(ctx)
		if b.Header().Stage.Finished() {
			return
		}
		if !goes() {
			continue
		}
		if s.Last.After(since) {
			since = s.Last
		}
		if now.Sub(since) < stallAfter {
			continue
		}
		if s.Stalled.IsZero() {
			s.Stalled = since
			b.Tell(ctx, b.at("stall"), fmt.Sprintf("stalled: nothing was done for %s%s", stallAfter, b.because()))
		}
		since = now
	}
}

// because is the last that is known of why it does not go on.
func (b *filling) because() string {
	if why := b.state.Load.Why; why != "" {
		return ": " + why
	}
	if events := b.Header().Events; len(events) > 0 {
		return "; the last that is known: " + events[len(events)-1].Text
	}
	return ""
}
