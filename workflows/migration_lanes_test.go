package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/throttle"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// pieces lets a backfill take so many calls.
func (x *tables) pieces(n int) {
	x.piece = func(call int) (migrate.Filled, bool) {
		return migrate.Filled{Rows: int64(10 * call), Total: int64(10 * n), Batch: 10, Done: call == n}, true
	}
}

func TestAMigrationBringsRowsOverInTheLanesOfThePolicyOrAPerson(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	e.sites["prod"].Policy.Publish.Lanes = 4
	x.pieces(4)
	said := false
	inner := x.piece
	s := e.migrateOn(t, migrationInput(), says(t, time.Second, ready("bi")), answers(t, window+time.Hour, gate.Approve), func(env *testsuite.TestWorkflowEnvironment) {
		x.piece = func(call int) (migrate.Filled, bool) {
			if call == 2 && !said {
				said = true
				env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.SetLanes, By: "bob", Lanes: 7})
			}
			return inner(call)
		}
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, []int{4, 4, 7, 7}, x.lanes)
	require.Equal(t, 7, s.Migration.Lanes)
}

func TestAMigrationThatIsThrottledGoesOnInFewerLanes(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	e.sites["prod"].Policy.Publish.Lanes = 4
	e.sites["prod"].Policy.Throttle = []throttle.Limit{{Signal: throttle.Query, Name: "jobs", Max: 5}}
	x.pieces(4)
	looks := 0
	x.load = func() float64 { // it has enough to do at the first two looks
		looks++
		if looks <= 2 {
			return 6
		}
		return 1
	}
	s := e.migrateOn(t, migrationInput(), says(t, time.Second, ready("bi")), answers(t, window+time.Hour, gate.Approve))
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, []int{2, 3, 4, 4}, x.lanes, "half of them, and one more for each piece")
}
