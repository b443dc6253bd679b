package warehouse_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/warehouse"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	one := 1.0
	for name, c := range map[string]struct {
		change  func(p *pipeline.Pipeline)
		prepare string
		subject string // of the only finding that is not right; empty: all are
		says    string
	}{
		"a pipeline that is right": {change: func(*pipeline.Pipeline) {}},
		"a SELECT that fails": {
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].SQL = "SELECT nothing FROM raw_orders"
				p.Tests, p.Watch.Checks = nil, nil
			},
			subject: "fct_orders: SELECT", says: "nothing",
		},
		"a column without a name": {
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, amount, 1 + 1 FROM raw_orders"
				p.Tests, p.Watch.Checks = nil, nil
			},
			subject: "fct_orders: SELECT", says: "column 4 has no name of its own",
		},
		"a SELECT without the key": {
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].SQL = "SELECT ordered_at::date AS order_date, amount FROM raw_orders"
				p.Tests, p.Watch.Checks = nil, nil
			},
			subject: "fct_orders: SELECT", says: "order_id",
		},
		"a type that is not the table's": {
			prepare: `CREATE TABLE fct_orders (order_id bigint, order_date date, channel text, amount bigint) PARTITION BY RANGE (order_date)`,
			change:  func(p *pipeline.Pipeline) { p.Tests, p.Watch.Checks = nil, nil },
			subject: "fct_orders: SELECT", says: "amount is bigint in the table and numeric(12,2) in the SELECT",
		},
		"a check that fails": {
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].Checks = append(p.Outputs[0].Checks, check.Check{Name: "wrong", Kind: check.Expression, Severity: check.Fail, SQL: "amount > now()"})
			},
			subject: "fct_orders: check wrong", says: "42883",
		},
		"a watch check that fails": {
			change: func(p *pipeline.Pipeline) {
				p.Watch.Checks = append(p.Watch.Checks, check.Metric{Name: "wrong", SQL: "SELECT sum(nothing) FROM fct_orders", Severity: check.Fail, Min: &one})
			},
			subject: "watch: wrong", says: "nothing",
		},
		"a unit test that finds other rows": {
			change: func(p *pipeline.Pipeline) {
				p.Tests[0].Expect["fct_orders"] = []pipeline.Row{{"order_id": 1, "amount": 10}, {"order_id": 2, "amount": 21.5}}
			},
			subject: "tests/totals.yaml: amounts are kept", says: `missing {"amount": 21.5`,
		},
		"a unit test that finds a row twice": {
			change: func(p *pipeline.Pipeline) {
				p.Tests[0].Given["raw_orders"] = append(p.Tests[0].Given["raw_orders"], p.Tests[0].Given["raw_orders"][0])
			},
			subject: "tests/totals.yaml: amounts are kept", says: "expected 2 rows, got 3; unexpected",
		},
		"a unit test that expects nothing": {
			change: func(p *pipeline.Pipeline) {
				p.Tests[0].Expect["fct_orders"] = nil
			},
			subject: "tests/totals.yaml: amounts are kept", says: "expected 0 rows, got 2",
		},
		"a unit test of a column that is not there": {
			change: func(p *pipeline.Pipeline) {
				p.Tests[0].Expect["fct_orders"] = []pipeline.Row{{"total": 1}}
			},
			subject: "tests/totals.yaml: amounts are kept", says: "no column total",
		},
		"a fixture of another type": {
			change: func(p *pipeline.Pipeline) {
				p.Tests[0].Given["raw_orders"][0]["amount"] = "ten"
			},
			subject: "tests/totals.yaml: amounts are kept", says: "22P02",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if c.prepare != "" {
				_, err := b.db.Pool.Exec(t.Context(), c.prepare)
				require.NoError(t, err)
			}
			p := shop()
			p.Watch.Checks = []check.Metric{{Name: "revenue", SQL: "SELECT coalesce(sum(amount), 0) FROM fct_orders", Severity: check.Fail, Min: &one}}
			p.Tests = []pipeline.UnitTest{{
				File: "tests/totals.yaml", Name: "amounts are kept", Partition: "2026-01-01",
				Given: map[string][]pipeline.Row{"raw_orders": {
					{"order_id": int64(1), "ordered_at": "2026-01-01 09:00", "amount": 10.0, "channel": "it's"},
					{"order_id": int64(2), "ordered_at": "2026-01-01 10:00", "amount": 20.5},
					{"order_id": int64(3), "ordered_at": "2026-01-02 10:00", "amount": 1.0},
				}},
				Expect: map[string][]pipeline.Row{"fct_orders": {{"order_id": 2, "amount": 20.5, "channel": nil}, {"order_id": 1, "amount": 10, "channel": "it's"}}},
			}}
			c.change(p)
			findings, err := b.Validate(t.Context(), p, header())
			require.NoError(t, err)
			require.NotEmpty(t, findings)
			var wrong []warehouse.Finding
			for _, f := range findings {
				if !f.OK {
					wrong = append(wrong, f)
				}
			}
			if c.subject == "" {
				require.Empty(t, wrong)
				require.Len(t, findings, 5) // SELECT, two checks, watch, test
				return
			}
			require.Len(t, wrong, 1, "%+v", wrong)
			require.Equal(t, c.subject, wrong[0].Subject)
			require.Contains(t, wrong[0].Text, c.says)
			require.NotEmpty(t, wrong[0].Hint)
		})
	}
}
