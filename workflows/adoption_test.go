package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/adoption"
	"drawbridge/workflows"
)

func adoptInput() activities.AdoptInput {
	return activities.AdoptInput{Target: activities.Target{Environment: "dev", Release: candidate()}, Ask: adoption.Ask{Output: "orders"}, By: "ann", Reason: "ours now"}
}

func backInput() activities.AdoptInput {
	in := adoptInput()
	in.Back = true
	return in
}

// adopts gives a workflow the ID of an adoption.
func adopts(env *testsuite.TestWorkflowEnvironment) {
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.AdoptionID("shop", "dev", "orders")})
}

func TestAnAdoptionGoesAsFarAsItsPlanAndTheTableLetIt(t *testing.T) {
	t.Parallel()
	looked := adoptInput()
	looked.Look = true
	for name, c := range map[string]struct {
		in    activities.AdoptInput
		plan  adoption.Plan
		held  map[string]string
		calls []string
		done  bool
	}{
		"it is proved first":             {in: adoptInput(), calls: []string{"PlanAdoption orders", "ProveAdoption orders", "AdoptTable orders"}, done: true},
		"who only looks changes nothing": {in: looked, calls: []string{"PlanAdoption orders"}},
		"what is refused is not tried":   {in: adoptInput(), plan: adoption.Plan{Refusals: []adoption.Refusal{{Rule: "trigger"}}}, calls: []string{"PlanAdoption orders"}},
		"what is adopted stays so":       {in: adoptInput(), plan: adoption.Plan{Adopted: true}, calls: []string{"PlanAdoption orders"}},
		"without a proof nothing moves":  {in: adoptInput(), held: map[string]string{"ProveAdoption": "bi"}, calls: []string{"PlanAdoption orders", "ProveAdoption orders"}},
		"who holds it is named":          {in: adoptInput(), held: map[string]string{"AdoptTable": "bi"}, calls: []string{"PlanAdoption orders", "ProveAdoption orders", "AdoptTable orders"}},
		"a table is given back":          {in: backInput(), calls: []string{"PlanAdoption orders", "ReleaseTable orders"}, done: true},
		"one in use is not":              {in: backInput(), plan: adoption.Plan{Refusals: []adoption.Refusal{{Rule: "built-since"}}}, calls: []string{"PlanAdoption orders"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("dev"))
			e.adoption, e.heldBy = c.plan, c.held
			env := e.environment(t)
			adopts(env)
			env.ExecuteWorkflow(workflows.AdoptionName, c.in)
			require.NoError(t, env.GetWorkflowError())
			var out activities.Adopted
			require.NoError(t, env.GetWorkflowResult(&out))
			require.Equal(t, c.calls, e.seen())
			require.Equal(t, c.done, out.Result.Done)
			require.Equal(t, c.held != nil, len(out.Result.Blocked) == 1)
			require.Equal(t, c.plan.Adopted, out.Plan.Adopted)
			require.Len(t, out.Plan.Refusals, len(c.plan.Refusals))
		})
	}
}
