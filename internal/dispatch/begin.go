package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"drawbridge/internal/fault"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// Order is a workflow to start.
type Order struct {
	ID       string
	Workflow string
	Input    any
	Summary  string // one line
	Details  string // Markdown
	// Pipeline, Release, Plan and By are what is known before the workflow says it. They go into search attributes and memo.
	Pipeline, Release, Plan, By string
	// Environments are those whose workers it needs, in the order in which it needs them.
	Environments []string
	// Twin is an ID under which the same may run already; empty: there is none.
	Twin string
	// Turn is the ID under which questions are asked one after the other; empty: this one waits for no other.
	Turn string
	// Longest ends a question that takes longer; 0: the usual time.
	Longest time.Duration
	// timeout ends a workflow that only answers a question; 0 is no end.
	timeout time.Duration
	// untaken is how long a question may lie; 0: the usual time.
	untaken time.Duration
	// said are the queues of which it was told already that no worker answers there.
	said string
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

// Begin starts a workflow, and never a second one of the same ID, nor beside its twin: that is Refused, with what runs.
func (d *Desk) Begin(ctx context.Context, o Order) (Talk, error) {
	if o.Twin != "" {
		found, err := d.Client.DescribeWorkflowExecution(ctx, o.Twin, "")
		if _, missing := errors.AsType[*serviceerror.NotFound](err); err != nil && !missing {
			return Talk{}, fmt.Errorf("look for %s: %w", o.Twin, err)
		}
		if found.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			return Talk{}, d.Talk(o.Twin).running(ctx)
		}
	}
	t, err := d.start(ctx, o)
	if errors.Is(err, errRunning) {
		return Talk{}, t.running(ctx)
	}
	return t, err
}

// start starts a workflow. Where the search attributes are not registered it starts without, and says so.
func (d *Desk) start(ctx context.Context, o Order) (Talk, error) {
	if err := o.check(); err != nil {
		return Talk{}, err
	}
	options := client.StartWorkflowOptions{
		ID: o.ID, TaskQueue: workflows.Queue,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowExecutionTimeout:                 o.timeout,
		StaticSummary:                            cut(o.Summary, longestSummary),
		StaticDetails:                            cut(o.Details, longestDetails),
		Memo:                                     o.memo(d.Now()),
		TypedSearchAttributes:                    o.attributes(),
	}
	run, err := d.Client.ExecuteWorkflow(ctx, options, o.Workflow, o.Input)
	if unregistered(err) {
		d.Listener.Unregistered()
		options.TypedSearchAttributes = temporal.SearchAttributes{}
		run, err = d.Client.ExecuteWorkflow(ctx, options, o.Workflow, o.Input)
	}
	if _, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		return d.Talk(o.ID), errRunning
	}
	if err != nil {
		return Talk{}, fmt.Errorf("start %s: %w", o.ID, err)
	}
	return Talk{client: d.Client, ID: o.ID, Run: run.GetRunID()}, nil
}

// check refuses what is no name. Names go into IDs and search attributes, which everybody reads and nothing takes back: what was
// pasted there by mistake may be a secret, and is not repeated.
func (o Order) check() error {
	for what, names := range map[string][]string{"pipeline": {o.Pipeline}, "release": {o.Release}, "environment": o.Environments} {
		for _, name := range names {
			if len(name) > longestName || strings.ContainsFunc(name, func(r rune) bool {
				return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.+", r)
			}) {
				return fault.Newf(fault.Invalid, "start", o.Workflow, "write it with letters, digits and one of _ - . +", "the name of the "+what+" is none")
			}
		}
	}
	return nil
}

// longestName bounds the names of pipelines, releases and environments.
const longestName = 128

// memo is what the server says of the workflow while no worker answers.
func (o Order) memo(now time.Time) map[string]any {
	return map[string]any{
		since:      now.UTC().Format(time.RFC3339Nano),
		"pipeline": o.Pipeline, "release": o.Release, "plan": o.Plan, "by": o.By, "environments": strings.Join(o.Environments, ","),
	}
}

func (o Order) attributes() temporal.SearchAttributes {
	set := func(name, value string) temporal.SearchAttributeUpdate {
		return temporal.NewSearchAttributeKeyKeyword(name).ValueSet(value)
	}
	first := ""
	if len(o.Environments) > 0 {
		first = o.Environments[0]
	}
	return temporal.NewSearchAttributes(
		set(workflows.PipelineAttribute, o.Pipeline), set(workflows.EnvironmentAttribute, first),
		set(workflows.ReleaseAttribute, o.Release), set(workflows.StageAttribute, string(workflows.StagePlanning)),
		set(workflows.GateAttribute, ""))
}

// unregistered says that the server does not know our search attributes. It has no error of its own for that.
func unregistered(err error) bool {
	invalid, ok := errors.AsType[*serviceerror.InvalidArgument](err)
	return ok && (strings.Contains(invalid.Message, "search attribute") || strings.Contains(invalid.Message, "Drawbridge"))
}

// running refuses to start what runs already, and says what that is.
func (t Talk) running(ctx context.Context) error {
	reason := errRunning.Error()
	if s, err := t.Status(ctx); err == nil {
		reason = fmt.Sprintf("%s by %s runs already, %s: %s", view.Title(s), s.By, s.Stage, s.Sentence)
	}
	return fault.Newf(fault.Refused, "start", t.ID, "see it: drawbridge status "+t.ID+"; or end it: drawbridge cancel "+t.ID, reason)
}
