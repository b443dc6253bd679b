package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// unscheduled is a Temporal in which nothing runs by itself.
type unscheduled struct {
	workflowservice.WorkflowServiceClient
}

func (unscheduled) ListSchedules(context.Context, *workflowservice.ListSchedulesRequest, ...grpc.CallOption) (*workflowservice.ListSchedulesResponse, error) {
	return &workflowservice.ListSchedulesResponse{}, nil
}

func (s *server) WorkflowService() workflowservice.WorkflowServiceClient { return unscheduled{} }

func TestAScheduleCommandSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"pause without an environment":  {[]string{"pause", "shop", "--reason", "r"}, []string{"--env", "it is missing"}},
		"pause without a reason":        {[]string{"pause", "shop", "--env", "prod"}, []string{"--reason TEXT"}},
		"pause with half a screen":      {[]string{"pause", "shop", "--env", "prod", "--reason", "a\x1b[2Jb"}, []string{"plain text"}},
		"resume without an environment": {[]string{"resume", "shop"}, []string{"--env"}},
		"next without an environment":   {[]string{"next", "shop"}, []string{"--env"}},
		"next of no number":             {[]string{"next", "shop", "--env", "prod", "--count", "0"}, []string{"give 1 to 1000"}},
		"trigger of nothing":            {[]string{"trigger"}, []string{"PIPELINE is missing"}},
		"no such command":               {[]string{"paus"}, []string{"no such command", "pause"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t)
			require.Equal(t, int(exitInvalid), x.run(t, append([]string{"schedule"}, c.args...)...))
			for _, text := range c.says {
				require.Contains(t, x.errOut.String(), text)
			}
			require.Empty(t, x.out.String())
		})
	}
}

func TestWhereNothingRunsByItselfThatIsSaid(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.with(staffed("prod"))
	require.Zero(t, x.run(t, "schedule", "list"))
	require.Contains(t, x.out.String(), "Nothing runs by itself.")
	require.Zero(t, x.run(t, "schedule", "list", "--json"))
	require.Contains(t, x.out.String(), "[]\n")
}
