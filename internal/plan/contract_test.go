package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/contract"
	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
)

func TestAReleaseThatBreaksAContractIsRefusedAndItsReadersAreNamed(t *testing.T) {
	t.Parallel()
	promised := &contract.Contract{
		File: "contracts/orders.odcs.yaml", ID: "orders", Version: "2.1.0", Consumers: []string{"bi_reader", "finance"}, Unchecked: []string{"even (sql)"},
		Columns: []contract.Column{{Name: "order_id", Type: "bigint"}, {Name: "amount", Kind: contract.Number}},
	}
	for name, tc := range map[string]struct {
		change change
		broken []string
	}{
		"it keeps it": {func(*plan.Input, *plan.EnvironmentInput) {}, nil},
		"more columns do not": {orders(func(o *plan.ObservedOutput) {
			o.Candidate = append(o.Candidate, generation.Column{Name: "x", Type: "text"})
		}), nil},
		"a column is missing": {orders(func(o *plan.ObservedOutput) { o.Candidate = o.Candidate[:2] }), []string{
			"column amount is missing, and is promised as number by contracts/orders.odcs.yaml; it is read by bi_reader, finance",
		}},
		"a column is of another type": {orders(func(o *plan.ObservedOutput) { o.Columns[0].Type, o.Candidate[0].Type = "text", "text" }), []string{
			"column order_id is text, and is promised as bigint by contracts/orders.odcs.yaml; it is read by bi_reader, finance",
		}},
		"what it returns is not known": {orders(func(o *plan.ObservedOutput) { o.Candidate = nil }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compute(t, func(in *plan.Input, env *plan.EnvironmentInput) {
				in.Pipeline.Outputs[0].Contract = promised
				tc.change(in, env)
			})
			var broken []string
			for _, problem := range p.Blocking() {
				if problem.Rule == "contract" {
					require.Equal(t, "fct_orders", problem.Object)
					require.NotEmpty(t, problem.Remedy)
					broken = append(broken, problem.Text)
				}
			}
			require.Equal(t, tc.broken, broken)
			require.Contains(t, p.Environments[0].Checks, "fct_orders: contract orders 2.1.0 (contracts/orders.odcs.yaml), it is read by bi_reader, finance; not checked here: even (sql)")
		})
	}
}
