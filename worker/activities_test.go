package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"

	"drawbridge/activities"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// registered are the names that a worker would serve.
type registered []string

func (r *registered) RegisterActivityWithOptions(_ any, o activity.RegisterOptions) {
	*r = append(*r, o.Name)
}

func TestAWorkerServesEveryActivityOfTheRegistry(t *testing.T) {
	t.Parallel()
	var site activities.Site
	var served registered
	require.NoError(t, workflows.RegisterActivities(&served, conduct.ControlQueue, controlActivities(&site)))
	require.NoError(t, workflows.RegisterActivities(&served, conduct.BuildQueue, buildActivities(&site)))
	var want []string
	for _, a := range workflows.Activities() {
		want = append(want, a.Name)
	}
	require.ElementsMatch(t, want, served)
}

func TestAnActivityThatNobodyDoesIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	var site activities.Site
	all := buildActivities(&site)
	for name, bound := range map[string][]conduct.Bound{
		"missing":          all[1:],
		"twice":            append(buildActivities(&site), all[0]),
		"of another queue": append(buildActivities(&site), controlActivities(&site)[0]),
	} {
		require.Error(t, workflows.RegisterActivities(&registered{}, conduct.BuildQueue, bound), name)
	}
}
