package canary_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/canary"
	"drawbridge/internal/gate"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	keyed := canary.Diff{
		Mode: canary.Keyed, Baseline: canary.Live, BaselineRows: 2031, CandidateRows: 2031, CommonRows: 2031,
		Changed: map[string]int64{"amount": 0, "zone": 0},
	}
	with := func(change func(*canary.Diff)) canary.Diff {
		d := keyed
		change(&d)
		return d
	}
	metric := func(pair canary.MetricPair) canary.Diff {
		return with(func(d *canary.Diff) { d.Metrics = map[string]canary.MetricPair{"revenue": pair} })
	}
	for name, test := range map[string]struct {
		diff    canary.Diff
		budgets canary.Budgets
		outcome gate.Outcome
		reason  string
	}{
		"identical": {with(func(d *canary.Diff) { d.Identical = true }), canary.Budgets{}, gate.Pass, "identical to the live generation: 2,031 rows"},
		"a changed column has no budget": {
			with(func(d *canary.Diff) { d.Changed = map[string]int64{"amount": 412} }),
			canary.Budgets{},
			gate.Fail, "amount changed in 412 of 2,031 rows (20.29 %), budget 0 %",
		},
		"a changed column within its budget": {
			with(func(d *canary.Diff) { d.Changed = map[string]int64{"amount": 412} }),
			canary.Budgets{Changed: map[string]float64{"amount": 0.25}},
			gate.Pass, "within every budget: 2,031 → 2,031 rows",
		},
		"another column's budget does not help": {
			with(func(d *canary.Diff) { d.Changed = map[string]int64{"amount": 1} }),
			canary.Budgets{Changed: map[string]float64{"zone": 1}},
			gate.Fail, "amount changed in 1 of 2,031 rows (0.04924 %), budget 0 %",
		},
		"one removed key": {
			with(func(d *canary.Diff) { d.RemovedKeys = 1 }),
			canary.Budgets{},
			gate.Fail, "removed 1 of 2,031 keys (0.04924 %), budget 0 %",
		},
		"removed keys within": {with(func(d *canary.Diff) { d.RemovedKeys = 1 }), canary.Budgets{RemovedKeys: new(0.01)}, gate.Pass, "within every budget"},
		"added keys at the default": {
			with(func(d *canary.Diff) { d.BaselineRows, d.CandidateRows, d.AddedKeys = 100, 105, 5 }),
			canary.Budgets{},
			gate.Pass, "within every budget: 100 → 105 rows",
		},
		"added keys above the default": {
			with(func(d *canary.Diff) { d.BaselineRows, d.CandidateRows, d.AddedKeys = 100, 106, 6 }),
			canary.Budgets{},
			gate.Fail, "the row count went 100 → 106 rows (+6 %), budget 5 %; added 6 keys to 100 (6 %), budget 5 %",
		},
		"fewer rows": {
			with(func(d *canary.Diff) { d.CandidateRows, d.RemovedKeys = 1000, 1031 }),
			canary.Budgets{RemovedKeys: new(1.0)},
			gate.Fail, "the row count went 2,031 → 1,000 rows (-50.76 %), budget 5 %",
		},
		"rows where there were none": {
			with(func(d *canary.Diff) { d.BaselineRows, d.CommonRows, d.AddedKeys = 0, 0, 2031 }),
			canary.Budgets{Rows: new(9.0), AddedKeys: new(9.0)},
			gate.Fail, "the row count went 0 → 2,031 rows (from zero), budget 900 %; added 2,031 keys to 0 (from zero), budget 900 %",
		},
		"a metric within":       {metric(canary.MetricPair{Baseline: new(100.0), Candidate: new(101.0)}), canary.Budgets{}, gate.Pass, "within every budget"},
		"a metric out":          {metric(canary.MetricPair{Baseline: new(100.0), Candidate: new(98.9)}), canary.Budgets{}, gate.Fail, "revenue went 100 → 98.9 (-1.1 %), budget 1 %"},
		"a metric's own budget": {metric(canary.MetricPair{Baseline: new(100.0), Candidate: new(98.9)}), canary.Budgets{Metrics: map[string]float64{"revenue": 0.02}}, gate.Pass, "within"},
		"a metric lost":         {metric(canary.MetricPair{Baseline: new(100.0)}), canary.Budgets{}, gate.Inconclusive, "could not be compared: revenue went 100 → no number"},
		"a metric of no rows":   {metric(canary.MetricPair{}), canary.Budgets{}, gate.Pass, "within"},
		"a new metric":          {metric(canary.MetricPair{Candidate: new(5.0), New: true}), canary.Budgets{}, gate.Pass, "within"},
		"rounding of a sum": {
			metric(canary.MetricPair{Baseline: new(0.1 + 0.2), Candidate: new(0.3)}),
			canary.Budgets{Metrics: map[string]float64{"revenue": 0}},
			gate.Pass, "within",
		},
		"a key that is none": {with(func(d *canary.Diff) { d.RepeatedKeys = true }), canary.Budgets{}, gate.Inconclusive, "the key is not unique"},
		"a changed row without a key": {
			canary.Diff{Mode: canary.Multiset, BaselineRows: 100, CandidateRows: 100, RemovedKeys: 1, AddedKeys: 1, ChangedColumns: []string{"fare"}},
			canary.Budgets{},
			gate.Fail, "removed 1 of 100 rows (1 %), budget 0 %; differing columns: fare",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := canary.Judge(test.diff, test.budgets)
			require.Equal(t, test.outcome, v.Outcome, v.Reason)
			require.Contains(t, v.Reason, test.reason)
			if test.outcome == gate.Fail {
				require.Equal(t, test.reason, v.Reason)
			}
		})
	}
}

func TestEvidenceNamesWhatWasNotCompared(t *testing.T) {
	t.Parallel()
	d := canary.Diff{
		Mode: canary.Keyed, BaselineRows: 9, CandidateRows: 9, CommonRows: 9, AddedColumns: []string{"currency_code"},
		RemovedColumns: []string{"note"}, Changed: map[string]int64{"amount": 3, "zone": 0, "fare": 0},
	}
	v := canary.Judge(d, canary.Budgets{Changed: map[string]float64{"fare": 0.01}})
	require.Equal(t, []gate.Evidence{
		{Name: "rows", Value: "9 → 9 rows (0 %)", Limit: "5 %", Outcome: gate.Pass},
		{Name: "removed_keys", Value: "0 of 9 keys (0 %)", Limit: "0 %", Outcome: gate.Pass},
		{Name: "added_keys", Value: "0 keys to 9 (0 %)", Limit: "5 %", Outcome: gate.Pass},
		{Name: "changed.amount", Value: "3 of 9 rows (33.33 %)", Limit: "0 %", Outcome: gate.Fail},
		{Name: "changed.fare", Value: "0 of 9 rows (0 %)", Limit: "1 %", Outcome: gate.Pass},
		{Name: "added_columns", Value: "currency_code", Outcome: gate.Pass, Note: "not compared"},
		{Name: "removed_columns", Value: "note", Outcome: gate.Pass, Note: "not compared"},
	}, v.Evidence)
}

func drawBudgets(t *rapid.T, label string) canary.Budgets {
	limit := rapid.Float64Range(0, 2)
	return canary.Budgets{
		Rows: new(limit.Draw(t, label+" rows")), RemovedKeys: new(limit.Draw(t, label+" removed")), AddedKeys: new(limit.Draw(t, label+" added")),
		Changed: map[string]float64{"a": limit.Draw(t, label+" a"), "b": limit.Draw(t, label+" b")},
		Metrics: map[string]float64{"m": limit.Draw(t, label+" m")},
	}
}

func drawDiff(t *rapid.T) canary.Diff {
	count := rapid.Int64Range(0, 1000)
	number := rapid.Ptr(rapid.Float64Range(-1000, 1000), true)
	return canary.Diff{
		Mode:         rapid.SampledFrom([]canary.Mode{canary.Keyed, canary.Multiset}).Draw(t, "mode"),
		BaselineRows: count.Draw(t, "baseline"), CandidateRows: count.Draw(t, "candidate"), RemovedKeys: count.Draw(t, "removed"),
		AddedKeys: count.Draw(t, "added"), CommonRows: count.Draw(t, "common"),
		Changed: map[string]int64{"a": count.Draw(t, "a"), "b": count.Draw(t, "b")},
		Metrics: map[string]canary.MetricPair{"m": {Baseline: number.Draw(t, "before"), Candidate: number.Draw(t, "after")}},
	}
}

func TestALargerBudgetNeverJudgesWorse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, b, more := drawDiff(t), drawBudgets(t, "given"), drawBudgets(t, "more")
		larger := canary.Budgets{
			Rows: new(*b.Rows + *more.Rows), RemovedKeys: new(*b.RemovedKeys + *more.RemovedKeys), AddedKeys: new(*b.AddedKeys + *more.AddedKeys),
			Changed: map[string]float64{"a": b.Changed["a"] + more.Changed["a"], "b": b.Changed["b"] + more.Changed["b"]},
			Metrics: map[string]float64{"m": b.Metrics["m"] + more.Metrics["m"]},
		}
		rank := map[gate.Outcome]int{gate.Pass: 0, gate.Inconclusive: 1, gate.Fail: 2}
		before, after := canary.Judge(d, b).Outcome, canary.Judge(d, larger).Outcome
		if rank[after] > rank[before] {
			t.Fatalf("%s became %s", before, after)
		}
	})
}

func TestEqualSidesPassAnyBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDiff(t)
		d.CandidateRows, d.CommonRows, d.RemovedKeys, d.AddedKeys = d.BaselineRows, d.BaselineRows, 0, 0
		d.Changed = map[string]int64{"a": 0, "b": 0}
		d.Metrics["m"] = canary.MetricPair{Baseline: d.Metrics["m"].Baseline, Candidate: d.Metrics["m"].Baseline}
		none := canary.Budgets{Rows: new(0.0), RemovedKeys: new(0.0), AddedKeys: new(0.0), Metrics: map[string]float64{"m": 0}}
		for _, b := range []canary.Budgets{none, {}, drawBudgets(t, "any")} {
			if v := canary.Judge(d, b); v.Outcome != gate.Pass {
				t.Fatalf("%s: %s", v.Outcome, v.Reason)
			}
		}
	})
}
