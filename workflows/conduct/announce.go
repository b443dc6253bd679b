package conduct

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/notice"
)

// Announce is the activity that notes what people are to be told. Sending it is another one's work, which no workflow waits for whose
// event it is.
const Announce Call[announcing, activities.AnnounceInput, None] = "Announce"

// announcing is short work that a workflow's end waits for, and no longer than for any other effect.
type announcing struct{}

func (announcing) Queue() Queue { return ControlQueue }

func (announcing) In(environment, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: ControlQueue.Of(environment), ScheduleToCloseTimeout: announceWait, StartToCloseTimeout: time.Minute, HeartbeatTimeout: announceLost,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Second}, Summary: summary,
	}
}

const (
	// announceWait is long enough for a failover of Postgres.
	announceWait = 10 * time.Minute
	// announceLost is the silence after which a worker counts as gone.
	announceLost = 8 * time.Second
)

// announcement is an event that is not noted yet.
type announcement struct {
	environment string
	event       notice.Event
}

// Listen says that people are told what happens in an environment, of the workflow that target names. Where nobody listens nothing is
// announced.
func (c *Conductor) Listen(target activities.Target) { c.listeners[target.Environment] = target }

// Listens says whether anybody is told what happens in an environment.
func (c *Conductor) Listens(environment string) bool {
	_, ok := c.listeners[environment]
	return ok
}

// Tellable is what people are told: the event, with a key that tells it from others of its kind.
func (c *Conductor) tellable(ctx workflow.Context, e notice.Event) notice.Event {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	e.At, e.Workflow, e.Plan = workflow.Now(ctx).UTC(), id, c.head.Plan
	if e.By == "" {
		e.By = c.head.By
	}
	if c.head.Release.Version != "" {
		e.Release = c.head.Release.String()
	}
	if len(e.Commands) == 0 {
		e.Commands = []string{"drawbridge status " + id}
	}
	return e
}

// Announce has people told of an event in an environment, once for its kind and ID; of no environment: in all where people listen.
// It waits for nobody.
func (c *Conductor) Announce(ctx workflow.Context, environment string, e notice.Event) {
	for _, env := range workflow.DeterministicKeys(c.listeners) {
		if environment == "" || environment == env {
			c.unsaid = append(c.unsaid, announcement{environment: env, event: c.tellable(ctx, e)})
		}
	}
	if len(c.unsaid) == 0 || c.announcing {
		return
	}
	c.announcing = true
	calm, _ := workflow.NewDisconnectedContext(ctx)
	workflow.GoNamed(calm, "announce", c.announce)
}

// announce notes one after another what is to be told, so that nothing overtakes what came before it.
func (c *Conductor) announce(ctx workflow.Context) {
	for len(c.unsaid) > 0 {
		next := c.unsaid[0]
		c.unsaid = c.unsaid[1:]
		in := activities.AnnounceInput{Target: c.listeners[next.environment], Events: []notice.Event{next.event}}
		if _, err := Announce.Try(ctx, next.environment, "tell people: "+string(next.event.Kind), in); err != nil {
			workflow.GetLogger(ctx).Warn("people are not told", "event", next.event.Kind, "environment", next.environment, "error", err)
		}
	}
	c.announcing = false
}

// opened announces a gate that opens.
func (c *Conductor) opened(ctx workflow.Context, q *question) {
	e := notice.Event{
		ID: q.Name, Kind: notice.GateOpened, Gate: q.Name, What: q.Question, Why: q.Verdict.Reason, Numbers: Numbers(q.Verdict.Evidence),
		Commands: q.Commands(workflow.GetInfo(ctx).WorkflowExecution.ID),
	}
	if !q.Endless {
		deadline := q.Deadline().UTC()
		e.Deadline = &deadline
	}
	c.Announce(ctx, q.at.Environment, e)
}

// closed announces that a gate was decided.
func (c *Conductor) closed(ctx workflow.Context, q *question) {
	c.Announce(ctx, q.at.Environment, notice.Event{ID: q.Name, Kind: notice.GateDecided, Gate: q.Name, What: q.Why, Why: q.Question})
}

// ended announces how a workflow ended, where its kind has something to say of that.
func (c *Conductor) ended(ctx workflow.Context, environment string) {
	h, id := c.head, workflow.GetInfo(ctx).WorkflowExecution.ID
	e := notice.Event{What: string(h.Stage) + ": " + h.Sentence, Why: h.Hint}
	switch h.Kind {
	case "deployment", "rollback", "recovery":
		switch {
		case h.Stage == StageStuck:
			e.Kind = notice.DeploymentStuck
		case h.Stage == StageRolledBack, h.Stage == StageDone && h.Kind == "rollback":
			e.Kind = notice.DeploymentRolledBack
		case h.Stage == StageRefused && h.Kind == "deployment":
			e.Kind = notice.DeploymentRefused
		default: // what went live was told when it did
			return
		}
	case "run":
		if h.Stage == StageDone {
			return
		}
		e = activities.RunFailed(id, h.By, h.Sentence, workflow.Now(ctx))
	case "scheduled":
		if h.Stage == StageDone {
			return
		}
		e = notice.Event{
			Kind: notice.ScheduleMissed, What: id + " has not published all that was due", Why: h.Sentence,
			Commands: []string{fmt.Sprintf("drawbridge gaps %s --env %s", h.Pipeline, environment), "drawbridge status " + id},
		}
	case "backfill":
		e.Kind = notice.BackfillEnded
	case "migration":
		e.Kind = notice.MigrationEnded
	default:
		return
	}
	c.Announce(ctx, environment, e)
}

// Numbers are what is told of a verdict's evidence.
func Numbers(all []gate.Evidence) []notice.Number {
	numbers := make([]notice.Number, len(all))
	for i, e := range all {
		numbers[i] = notice.Number{Name: e.Name, Value: e.Value, Limit: e.Limit, Outcome: string(e.Outcome)}
	}
	return numbers
}
