package dispatch

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// script is a conversation that answers as it is told.
type script struct {
	status  func(ctx context.Context) (workflows.Status, error)
	result  func(ctx context.Context) (workflows.Status, error)
	decide  func(ctx context.Context, d gate.Decision) (gate.Gate, error)
	retries []view.Retry
	left    []gate.Decision
}

func (s *script) Status(ctx context.Context) (workflows.Status, error) { return s.status(ctx) }
func (s *script) Result(ctx context.Context) (workflows.Status, error) { return s.result(ctx) }
func (s *script) Retries(context.Context) []view.Retry                 { return s.retries }
func (s *script) Decide(ctx context.Context, d gate.Decision) (gate.Gate, error) {
	return s.decide(ctx, d)
}

func (s *script) Leave(_ context.Context, d gate.Decision) error {
	s.left = append(s.left, d)
	return nil
}

func TestDecisionReachesItsWorkflow(t *testing.T) {
	t.Parallel()
	d := gate.Decision{Gate: "approval-prod", Plan: "abcdef12", Choice: gate.Approve, By: "ana", Reason: "ok"}
	refusal := activities.ApplicationError(fault.Newf(fault.Refused, "decide gate", d.Gate, "ask somebody else", "four eyes"))
	silence := func(ctx context.Context, _ gate.Decision) (gate.Gate, error) {
		<-ctx.Done()
		return gate.Gate{}, client.NewWorkflowUpdateServiceTimeoutOrCanceledError(ctx.Err())
	}
	for name, tc := range map[string]struct {
		decide func(ctx context.Context, d gate.Decision) (gate.Gate, error)
		how    Delivery
		left   int
		class  fault.Class
	}{
		"a worker applies it": {func(_ context.Context, d gate.Decision) (gate.Gate, error) {
			return gate.Gate{Name: d.Gate, Decided: d.Choice}, nil
		}, Applied, 0, ""},
		"no worker answers, so it is left once": {silence, Recorded, 1, ""},
		"no worker has polled lately": {func(context.Context, gate.Decision) (gate.Gate, error) {
			return gate.Gate{}, serviceerror.NewFailedPrecondition("no poller")
		}, Recorded, 1, ""},
		"a refusal is never sent a second way": {func(context.Context, gate.Decision) (gate.Gate, error) {
			return gate.Gate{}, refusal
		}, "", 0, fault.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{decide: tc.decide}
			how, g, err := deliver(t.Context(), d, s.Decide, s.Leave, 20*time.Millisecond)
			require.Equal(t, tc.how, how)
			require.Len(t, s.left, tc.left)
			for _, left := range s.left {
				require.Equal(t, d, left)
			}
			if tc.class != "" {
				refused, ok := errors.AsType[*temporal.ApplicationError](err)
				require.True(t, ok)
				require.Equal(t, string(tc.class), refused.Type())
				return
			}
			require.NoError(t, err)
			require.Equal(t, how == Applied, g.Decided == gate.Approve)
		})
	}
}

func TestInterruptedDecisionIsNotLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &script{decide: func(inner context.Context, _ gate.Decision) (gate.Gate, error) {
		cancel()
		<-inner.Done()
		return gate.Gate{}, client.NewWorkflowUpdateServiceTimeoutOrCanceledError(inner.Err())
	}}
	_, _, err := deliver(ctx, gate.Decision{}, s.Decide, s.Leave, time.Minute)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, s.left)
}

func TestARefusedDecisionSaysWhichGatesThereAre(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		gates []gate.Gate
		err   error
		open  string
		hint  string
	}{
		"several are open": {
			gates: []gate.Gate{{Name: "approval-prod", Plan: "sha256:0123456789abcdef"}, {Name: "watch-staging"}},
			hint:  "say which: --gate approval-prod --plan 0123456789ab, or --gate watch-staging",
		},
		"no worker answers, and the server knows one": {err: serviceerror.NewDeadlineExceeded("no worker"), open: "approval-prod", hint: "name it: --gate approval-prod; or start a worker: "},
		"no worker answers, and nobody knows one":     {err: serviceerror.NewDeadlineExceeded("no worker"), hint: "name it: --gate GATE; or start a worker: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{status: func(context.Context) (workflows.Status, error) {
				return workflows.Status{Header: conduct.Header{Gates: tc.gates}}, tc.err
			}}
			_, err := address(t.Context(), s, gate.Decision{}, func(context.Context) (string, string) { return "", tc.open })
			refused, ok := errors.AsType[*fault.Error](err)
			require.True(t, ok)
			require.Contains(t, refused.Hint, tc.hint)
		})
	}
}

func TestDecisionNamesTheOpenGate(t *testing.T) {
	t.Parallel()
	old := gate.Gate{Name: "approval-staging", Plan: "p1", Decided: gate.Approve}
	open := gate.Gate{Name: "approval-prod", Plan: "p2"}
	other := gate.Gate{Name: "publish-prod", Plan: "p2"}
	noWorkerAnswers := serviceerror.NewDeadlineExceeded("no worker")
	for name, tc := range map[string]struct {
		given gate.Decision
		gates []gate.Gate
		err   error
		memo  string
		ended bool
		want  gate.Decision
		class fault.Class
	}{
		"the only open one":                        {gates: []gate.Gate{old, open}, want: gate.Decision{Gate: "approval-prod", Plan: "p2"}},
		"one of several by gate and plan":          {given: gate.Decision{Gate: "publish-prod", Plan: "p2"}, gates: []gate.Gate{open, other}, want: gate.Decision{Gate: "publish-prod", Plan: "p2"}},
		"one of several without its plan":          {given: gate.Decision{Gate: "publish-prod"}, gates: []gate.Gate{open, other}, class: fault.Invalid},
		"one of several without a name":            {gates: []gate.Gate{open, other}, class: fault.Invalid},
		"one of several that has no plan":          {given: gate.Decision{Gate: "publish-dev"}, gates: []gate.Gate{open, {Name: "publish-dev"}}, want: gate.Decision{Gate: "publish-dev"}},
		"none is open":                             {gates: []gate.Gate{old}, class: fault.Conflict},
		"what has ended, whatever is named":        {given: gate.Decision{Gate: "approval-staging"}, gates: []gate.Gate{old}, ended: true, class: fault.Conflict},
		"a decided one, for the rules to judge":    {given: gate.Decision{Gate: "approval-staging"}, gates: []gate.Gate{old}, want: gate.Decision{Gate: "approval-staging", Plan: "p1"}},
		"a given plan is kept, right or wrong":     {given: gate.Decision{Plan: "p9"}, gates: []gate.Gate{open}, want: gate.Decision{Gate: "approval-prod", Plan: "p9"}},
		"without a worker the memo knows":          {given: gate.Decision{Gate: "g"}, err: noWorkerAnswers, memo: "p3", want: gate.Decision{Gate: "g", Plan: "p3"}},
		"without a worker a given plan is kept":    {given: gate.Decision{Gate: "g", Plan: "p4"}, err: noWorkerAnswers, memo: "p3", want: gate.Decision{Gate: "g", Plan: "p4"}},
		"without a worker the gate has to be said": {err: noWorkerAnswers, memo: "p3", class: fault.Invalid},
		"no such workflow":                         {err: fault.Newf(fault.Invalid, "find", "x", "status", "none"), class: fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{status: func(context.Context) (workflows.Status, error) {
				h := conduct.Header{Gates: tc.gates}
				if tc.ended {
					h.Stage = workflows.StageRefused
				}
				return workflows.Status{Header: h}, tc.err
			}}
			got, err := address(t.Context(), s, tc.given, func(context.Context) (string, string) { return tc.memo, "approval-prod" })
			require.Equal(t, tc.class, fault.ClassOf(err))
			if tc.class == "" {
				require.NoError(t, err)
				require.Equal(t, tc.want, got)
			}
		})
	}
}
