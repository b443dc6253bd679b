package workflows_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"drawbridge/workflows"
)

// recorded are the histories of a release: testdata/replay/<release>/<workflow>/<scenario>.json. They are recorded from the
// code of that release by the end-to-end tests (DRAWBRIDGE_RECORD), never from the change under test, and stay as they are.
const recorded = "testdata/replay"

// A workflow that began under an earlier release must go on under this one: every recorded history replays.
func TestRecordedHistoriesReplay(t *testing.T) {
	t.Parallel()
	replayer := worker.NewWorkflowReplayer()
	workflows.RegisterWorkflows(replayer)
	files, err := filepath.Glob(filepath.Join(recorded, "*", "*", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, file), file)
	}
}

// The newest release that was recorded has a history of every workflow that is registered.
func TestEveryWorkflowHasAHistoryOfTheNewestRelease(t *testing.T) {
	t.Parallel()
	releases, err := filepath.Glob(filepath.Join(recorded, "*"))
	require.NoError(t, err)
	var newest *semver.Version
	for _, folder := range releases {
		v, err := semver.StrictNewVersion(filepath.Base(folder))
		require.NoError(t, err, "a folder of histories is named for a release")
		if newest == nil || v.GreaterThan(newest) {
			newest = v
		}
	}
	require.NotNil(t, newest)
	for _, w := range workflows.Workflows() {
		folder := strings.ToLower(strings.TrimPrefix(w.Name, "drawbridge."))
		files, err := filepath.Glob(filepath.Join(recorded, newest.String(), folder, "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, files, "no history of %s is recorded for %s", w.Name, newest)
	}
}
