package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"drawbridge/internal/fault"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

// order is a workflow to start.
type order struct {
	id       string
	workflow string
	input    any
	summary  string // one line
	details  string // Markdown
	memo     map[string]any
	// pipeline, environment and release are search attributes.
	pipeline, environment, release string
	// timeout ends a workflow that only answers a question; 0 is no end.
	timeout time.Duration
}

// What the server takes of a summary and of details is 400 and 20,000 bytes; an encrypting codec makes them longer.
const (
	longestSummary = 200
	longestDetails = 10_000
)

// cut shortens a text to at most limit bytes of whole characters.
func cut(text string, limit int) string {
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// errRunning says that a workflow of this ID runs already.
var errRunning = errors.New("it runs already")

// begin starts a workflow, and never a second one of the same ID: that is errRunning. Where the search attributes are not
// registered it starts without, and says once how to register them.
func (a *app) begin(ctx context.Context, o order) (talk, error) {
	c, err := a.temporal(ctx)
	if err != nil {
		return talk{}, err
	}
	options := client.StartWorkflowOptions{
		ID: o.id, TaskQueue: workflows.Queue,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowExecutionTimeout:                 o.timeout,
		StaticSummary:                            cut(o.summary, longestSummary),
		StaticDetails:                            cut(o.details, longestDetails),
		Memo:                                     o.memo,
		TypedSearchAttributes:                    o.attributes(),
	}
	run, err := c.ExecuteWorkflow(ctx, options, o.workflow, o.input)
	if unregistered(err) {
		fmt.Fprintf(a.Stderr, "%s search attributes are not registered; going on without them (the inbox is slower)\n→ %s\n",
			a.style(a.Stderr).yellow("note:"), temporalx.RegisterLine(workflows.Attributes()))
		options.TypedSearchAttributes = temporal.SearchAttributes{}
		run, err = c.ExecuteWorkflow(ctx, options, o.workflow, o.input)
	}
	if _, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		return talk{client: c, id: o.id}, errRunning
	}
	if err != nil {
		return talk{}, fmt.Errorf("start %s: %w", o.id, err)
	}
	return talk{client: c, id: o.id, run: run.GetRunID()}, nil
}

func (o order) attributes() temporal.SearchAttributes {
	set := func(name, value string) temporal.SearchAttributeUpdate {
		return temporal.NewSearchAttributeKeyKeyword(name).ValueSet(value)
	}
	return temporal.NewSearchAttributes(
		set(workflows.PipelineAttribute, o.pipeline), set(workflows.EnvironmentAttribute, o.environment),
		set(workflows.ReleaseAttribute, o.release), set(workflows.StageAttribute, string(workflows.StagePlanning)),
		set(workflows.GateAttribute, ""))
}

// unregistered says that the server does not know our search attributes. It has no error of its own for that.
func unregistered(err error) bool {
	invalid, ok := errors.AsType[*serviceerror.InvalidArgument](err)
	return ok && (strings.Contains(invalid.Message, "search attribute") || strings.Contains(invalid.Message, "Drawbridge"))
}

// questionTimeout ends a question that no worker could answer.
const questionTimeout = 30 * time.Minute

// ask starts a workflow that only reads and returns its answer. Where no worker polls it says so at once and asks nothing.
// Interrupted, it withdraws the question.
func ask[T any](ctx context.Context, a *app, kind string, o order, environments []string) (T, error) {
	var answer T
	c, err := a.temporal(ctx)
	if err != nil {
		return answer, err
	}
	need := queues(environments)
	if missing := unpolled(ctx, c, a.Now(), need); len(missing) > 0 {
		return answer, noWorker(missing)
	}
	o.id = workflows.QuestionID(kind, o.pipeline, strings.ToLower(rand.Text()[:8]))
	o.timeout = questionTimeout
	t, err := a.begin(ctx, o)
	if err != nil {
		return answer, err
	}
	done := make(chan error, 1)
	go func() { done <- c.GetWorkflow(ctx, t.id, t.run).Get(ctx, &answer) }()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	said := attendance{screen: &teller{app: a}}
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil {
				withdraw(ctx, t)
			}
			return answer, t.explain(err)
		case <-look.C:
			said.look(unpolled(ctx, c, a.Now(), need))
		}
	}
}

// withdraw cancels a question that nobody waits for any more. It only reads, so an error harms nothing.
func withdraw(ctx context.Context, t talk) {
	calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	_ = t.client.CancelWorkflow(calm, t.id, t.run)
}

// follow shows a workflow until it ends or asks, and returns the exit code as an error. The story begins after the event
// that was told last; nil is its beginning.
func (a *app) follow(ctx context.Context, t talk, environments []string, p patience, told *workflows.Event) error {
	need := queues(environments)
	s, err := follower{
		talk: t, patience: p, screen: &teller{app: a, told: told}, every: followEvery, look: lookEvery,
		missing: func(ctx context.Context) []queue { return unpolled(ctx, t.client, a.Now(), need) },
	}.follow(ctx)
	if interrupted(ctx, err) {
		fmt.Fprintf(a.Stderr, "\n%s goes on without you.\n→ look again: drawbridge status %s --watch\n→ stop it: drawbridge cancel %s\n", t.id, t.id, t.id)
		return exitInterrupt.err()
	}
	if err != nil {
		return err
	}
	return a.conclude(t.id, s)
}

// conclude shows how a followed workflow stands and returns its exit code.
func (a *app) conclude(id string, s workflows.Status) error {
	if a.json {
		if err := a.print(view{ID: id, Status: s}); err != nil {
			return err
		}
	} else {
		a.showStatus(id, s, nil)
	}
	return exitOf(s).err()
}

// running refuses to start what runs already, and says what that is.
func (a *app) running(ctx context.Context, t talk) error {
	reason := "it runs already"
	if s, err := t.Status(ctx); err == nil {
		reason = fmt.Sprintf("%s by %s runs already, %s: %s", title(s), s.By, s.Stage, s.Sentence)
	}
	return fault.Newf(fault.Refused, "start", t.id, "see it: drawbridge status "+t.id+"; or end it: drawbridge cancel "+t.id, reason)
}
