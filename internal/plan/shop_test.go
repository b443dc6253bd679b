package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/cutover"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// The shop: fct_orders by day, with 1.0.0 active and January 1 to 31 live; dim_channel is one partition.

var (
	byDay  = partition.Scheme{By: partition.Day, Column: "order_date"}
	whole  = partition.Scheme{By: partition.All}
	first  = release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:" + hex64('1')}
	second = release.Release{Pipeline: "shop", Version: "1.1.0", Digest: "sha256:" + hex64('2')}
)

func hex64(c byte) string {
	b := make([]byte, 64)
	for i := range b {
		b[i] = c
	}
	return string(b)
}

func january(from, to int) []partition.Key {
	var keys []partition.Key
	for d := from; d <= to; d++ {
		keys = append(keys, partition.Key(fmt.Sprintf("2026-01-%02d", d)))
	}
	return keys
}

func liveIn(output string, keys ...partition.Key) []generation.Generation {
	var live []generation.Generation
	for i, k := range keys {
		live = append(live, generation.Generation{ID: int64(i + 1), Output: output, Partition: k, State: generation.Live, Release: first, Rows: 2000})
	}
	return live
}

func orderColumns(more ...generation.Column) []generation.Column {
	return append([]generation.Column{
		{Name: "order_id", Type: "bigint", NotNull: true},
		{Name: "order_date", Type: "date", NotNull: true},
		{Name: "amount", Type: "numeric(12,2)"},
	}, more...)
}

func shopPipeline() *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Name: "shop", Version: "1.1.0", Owner: "shop-data", Description: "Orders of the shop, one row each.",
		Partition: byDay,
		Outputs: []pipeline.Output{
			{
				Table: "fct_orders", Partition: byDay, Key: []string{"order_id"}, Indexes: [][]string{{"channel"}},
				Checks: []check.Check{
					{Name: "row_count", Kind: check.RowCount, Severity: check.Fail, Min: new(1.0)},
					{Name: "unique(order_id)", Kind: check.Unique, Severity: check.Fail, Columns: []string{"order_id"}},
					{Name: "paid", Kind: check.Expression, Severity: check.Warn, SQL: "amount >= 0", MaxFailing: 0.005},
				},
			},
			{
				Table: "dim_channel", Partition: whole, Key: []string{"channel"},
				Checks: []check.Check{{Name: "not_null(channel)", Kind: check.NotNull, Severity: check.Fail, Columns: []string{"channel"}}},
			},
		},
		Smoke:  pipeline.Smoke{Latest: 1, MaxRuntime: 5 * time.Minute},
		Canary: pipeline.Canary{Latest: 1, Expect: canary.Budgets{Rows: new(0.01), Metrics: map[string]float64{"revenue": 0.02}}},
		Watch: pipeline.Watch{
			For: 24 * time.Hour, Every: 15 * time.Minute, OnBreach: pipeline.BreachRollback,
			Checks: []check.Metric{{Name: "revenue_7d", SQL: "select sum(amount) from fct_orders", Severity: check.Fail, VsHistory: new(0.25)}},
		},
	}
}

// prod is the environment with everything live, and nothing in the way.
func prod() plan.EnvironmentInput {
	return plan.EnvironmentInput{
		Config: pipeline.Config{Environment: "prod", WarehouseSchema: "shop"},
		Policy: pipeline.Policy{
			Approval:    gate.Approval{Required: true, Approvers: []string{"ada", "grace"}, Quorum: 1, FourEyes: true, Expires: 72 * time.Hour},
			Requires:    []string{"staging"},
			KeepRetired: 7 * 24 * time.Hour,
			Publish:     pipeline.Publish{Lanes: 2, Cutover: cutover.One, MaxPause: 500 * time.Millisecond},
		},
		Observed: plan.Observed{
			Environment: "prod", Schema: "shop", ConfigDigest: "sha256:" + hex64('c'), PolicyDigest: "sha256:" + hex64('d'),
			Active: new(first),
			Outputs: []plan.ObservedOutput{
				{
					Table: "fct_orders", Kind: generation.Managed, Scheme: new(byDay), Columns: orderColumns(),
					Candidate: []generation.Column{{Name: "order_id", Type: "bigint"}, {Name: "order_date", Type: "date"}, {Name: "amount", Type: "numeric(12,2)"}},
					Live:      liveIn("fct_orders", january(1, 31)...), Dependents: []string{"view bi.revenue"},
				},
				{
					Table: "dim_channel", Kind: generation.Managed, Scheme: new(whole),
					Columns:   []generation.Column{{Name: "channel", Type: "text", NotNull: true}},
					Candidate: []generation.Column{{Name: "channel", Type: "text"}},
					Live:      liveIn("dim_channel", partition.AllKey),
				},
			},
			Sources: january(1, 31), LockSlots: 6400, RowsPerSecond: 1000,
		},
	}
}

// change edits an input of one environment, prod.
type change func(*plan.Input, *plan.EnvironmentInput)

func input(changes ...change) plan.Input {
	env := prod()
	in := plan.Input{Release: second, Pipeline: shopPipeline()}
	for _, c := range changes {
		c(&in, &env)
	}
	in.Environments = append(in.Environments, env)
	return in
}

func compute(t *testing.T, changes ...change) plan.Plan {
	t.Helper()
	p, err := plan.Compute(input(changes...))
	require.NoError(t, err)
	return p
}

func rebuild(r plan.Rebuild) change {
	return func(in *plan.Input, _ *plan.EnvironmentInput) { in.Rebuild = r }
}

func orders(edit func(*plan.ObservedOutput)) change {
	return func(_ *plan.Input, e *plan.EnvironmentInput) { edit(&e.Observed.Outputs[0]) }
}

func observed(edit func(*plan.Observed)) change {
	return func(_ *plan.Input, e *plan.EnvironmentInput) { edit(&e.Observed) }
}

func policy(edit func(*pipeline.Policy)) change {
	return func(_ *plan.Input, e *plan.EnvironmentInput) { edit(&e.Policy) }
}

// addsCurrency makes the release return one more column.
func addsCurrency() change {
	return orders(func(o *plan.ObservedOutput) {
		o.Candidate = append(o.Candidate, generation.Column{Name: "currency_code", Type: "text"})
	})
}

// nothingYet empties the environment.
func nothingYet() change {
	return observed(func(o *plan.Observed) {
		o.Active = nil
		for i := range o.Outputs {
			o.Outputs[i].Kind, o.Outputs[i].Columns, o.Outputs[i].Scheme, o.Outputs[i].Live = generation.Absent, nil, nil, nil
		}
	})
}
