package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

func TestEveryClassHasAnExitCode(t *testing.T) {
	t.Parallel()
	sent := func(class fault.Class) error {
		return fmt.Errorf("await: %w", activities.ApplicationError(fault.Newf(class, "publish", "orders", "plan again", "it moved")))
	}
	for name, tc := range map[string]struct {
		err   error
		code  exit
		class string
		hint  string
	}{
		"nothing":                         {nil, exitDone, "", ""},
		"a screen that said it":           {exitWaiting.err(), exitWaiting, "", ""},
		"our own invalid":                 {fault.Newf(fault.Invalid, "publish", "orders", "plan again", "it moved"), exitInvalid, "invalid", "plan again"},
		"a hint below a wrapped fault":    {fmt.Errorf("deploy: %w", fault.Newf(fault.Refused, "publish", "orders", "plan again", "it moved")), exitRefused, "refused", "plan again"},
		"invalid from a worker":           {sent(fault.Invalid), exitInvalid, "invalid", "plan again"},
		"refused from a worker":           {sent(fault.Refused), exitRefused, "refused", "plan again"},
		"conflict from a worker":          {sent(fault.Conflict), exitRefused, "conflict", "plan again"},
		"ambiguous from a worker":         {sent(fault.Ambiguous), exitRefused, "ambiguous", "plan again"},
		"what a retry may mend":           {temporal.NewApplicationError("timed out", "drawbridge.Failed"), exitInvalid, "transient", ""},
		"a server that does not answer":   {serviceerror.NewUnavailable("down"), exitInvalid, "transient", "drawbridge doctor"},
		"a deadline":                      {fmt.Errorf("list: %w", context.DeadlineExceeded), exitInvalid, "transient", "drawbridge doctor"},
		"an error that nobody classified": {errors.New("odd"), exitInvalid, "transient", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t)
			require.Equal(t, tc.code, x.main.finish(t.Context(), tc.err, false))
			if tc.class == "" {
				require.Empty(t, x.errOut.String())
				return
			}
			p := describe(tc.err)
			require.Equal(t, tc.class, p.Class)
			require.Equal(t, tc.hint != "", p.Hint != "")
			require.Contains(t, p.Hint, tc.hint)
			require.NotContains(t, p.Text, "type:", "Temporal's frame is not for people")
		})
	}
}

func TestAllClassesAreKnown(t *testing.T) {
	t.Parallel()
	for _, class := range fault.Classes() {
		require.NotEqual(t, transient, className(class))
	}
	require.Equal(t, transient, className("drawbridge.Failed"))
}

func TestAnInterruptedCommandSaysNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x := newTerminal(t)
	require.Equal(t, exitInterrupt, x.main.finish(ctx, fmt.Errorf("ask: %w", context.Canceled), false))
	require.Empty(t, x.errOut.String())
}

func TestEveryStageHasAnExitCode(t *testing.T) {
	t.Parallel()
	for stage, want := range map[workflows.Stage]exit{
		workflows.StageDone: exitDone, workflows.StageRefused: exitRefused, workflows.StageRolledBack: exitRolledBack,
		workflows.StageWaiting: exitWaiting, workflows.StagePaused: exitWaiting, workflows.StageStuck: exitStuck, view.Abandoned: exitRefused,
		workflows.StageWatching: exitDone, workflows.StageCrossing: exitDone, workflows.StagePlanning: exitDone,
	} {
		require.Equal(t, want, exitOf(workflows.Status{Header: conduct.Header{Kind: view.Deployment, Stage: stage}}), stage)
	}
	for stage, want := range map[workflows.Stage]exit{
		workflows.StageDone: exitDone, workflows.StageRolledBack: exitDone, workflows.StageRefused: exitRefused, workflows.StageStuck: exitStuck, workflows.StageWaiting: exitWaiting,
	} {
		require.Equal(t, want, exitOf(workflows.Status{Header: conduct.Header{Kind: view.Recovery, Stage: stage}}), "a recovery is done where nothing is left, and only there: %s", stage)
	}
}
