package workflows_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// A worker that is gone is noticed by its silence, whatever it did: no activity of the registry waits for its time to run out.
func TestEveryActivityIsTakenOverWithinSeconds(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	silence := map[string]time.Duration{}
	listen := func(env *testsuite.TestWorkflowEnvironment) {
		env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
			mu.Lock()
			defer mu.Unlock()
			silence[info.ActivityType.Name] = info.HeartbeatTimeout
		})
	}
	ask := func(kind activities.InspectKind) func(*testsuite.TestWorkflowEnvironment) {
		return func(env *testsuite.TestWorkflowEnvironment) { asks(env, time.Minute, string(kind), question(kind)) }
	}
	watched := crossing("dev")
	watched.Watch.For, watched.Watch.Every = time.Hour, time.Hour
	watched.Approval = gate.Approval{Required: true}
	deployed := smooth(t, watched)
	turned := smooth(t, crossing("prod"))
	turned.deployed("prod", "2026-01-30", "2026-01-31")
	turned.ledgers["prod"].published(candidate(), release.ByRun, "run/shop/prod/1", "2026-01-31")
	house := smooth(t, crossing("dev"))
	house.survey = []activities.Surveyed{{House: activities.House{Schema: "shop_dev"}, Tells: true}}
	planned := deployInput("dev")
	planned.Plan = planDigest
	asked := crossing("dev")
	asked.Approval = gate.Approval{Required: true}
	no := yes("approval-dev")
	no.Choice = gate.Reject
	filled := smooth(t, crossing("prod"))
	filled.filler = newFiller(2)
	missed := newMorning(t)
	missed.absent = func(partition.Key) bool { return true }
	filled.filler.asked.Parts = []int{2}
	migrated, _ := brownsOut(t)
	rebuilt, outputs := migrates(t)
	outputs.made = true
	left := smooth(t, crossing("dev"))
	left.terminated("dev", "2026-01-30")
	recovery := workflows.RecoveryInput{Pipeline: "shop", Workflow: earlier.Workflow(), Environments: []string{"dev"}, By: "bob"}
	for _, s := range []struct {
		of      *effects
		name    string
		in      any
		prepare []func(*testsuite.TestWorkflowEnvironment)
	}{
		{deployed, workflows.DeploymentName, deployInput("dev"), []func(*testsuite.TestWorkflowEnvironment){decide(time.Minute, yes("approval-dev"), answered(t))}},
		{smooth(t, crossing("dev")), workflows.DeploymentName, planned, nil},
		{smooth(t, asked).listening("dev"), workflows.DeploymentName, deployInput("dev"), []func(*testsuite.TestWorkflowEnvironment){decide(time.Minute, no, answered(t))}},
		{turned, workflows.RollbackName, rollbackInput(), nil},
		{filled, workflows.BackfillName, filled.backfillInput(), nil},
		{migrated, workflows.MigrationName, migrationInput(), []func(*testsuite.TestWorkflowEnvironment){
			says(t, time.Hour, ready("bi")), says(t, 2*time.Hour, conduct.Command{Kind: conduct.Withdraw, By: "bob", Reason: "not yet", Items: []string{"bi"}}),
			says(t, 3*time.Hour, ready("bi")), answers(t, window+time.Hour, gate.Approve),
			func(env *testsuite.TestWorkflowEnvironment) {
				env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: migrationID})
			},
		}},
		{rebuilt, workflows.MigrationName, migrationInput(), []func(*testsuite.TestWorkflowEnvironment){says(t, time.Hour, ready("bi")), answers(t, window+time.Hour, gate.Approve)}},
		{left, workflows.RecoveryName, recovery, []func(*testsuite.TestWorkflowEnvironment){func(env *testsuite.TestWorkflowEnvironment) {
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.RecoveryID(recovery.Workflow)})
		}}},
		{smooth(t, crossing("dev")), workflows.PlanName, workflows.PlanInput{Pipeline: "shop", Source: "sha256:source", Environments: []string{"dev"}}, nil},
		{smooth(t, crossing("dev")), workflows.ValidationName, workflows.ValidationInput{Pipeline: "shop", Source: "sha256:source", Environment: "dev"}, nil},
		{house, workflows.EnvironmentName, workflows.EnvironmentInput{Environment: "dev"}, []func(*testsuite.TestWorkflowEnvironment){
			ask(activities.InspectHistory), ask(activities.InspectChecksum),
		}},
		{missed.effects, workflows.ScheduledName, schedule.Input{Pipeline: "shop", Environment: "prod"}, nil},
		{smooth(t, crossing("dev")), workflows.HoldName, activities.HoldInput{Environment: "dev", By: "ann", Reason: "quarter end"}, nil},
		{smooth(t, crossing("dev")), workflows.AdoptionName, adoptInput(), []func(*testsuite.TestWorkflowEnvironment){adopts}},
		{smooth(t, crossing("dev")), workflows.AdoptionName, backInput(), []func(*testsuite.TestWorkflowEnvironment){adopts}},
	} {
		env := s.of.environment(t)
		listen(env)
		for _, p := range s.prepare {
			p(env)
		}
		env.ExecuteWorkflow(s.name, s.in)
		require.True(t, env.IsWorkflowCompleted(), s.name)
	}
	var all []string
	for _, a := range workflows.Activities() {
		all = append(all, a.Name)
	}
	require.ElementsMatch(t, all, slices.Collect(maps.Keys(silence)), "an activity that nobody called is not looked at")
	for name, timeout := range silence {
		require.Positive(t, timeout, name)
		require.LessOrEqual(t, timeout, 10*time.Second, name)
	}
}
