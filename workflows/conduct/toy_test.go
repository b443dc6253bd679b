package conduct_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/workflows/conduct"
)

// short is how the toy's activities run: what cannot be run is given up after two tries.
type short struct{}

func (short) Queue() conduct.Queue { return conduct.ControlQueue }

func (short) In(environment, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue: "toy-" + environment, StartToCloseTimeout: time.Hour, Summary: summary,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 2},
	}
}

const (
	work conduct.Call[short, int, string]          = "Work"
	undo conduct.Call[short, string, conduct.None] = "Undo"
)

// toyInput says what a toy does.
type toyInput struct {
	Items       int
	Lanes       int
	MaxFailures int
	// Ask has every item ask at a gate of its own.
	Ask bool
	// Gates are asked one after another, before the items.
	Gates int
	// Published says that something is visible when the body ends badly; Left is what cannot be turned back.
	Published bool
	Left      []string
	State     *toyState
}

type toyState struct {
	Header conduct.Header
	Line   conduct.LineState
	Done   []int
}

// toyStatus is a header and the items in the order of their delivery.
type toyStatus struct {
	conduct.Header
	Done []int             `json:"done"`
	Line conduct.LineState `json:"line"`
	// No are the people who wanted it back.
	No []string `json:"no,omitempty"`
}

type toy struct {
	*conduct.Conductor
	in   toyInput
	line conduct.LineState
	done []int
	no   []string
}

func (y *toy) Status(h conduct.Header) any { return toyStatus{Header: h, Done: y.done, Line: y.line} }

func (y *toy) Details() []string { return []string{fmt.Sprintf("%d delivered", len(y.done))} }

func play(ctx workflow.Context, in toyInput) (toyStatus, error) {
	y := &toy{in: in}
	h := conduct.Header{Kind: "toy", Pipeline: "shop", Plan: "sha256:0123456789abcdef", By: "ann", Stage: conduct.StagePlanning}
	if in.State != nil {
		h, y.line, y.done = in.State.Header, in.State.Line, in.State.Done
	}
	var err error
	y.Conductor, err = conduct.Open(ctx, h, y, conduct.Pause, conduct.Resume, conduct.Cancel, conduct.SetLanes, conduct.RetryFailed, conduct.Skip)
	if err != nil {
		return toyStatus{}, err
	}
	y.Rule("prod", gate.Approval{Required: true, Approvers: []string{"bob", "carol"}, Quorum: 2, FourEyes: true})
	err = y.Run(ctx, "play", y.body, y.back)
	return toyStatus{Header: y.Header(), Done: y.done, Line: y.line, No: y.no}, err
}

func (y *toy) body(ctx workflow.Context) error {
	at := conduct.Scope{Environment: "prod", Step: "items"}
	y.At(ctx, conduct.StageCrossing, at, "working")
	for range y.in.Gates {
		if _, err := y.Ask(ctx, at, question("again")); err != nil {
			return err
		}
	}
	for !y.line.Over(y.in.Items) {
		err := conduct.Line[string]{
			At: at, Total: y.in.Items, Lanes: y.in.Lanes, MaxFailures: y.in.MaxFailures,
			Name: func(item int) string { return fmt.Sprintf("item-%d", item) },
			Do:   y.item,
			Deliver: func(_ workflow.Context, item int, _ string) error {
				y.done = append(y.done, item)
				return nil
			},
		}.Run(ctx, y.Conductor, &y.line)
		if err != nil {
			return err
		}
		if len(y.line.Failed) > y.in.MaxFailures {
			return conduct.Refused("items", "too many failed")
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return y.ContinueAsNew(ctx, "toy", func(h conduct.Header) any {
				in := y.in
				in.State = &toyState{Header: h, Line: y.line, Done: y.done}
				return in
			})
		}
	}
	y.Finish(ctx, conduct.StageDone, at, "all is done")
	return nil
}

func (y *toy) item(ctx workflow.Context, at conduct.Scope, item int) (string, error) {
	if y.in.Ask {
		g, err := y.Ask(ctx, at, question(fmt.Sprintf("item-%d", item)))
		if err != nil {
			return "", err
		}
		if g.Decided != gate.Approve {
			return "", conduct.Refused(g.Name, g.Why)
		}
	}
	return work.Do(ctx, y.Conductor, at, "work", item)
}

func (y *toy) back(ctx workflow.Context, cause error) (conduct.Outcome, error) {
	y.At(ctx, conduct.StageCompensating, conduct.Scope{Environment: "prod", Step: "undo"}, "turning back")
	for _, g := range y.No(ctx, cause) {
		for _, a := range g.Answers {
			y.no = append(y.no, a.By)
		}
	}
	if !y.in.Published {
		return conduct.Outcome{}, nil
	}
	_, err := undo.Do(ctx, y.Conductor, conduct.Scope{Environment: "prod", Step: "undo"}, "undo", conduct.Reason(cause))
	return conduct.Outcome{Changed: true, Left: y.in.Left}, err
}

func question(name string) gate.Gate {
	evidence := make([]gate.Evidence, 50)
	for i := range evidence {
		evidence[i] = gate.Evidence{Name: "a figure", Value: "0.1 %", Limit: "1 %", Outcome: gate.Pass}
	}
	return gate.Gate{
		Name: name, Question: name + "?", Choices: []gate.Choice{gate.Approve, gate.Reject},
		Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: "unsure", Evidence: evidence},
	}
}

// stage is a test environment in which a toy plays.
type stage struct {
	*testsuite.TestWorkflowEnvironment
	t *testing.T

	mu         sync.Mutex
	working    int
	most       int // items that were done at the same time
	began      []int
	undone     int
	sent       int
	unanswered int
	work       func(item, attempt int) error
	undo       func(attempt int) error
}

func newStage(t *testing.T) *stage {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	s := &stage{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, work: func(int, int) error { return nil }, undo: func(int) error { return nil }}
	s.SetTestTimeout(time.Minute)
	s.RegisterWorkflowWithOptions(play, workflow.RegisterOptions{Name: "toy"})
	attempts := map[int]int{}
	for _, b := range []conduct.Bound{
		work.Bind(func(_ context.Context, item int) (string, error) {
			s.mu.Lock()
			s.working++
			s.most = max(s.most, s.working)
			s.began = append(s.began, item)
			attempts[item]++
			n := attempts[item]
			s.mu.Unlock()
			err := s.work(item, n)
			s.mu.Lock()
			s.working--
			s.mu.Unlock()
			return "done", err
		}),
		conduct.Effect(undo, func(context.Context, string) error {
			s.undone++
			return s.undo(s.undone)
		}),
	} {
		s.RegisterActivityWithOptions(b.Func, activity.RegisterOptions{Name: b.Name})
	}
	return s
}

// later does something after a time on the workflow's clock.
func (s *stage) later(after time.Duration, do func()) { s.RegisterDelayedCallback(do, after) }

// now is the status as people see it.
func (s *stage) now() toyStatus {
	s.t.Helper()
	answer, err := s.QueryWorkflow(conduct.StatusQuery)
	require.NoError(s.t, err)
	var status toyStatus
	require.NoError(s.t, answer.Get(&status))
	return status
}

// steer sends a command by update; says is why it is refused, or nothing.
func (s *stage) steer(m conduct.Command, says string) {
	s.t.Helper()
	s.update(conduct.Steer, m, says)
}

// orders sends a command by update and looks at how the workflow stands then.
func (s *stage) orders(m conduct.Command, look func(conduct.Steered)) {
	s.t.Helper()
	s.sent++
	s.unanswered++
	s.UpdateWorkflow(conduct.Steer, fmt.Sprint(s.sent, m), &testsuite.TestUpdateCallback{
		OnAccept: func() {}, OnReject: func(err error) { require.NoError(s.t, err) },
		OnComplete: func(answer any, err error) {
			s.unanswered--
			require.NoError(s.t, err)
			look(answer.(conduct.Steered))
		},
	}, m)
}

// page is the live page of the Web UI.
func (s *stage) page() string {
	s.t.Helper()
	answer, err := s.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(s.t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(s.t, answer.Get(&metadata))
	return metadata.GetCurrentDetails()
}

// decide sends a decision by update; says is why it is refused, or nothing.
func (s *stage) decide(name string, choice gate.Choice, by, says string) {
	s.t.Helper()
	s.update(conduct.Decide, gate.Decision{Gate: name, Plan: "sha256:0123456789abcdef", Choice: choice, By: by, Reason: "because"}, says)
}

// both approves a gate by the two voices that it needs.
func (s *stage) both(name string) {
	s.t.Helper()
	s.decide(name, gate.Approve, "bob", "")
	s.decide(name, gate.Approve, "carol", "")
}

// update sends an update and expects its answer, which comes later.
func (s *stage) update(name string, value any, says string) {
	s.t.Helper()
	s.sent++
	s.unanswered++
	answered := func(err error) {
		s.unanswered--
		if says == "" {
			require.NoError(s.t, err)
			return
		}
		require.ErrorContains(s.t, err, says)
	}
	s.UpdateWorkflow(name, fmt.Sprint(s.sent, value), &testsuite.TestUpdateCallback{
		OnAccept: func() {}, OnReject: answered, OnComplete: func(_ any, err error) { answered(err) },
	}, value)
}

// play runs a toy to its end.
func (s *stage) play(in toyInput) (toyStatus, error) {
	s.t.Helper()
	s.ExecuteWorkflow("toy", in)
	require.True(s.t, s.IsWorkflowCompleted())
	require.Zero(s.t, s.unanswered, "every update is answered")
	if err := s.GetWorkflowError(); err != nil {
		return toyStatus{}, err
	}
	var status toyStatus
	require.NoError(s.t, s.GetWorkflowResult(&status))
	return status, nil
}

// broken is an error that a retry may mend.
func broken() error { return fmt.Errorf("connection refused") }

// invalid is an error that no retry mends, as an activity's boundary sends it.
func invalid() error {
	return temporal.NewApplicationErrorWithOptions("line 5 is short", string(fault.Invalid), temporal.ApplicationErrorOptions{NonRetryable: true})
}
