package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/fault"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// steered is a server with one workflow, which takes every command that reaches it.
func steered(name string, status enumspb.WorkflowExecutionStatus) *server {
	s := staffed("dev")
	s.is = &workflowpb.WorkflowExecutionInfo{Type: &commonpb.WorkflowType{Name: name}, Status: status}
	s.update = func(o client.UpdateWorkflowOptions) (any, error) {
		m := o.Args[0].(conduct.Command)
		return conduct.Steered{Stage: workflows.StagePaused, Lanes: m.Lanes, Paused: &conduct.Paused{By: "bob", Reason: "too slow", At: noon()}}, nil
	}
	return s
}

const (
	open  = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	ended = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
)

func TestACommandReachesItsWorkflow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want conduct.Command
	}{
		"pause":     {[]string{"pause", "shop@1.1.0", "--reason", "too slow"}, conduct.Command{Kind: conduct.Pause, By: "ana", Reason: "too slow"}},
		"resume":    {[]string{"resume", "shop@1.1.0", "--as", "ben"}, conduct.Command{Kind: conduct.Resume, By: "ben"}},
		"cancel":    {[]string{"cancel", "shop@1.1.0", "--reason", "it doubles amounts"}, conduct.Command{Kind: conduct.Cancel, By: "ana", Reason: "it doubles amounts"}},
		"set-lanes": {[]string{"set-lanes", "shop@1.1.0", "4", "--reason", "more"}, conduct.Command{Kind: conduct.SetLanes, By: "ana", Reason: "more", Lanes: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := steered(workflows.DeploymentName, open)
			var got []client.UpdateWorkflowOptions
			answer := s.update
			s.update = func(o client.UpdateWorkflowOptions) (any, error) {
				got = append(got, o)
				return answer(o)
			}
			x := newTerminal(t).with(s)
			require.Zero(t, x.run(t, append(c.args, "--json")...), x.errOut.String())
			require.Len(t, got, 1)
			require.Equal(t, []any{"deploy/shop/1.1.0", workflows.Steer, c.want}, []any{got[0].WorkflowID, got[0].UpdateName, got[0].Args[0]})
			var said console.Steered
			require.NoError(t, json.Unmarshal(x.out.Bytes(), &said))
			require.Equal(t, "applied", said.Delivery)
			require.Equal(t, c.want, said.Command)
			require.Equal(t, workflows.StagePaused, said.Now.Stage)
			require.Empty(t, s.left)
		})
	}
}

func TestACommandThatNoWorkerAnswersIsRecorded(t *testing.T) {
	t.Parallel()
	s := steered(workflows.DeploymentName, open)
	s.update = func(client.UpdateWorkflowOptions) (any, error) {
		return nil, serviceerror.NewFailedPrecondition("no poller")
	}
	x := newTerminal(t).with(s)
	require.Zero(t, x.run(t, "pause", "shop@1.1.0", "--reason", "too slow"), x.errOut.String())
	require.Contains(t, x.out.String(), "recorded, will be applied when a worker returns (drawbridge-worker --workflows)")
	require.Equal(t, []any{conduct.Command{Kind: conduct.Pause, By: "ana", Reason: "too slow"}}, s.left)
}

func TestACommandThatCannotCountIsRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	watching := steered(workflows.DeploymentName, open)
	watching.update = func(client.UpdateWorkflowOptions) (any, error) {
		return nil, activities.ApplicationError(fault.Newf(fault.Conflict, "pause", "deploy/shop/1.1.0", "let it watch", "it is watching"))
	}
	for name, c := range map[string]struct {
		server *server
		args   []string
		code   exit
		says   []string
	}{
		"it has ended":            {steered(workflows.DeploymentName, ended), []string{"pause", "shop@1.1.0", "--reason", "r"}, exitRefused, []string{"it has ended", "drawbridge status deploy/shop/1.1.0"}},
		"a cancel of what ended":  {steered(workflows.DeploymentName, ended), []string{"cancel", "shop@1.1.0"}, exitRefused, []string{"it has ended", "drawbridge status deploy/shop/1.1.0"}},
		"a run is one partition":  {steered(workflows.RunName, open), []string{"pause", "run/shop/dev/2026-01-31", "--reason", "r"}, exitRefused, []string{"takes only cancel", "drawbridge cancel run/shop/dev/2026-01-31"}},
		"a rollback has no lanes": {steered(workflows.RollbackName, open), []string{"set-lanes", "rollback/shop/dev", "3"}, exitRefused, []string{"takes only pause, resume, cancel"}},
		"a recovery takes none":   {steered(workflows.RecoveryName, open), []string{"resume", "recover/deploy/shop/1.1.0"}, exitRefused, []string{"takes no commands", "drawbridge status recover/"}},
		"a question takes none":   {steered(workflows.PlanName, open), []string{"pause", "plan/shop/abc", "--reason", "r"}, exitRefused, []string{"takes no commands"}},
		"the workflow says no":    {watching, []string{"pause", "shop@1.1.0", "--reason", "r"}, exitRefused, []string{"it is watching", "let it watch"}},
		"nobody says why":         {staffed(), []string{"pause", "shop@1.1.0"}, exitInvalid, []string{"the reason is missing", "--reason TEXT"}},
		"no number of lanes":      {staffed(), []string{"set-lanes", "shop@1.1.0", "many"}, exitInvalid, []string{"it is no number of lanes", "give 1 to 64"}},
		"too many lanes":          {staffed(), []string{"set-lanes", "shop@1.1.0", "65"}, exitInvalid, []string{"it is no number of lanes"}},
		"lanes of nothing":        {staffed(), []string{"set-lanes", "4"}, exitInvalid, []string{"is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t).with(c.server)
			require.Equal(t, int(c.code), x.run(t, c.args...), x.out.String())
			for _, text := range c.says {
				require.Contains(t, x.errOut.String(), text)
			}
			require.Empty(t, c.server.left, "what is refused is not left for later")
		})
	}
}
