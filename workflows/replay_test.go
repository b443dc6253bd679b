package workflows_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"drawbridge/workflows"
)

// A workflow that began under an earlier release must go on under this one: every recorded history replays. The fixtures
// are recorded from the code of a release by the end-to-end tests (DRAWBRIDGE_RECORD), never from the change under test;
// those of earlier releases stay.
func TestRecordedHistoriesReplay(t *testing.T) {
	t.Parallel()
	replayer := worker.NewWorkflowReplayer()
	all := map[string]any{
		workflows.DeploymentName: workflows.Deployment, workflows.RunName: workflows.Run,
		workflows.RollbackName: workflows.Rollback, workflows.RecoveryName: workflows.Recovery,
		workflows.PlanName: workflows.Plan, workflows.ValidationName: workflows.Validation,
		workflows.InspectionName: workflows.Inspection,
	}
	for name, f := range all {
		replayer.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
	}
	for name := range all {
		folder := strings.ToLower(strings.TrimPrefix(name, "drawbridge."))
		files, err := filepath.Glob(filepath.Join("testdata", "replay", folder, "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, files, "no history of %s is recorded", name)
		for _, file := range files {
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, file), file)
		}
	}
}
