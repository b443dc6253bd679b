package plan_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

func TestDrift(t *testing.T) {
	t.Parallel()
	currency := generation.Column{Name: "currency_code", Type: "text"}
	orders := func(edit func(*plan.ObservedOutput)) func(*plan.Observed) {
		return func(o *plan.Observed) { edit(&o.Outputs[0]) }
	}
	expanded := orders(func(o *plan.ObservedOutput) { o.Columns = append(o.Columns, currency) })
	created := func(o *plan.Observed) {
		o.Outputs[0].Kind, o.Outputs[0].Scheme, o.Outputs[0].Columns = generation.Managed, new(byDay), orderColumns()
	}
	problem := func(blocking bool) func(*plan.Observed) {
		return func(o *plan.Observed) {
			o.Problems = append(o.Problems, plan.Problem{Rule: "publication", Object: "fct_orders", Text: "it is published", Blocking: blocking})
		}
	}
	for name, c := range map[string]struct {
		planned change
		now     func(*plan.Observed)
		moved   []string
	}{
		"nothing moved":                   {addsCurrency(), func(*plan.Observed) {}, nil},
		"our release is active":           {addsCurrency(), func(o *plan.Observed) { o.Active = new(second) }, nil},
		"our column is there":             {addsCurrency(), expanded, nil},
		"our table is there":              {nothingYet(), created, nil},
		"live generations and runs moved": {nil, func(o *plan.Observed) { o.Outputs[0].Live, o.OpenRuns, o.Sources = nil, []string{"run/x"}, nil }, nil},
		"a new risk":                      {nil, problem(false), nil},
		"a problem that was planned with": {observed(problem(true)), func(*plan.Observed) {}, nil},
		"a problem that is gone":          {observed(problem(true)), func(o *plan.Observed) { o.Problems = nil }, nil},
		"a new blocking problem":          {nil, problem(true), []string{"a new problem with fct_orders: it is published"}},
		"a risk that has come to block":   {observed(problem(false)), problem(true), []string{"a new problem with fct_orders: it is published"}},
		"another release is active":       {nil, func(o *plan.Observed) { o.Active = &release.Release{Version: "1.0.5", Digest: "sha256:" + hex64('5')} }, []string{"the active release was 1.0.0 (111111111111), and is 1.0.5 (555555555555)"}},
		"no release is active any more":   {nil, func(o *plan.Observed) { o.Active = nil }, []string{"the active release was 1.0.0 (111111111111), and is none"}},
		"another schema":                  {nil, func(o *plan.Observed) { o.Schema = "other" }, []string{"the schema was shop, and is other"}},
		"another config":                  {nil, func(o *plan.Observed) { o.ConfigDigest = "sha256:" + hex64('e') }, []string{"the config has changed: its digest was cccccccccccc, and is eeeeeeeeeeee"}},
		"another policy":                  {nil, func(o *plan.Observed) { o.PolicyDigest = "sha256:" + hex64('e') }, []string{"the policy has changed: its digest was dddddddddddd, and is eeeeeeeeeeee"}},
		"a column of another type":        {nil, orders(func(o *plan.ObservedOutput) { o.Columns[2].Type, o.Candidate[2].Type = "text", "text" }), []string{"fct_orders: column amount was numeric(12,2), and is text"}},
		"a column that is required now":   {nil, orders(func(o *plan.ObservedOutput) { o.Columns[2].NotNull = true }), []string{"fct_orders: column amount was numeric(12,2), and is numeric(12,2) NOT NULL"}},
		"a column of somebody else":       {nil, expanded, []string{"fct_orders: there is a new column currency_code text"}},
		"our column in another type": {addsCurrency(), orders(func(o *plan.ObservedOutput) {
			o.Columns = append(o.Columns, generation.Column{Name: "currency_code", Type: "character(3)"})
		}), []string{"fct_orders: there is a new column currency_code character(3)"}},
		"a column is gone":                  {nil, orders(func(o *plan.ObservedOutput) { o.Columns = o.Columns[:2] }), []string{"fct_orders: column amount is gone"}},
		"a table that others made":          {nothingYet(), orders(func(o *plan.ObservedOutput) { o.Kind, o.Columns = generation.Plain, orderColumns()[:1] }), []string{"fct_orders: there is a new column order_id bigint NOT NULL"}},
		"the release returns other columns": {nil, orders(func(o *plan.ObservedOutput) { o.Candidate = append(o.Candidate, currency) }), []string{"fct_orders: the release would now add (currency_code text), the plan adds ()"}},
		"the release returns another type":  {nil, orders(func(o *plan.ObservedOutput) { o.Candidate[2].Type = "text" }), []string{"fct_orders: column amount is numeric(12,2), the release returns text"}},
		"columns in another order":          {nil, orders(func(o *plan.ObservedOutput) { slices.Reverse(o.Columns) }), []string{"the tables of the outputs are not the ones that were planned for: another kind of table, another partitioning, or columns in another order"}},
		"another partitioning":              {nil, orders(func(o *plan.ObservedOutput) { o.Scheme = &partition.Scheme{By: partition.Month, Column: "order_date"} }), []string{"the tables of the outputs are not the ones that were planned for: another kind of table, another partitioning, or columns in another order"}},
		"an output is gone":                 {nil, func(o *plan.Observed) { o.Outputs = o.Outputs[:1] }, []string{"the tables of the outputs are not the ones that were planned for: another kind of table, another partitioning, or columns in another order"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []change
			if c.planned != nil {
				changes = append(changes, c.planned)
			}
			now := input(changes...).Environments[0].Observed
			c.now(&now)
			require.Equal(t, c.moved, plan.Drift(compute(t, changes...).Environments[0], second, now))
		})
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	outputs := prod().Observed.Outputs
	same := plan.Fingerprint(outputs)
	reversed := slices.Clone(outputs)
	slices.Reverse(reversed)
	require.Equal(t, same, plan.Fingerprint(reversed), "the order of the outputs does not matter")
	outputs[0].Live, outputs[0].Candidate = nil, nil
	require.Equal(t, same, plan.Fingerprint(outputs), "what is live, and what a release returns, is no part of it")
	outputs[0].Columns[0].Type = "integer"
	require.NotEqual(t, same, plan.Fingerprint(outputs))
}
