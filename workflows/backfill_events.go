package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/notice"
	"drawbridge/workflows/conduct"
)

// stallAfter is how long a backfill that could go on may publish nothing until people are told.
const stallAfter = 10 * time.Minute

// listen lets people be told what happens, once the backfill has begun.
func (b *filling) listen() {
	if b.state.Tells && b.state.Target.Tenure != 0 {
		b.Listen(b.state.Target)
	}
}

func (b *filling) tell(ctx workflow.Context, kind notice.Kind, id, what, why string, numbers ...notice.Number) {
	me := workflow.GetInfo(ctx).WorkflowExecution.ID
	b.Announce(ctx, b.in.Environment, notice.Event{
		ID: id, Kind: kind, What: what, Why: why, Numbers: append(numbers, b.numbers()...),
		Commands: []string{"drawbridge status " + me, "drawbridge pause " + me + " --reason TEXT", "drawbridge cancel " + me},
	})
}

// numbers are how far it is.
func (b *filling) numbers() []notice.Number {
	numbers := []notice.Number{{Name: "partitions published", Value: fmt.Sprintf("%d of %d", b.state.Published, b.state.Plan.Partitions)}}
	if n := len(b.state.Line.Failed); n > 0 {
		numbers = append(numbers, notice.Number{Name: "partitions failed", Value: fmt.Sprint(n), Limit: fmt.Sprint(b.state.MaxFailures)})
	}
	return numbers
}

// started tells that it builds from here on, by the plan of its round.
func (b *filling) started(ctx workflow.Context) {
	p := b.state.Plan
	b.tell(ctx, notice.BackfillStarted, fmt.Sprintf("round-%d", b.state.Round),
		fmt.Sprintf("%s to %s is built again in %s with %s", b.in.Ask.From, b.in.Ask.To, b.in.Environment, p.Release), b.in.Reason, notice.Number{Name: "estimate", Value: p.Estimate.String()})
}

// tooMany tells that it holds, because more have failed than may.
func (b *filling) tooMany(ctx workflow.Context) {
	s := b.state
	b.tell(ctx, notice.BackfillFailures, fmt.Sprintf("try-%d-%d", s.Tries, s.Line.Retries),
		fmt.Sprintf("the backfill in %s holds: %s failed, more than %d", b.in.Environment, count(len(s.Line.Failed), "partition"), s.MaxFailures),
		strings.Join(firstOf(s.Line.Names()), ", "))
}

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
			why := b.because()
			b.tell(ctx, notice.BackfillStalled, fmt.Sprintf("since-%d", s.Last.Unix()), fmt.Sprintf("the backfill in %s has done nothing for %s", b.in.Environment, stallAfter), why)
			b.Tell(ctx, b.at("stall"), fmt.Sprintf("stalled: nothing was done for %s: %s", stallAfter, why))
		}
		since = now
	}
}

// because is the last that is known of why it does not go on.
func (b *filling) because() string {
	if why := b.state.Load.Why; why != "" {
		return why
	}
	if events := b.Header().Events; len(events) > 0 {
		return "the last that is known: " + events[len(events)-1].Text
	}
	return "why is not known"
}
