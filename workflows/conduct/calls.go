package conduct

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Queue is where an activity of an environment runs.
type Queue string

// The queues of an environment: short control work, and loads, builds and comparisons.
const (
	ControlQueue Queue = "control"
	BuildQueue   Queue = "build"
)

// Of is the name of the queue in an environment.
func (q Queue) Of(environment string) string {
	if q == BuildQueue {
		return "drawbridge-" + environment + "-build"
	}
	return "drawbridge-" + environment
}

// Options are the ways in which activities run: each is a type, so that a call names its own.
type Options interface {
	Queue() Queue
	// In are the options in an environment; the summary is what the Web UI shows.
	In(environment, summary string) workflow.ActivityOptions
}

// Call is one activity: its name on the wire, how it runs, what it takes and what it answers.
type Call[O Options, In, Out any] string

// None is the answer of an activity that has none.
type None struct{}

// Activity is an activity as the registry lists it.
type Activity struct {
	Name  string
	Queue Queue
	By    []string // the types of workflows that call it
}

// Bound is an activity with the function that does it.
type Bound struct {
	Activity
	Func any
}

// Activity returns the call's line in the registry.
func (call Call[O, In, Out]) Activity() Activity {
	var o O
	return Activity{Name: string(call), Queue: o.Queue()}
}

// By is the call's line in the registry, with the types of workflows that make it.
func (call Call[O, In, Out]) By(workflows ...string) Activity {
	a := call.Activity()
	a.By = workflows
	return a
}

// Bind joins the call to what does it.
func (call Call[O, In, Out]) Bind(f func(context.Context, In) (Out, error)) Bound {
	return Bound{Activity: call.Activity(), Func: f}
}

// Effect joins a call without an answer to what does it.
func Effect[O Options, In any](call Call[O, In, None], f func(context.Context, In) error) Bound {
	return call.Bind(func(ctx context.Context, in In) (None, error) { return None{}, f(ctx, in) })
}

// Do runs the activity. A fault is the caller's to decide upon; what could not be run at all, after its retries, is asked
// about at the environment's outage gate: retry, or reject.
func (call Call[O, In, Out]) Do(ctx workflow.Context, c *Conductor, at Scope, summary string, in In) (Out, error) {
	for {
		out, err := call.Try(ctx, at.Environment, summary, in)
		if err == nil || cancelled(err) {
			return out, err
		}
		if class, _ := faultOf(err); class != "" {
			return out, err
		}
		if err := c.outage(ctx, at, err); err != nil {
			return out, err
		}
	}
}

// Try runs the activity and asks nobody: what could not be run, after its retries, is an error.
func (call Call[O, In, Out]) Try(ctx workflow.Context, environment, summary string, in In) (Out, error) {
	return call.Start(ctx, environment, summary, in).Get(ctx)
}

// soon is how long a person waits for an answer at most, whatever died meanwhile, workers that are not there included.
const soon = time.Minute

// Soon is Try for a person who waits for the answer: it gives up early and says why.
func (call Call[O, In, Out]) Soon(ctx workflow.Context, environment, summary string, in In) (Out, error) {
	var o O
	opts := o.In(environment, summary)
	opts.RetryPolicy = &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 2, MaximumAttempts: 4}
	opts.ScheduleToCloseTimeout = soon
	return call.start(ctx, opts, in).Get(ctx)
}

// Tidy runs an activity whose failure changes nothing for readers: it is told, and left for the next time.
func (call Call[O, In, Out]) Tidy(ctx workflow.Context, c *Conductor, at Scope, summary string, in In) error {
	_, err := call.Soon(ctx, at.Environment, summary, in)
	if err == nil || cancelled(err) {
		return err
	}
	c.Tell(ctx, at, "left for the next time: "+summary+": "+Reason(err))
	return nil
}

// Pending is an answer that has not come yet.
type Pending[Out any] struct{ future workflow.Future }

// Start runs the activity and does not wait for it.
func (call Call[O, In, Out]) Start(ctx workflow.Context, environment, summary string, in In) Pending[Out] {
	var o O
	return call.start(ctx, o.In(environment, summary), in)
}

func (call Call[O, In, Out]) start(ctx workflow.Context, opts workflow.ActivityOptions, in In) Pending[Out] {
	return Pending[Out]{workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, opts), string(call), in)}
}

// Get waits for the answer.
func (p Pending[Out]) Get(ctx workflow.Context) (Out, error) {
	var out Out
	err := p.future.Get(ctx, &out)
	return out, err
}
