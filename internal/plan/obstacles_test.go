package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
)

// A run meets what would refuse a plan, and changes no columns besides.
func TestObstaclesOfARun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change change
		says   string // empty: nothing is in the way
	}{
		"nothing is in the way": {func(*plan.Input, *plan.EnvironmentInput) {}, ""},
		"a problem that blocks": {observed(func(o *plan.Observed) {
			o.Problems = []plan.Problem{{Rule: "parent-index", Object: "fct_orders", Text: "the table has an index of its own", Remedy: "drop it", Blocking: true}}
		}), "the table has an index of its own"},
		"a risk": {observed(func(o *plan.Observed) {
			o.Problems = []plan.Problem{{Rule: "standby", Object: "server", Text: "has a standby"}}
		}), ""},
		"a column that appeared":                   {addsCurrency(), "columns that the table does not have: currency_code text"},
		"a column of another type":                 {orders(func(o *plan.ObservedOutput) { o.Candidate[2].Type = "text" }), "column amount is numeric(12,2)"},
		"a table of somebody else":                 {orders(func(o *plan.ObservedOutput) { o.Kind = generation.Plain }), "fct_orders"},
		"the first run of a table":                 {nothingYet(), ""},
		"a column, where no release is active yet": {both(addsCurrency(), observed(func(o *plan.Observed) { o.Active = nil })), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(c.change)
			found := plan.Obstacles(in.Pipeline, in.Environments[0].Observed)
			if c.says == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.True(t, found[0].Blocking)
			require.Contains(t, found[0].Object+": "+found[0].Text, c.says)
			require.NotEmpty(t, found[0].Remedy)
		})
	}
}

func both(a, b change) change {
	return func(in *plan.Input, e *plan.EnvironmentInput) { a(in, e); b(in, e) }
}
