package plan_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fieldtest"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// TestEveryInputChangesThePlan fills every field of a pipeline, a config and a policy and changes one after another,
// under one release digest: each changes the plan, or is listed here with what it changes instead. The release's digest
// covers all of the pipeline besides.
func TestEveryInputChangesThePlan(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{
		".Pipeline.Name":                                    "the release names it",
		".Pipeline.Version":                                 "the release names it",
		".Pipeline.Partition.Column":                        "the outputs carry it",
		".Pipeline.Partition.Size":                          "the outputs carry it",
		".Pipeline.Partition.Timezone":                      "the outputs carry it",
		".Pipeline.Partition.Values":                        "the outputs carry it",
		".Config.Timezone":                                  "it is the pipeline's, and the outputs carry it",
		".Pipeline.Loads":                                   "what a run reads: the rows of its result",
		".Pipeline.Outputs[0].SQL":                          "the columns that it returns are observed; its rows are the run's result",
		".Pipeline.Outputs[0].SQLFile":                      "where the SQL stands in the folder",
		".Pipeline.Migrations":                              "each has a plan of its own",
		".Pipeline.Outputs[0].Lint":                         "what validate says of its SQL",
		".Pipeline.Outputs[0].Indexes":                      "how many there are counts as locks: TestLimits; their columns are the run's result",
		".Pipeline.Outputs[0].Checks[0].SQL":                "accepted_values has none",
		".Pipeline.Outputs[0].Checks[1].Columns":            "an expression has none",
		".Pipeline.Outputs[0].Checks[1].Values":             "an expression has none",
		".Pipeline.Outputs[0].Contract.Columns[0].Kind":     "its type says more",
		".Pipeline.Outputs[0].Contract.Columns[0].Required": "a check of the output holds it",
		".Pipeline.Environments":                            "whoever asks for the plan gives the environments in order",
		".Pipeline.Pack":                                    "what a build packs",
		".Pipeline.Runbook":                                 "what people are told has it",
		".Pipeline.Tests":                                   "what validation runs",
		".Pipeline.Config":                                  "the planner is given each environment's own",
	}
	in := input()
	in.Pipeline = &pipeline.Pipeline{}
	fieldtest.Value(reflect.ValueOf(in.Pipeline).Elem(), set)
	in.Pipeline.Partition, in.Pipeline.Outputs[0].Partition = byDay, byDay
	in.Pipeline.Outputs[0].Table = "fct_orders"
	in.Pipeline.Smoke.Latest, in.Pipeline.Canary.Latest = 1, 1
	in.Pipeline.Outputs[0].Checks = make([]check.Check, 2)
	for i, kind := range []check.Kind{check.AcceptedValues, check.Expression} {
		c := &in.Pipeline.Outputs[0].Checks[i]
		fieldtest.Value(reflect.ValueOf(c).Elem(), set)
		c.Kind, c.Severity = kind, check.Fail
	}
	in.Pipeline.Watch.Checks[0].Severity = check.Fail
	in.Environments[0].Observed.Outputs = in.Environments[0].Observed.Outputs[:1]

	whole := struct {
		Pipeline *pipeline.Pipeline
		Config   pipeline.Config
		Policy   pipeline.Policy
	}{Pipeline: in.Pipeline}
	fieldtest.Value(reflect.ValueOf(&whole.Config).Elem(), set)
	fieldtest.Value(reflect.ValueOf(&whole.Policy).Elem(), set)
	digest := func() string {
		env := &in.Environments[0]
		env.Config, env.Policy = whole.Config, whole.Policy
		env.Observed.ConfigDigest, env.Observed.PolicyDigest = whole.Config.Digest(), whole.Policy.Digest()
		p, err := plan.Compute(in)
		if err != nil {
			return "refused"
		}
		return p.Digest
	}
	before := digest()
	require.NotEqual(t, "refused", before)

	unused := map[string]bool{}
	for path := range elsewhere {
		unused[path] = true
	}
	walk(reflect.ValueOf(&whole.Config).Elem(), ".Config", func(path string) {
		if elsewhere[path] != "" {
			require.Equal(t, before, digest(), "%s changes the plan: it is not to be listed", path)
			delete(unused, path)
			return
		}
		require.NotEqual(t, before, digest(), "%s", path)
	})
	walk(reflect.ValueOf(&whole.Policy).Elem(), ".Policy", func(path string) {
		require.NotEqual(t, before, digest(), "%s", path)
	})

	whole.Config.Smoke, whole.Config.Watch = nil, nil // they hide the pipeline's own
	before = digest()
	walk(reflect.ValueOf(in.Pipeline).Elem(), ".Pipeline", func(path string) {
		for prefix := range elsewhere {
			if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				require.Equal(t, before, digest(), "%s changes the plan: it is not to be listed", path)
				delete(unused, prefix)
				return
			}
		}
		require.NotEqual(t, before, digest(), "%s", path)
	})
	require.Equal(t, before, digest(), "every change was undone")
	require.Empty(t, unused, "listed, but no field")
}
