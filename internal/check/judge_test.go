package check_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/gate"
)

// judge evaluates one check as if the server had returned the text, NULL for nil, for 200 rows.
func judge(t *testing.T, c check.Check, history []float64, text *string) check.Result {
	t.Helper()
	c.Name = "it"
	if c.Severity == "" {
		c.Severity = check.Fail
	}
	p, err := check.Compile("t", orders(), []check.Check{c}, check.Options{})
	require.NoError(t, err)
	var v check.Values
	row := []*string{new("200"), new("42"), text}
	s := p.Statements[0]
	require.NoError(t, v.Put(s, row[:len(s.Fields)]))
	results := p.Judge(v, check.History{"it": history, "another": {1, 1, 1}})
	require.Len(t, results, 1)
	return results[0]
}

func TestJudge(t *testing.T) {
	t.Parallel()
	count := check.Check{Kind: check.RowCount}
	metric := check.Check{Kind: check.MetricKind, SQL: "sum(amount)"}
	expression := check.Check{Kind: check.Expression, SQL: "true"}
	limited := func(c check.Check, low, high, vsHistory *float64) check.Check {
		c.Min, c.Max, c.VsHistory = low, high, vsHistory
		return c
	}
	tolerant := expression
	tolerant.MaxFailing = 0.01
	warning := expression
	warning.Severity = check.Warn
	for name, test := range map[string]struct {
		check   check.Check
		history []float64
		text    *string
		outcome check.Outcome
		reason  string
	}{
		"row count at its minimum":           {limited(count, new(200.0), nil, nil), nil, nil, check.Passed, ""},
		"row count below":                    {limited(count, new(201.0), nil, nil), nil, nil, check.Failed, "200 is below 201"},
		"row count above":                    {limited(count, nil, new(199.0), nil), nil, nil, check.Failed, "200 is above 199"},
		"within history":                     {limited(count, nil, nil, new(0.25)), []float64{160, 1, 1e9}, nil, check.Passed, ""},
		"out of history":                     {limited(count, nil, nil, new(0.24)), []float64{160, 1, 1e9}, nil, check.Failed, "200 differs by 25 % from 160 in history"},
		"median of an even history":          {limited(count, nil, nil, new(0.1)), []float64{300, 100, 250, 150}, nil, check.Passed, ""},
		"short history does not run":         {limited(count, nil, nil, new(0.1)), []float64{1, 1}, nil, check.Skipped, "it has 2 of 3 values"},
		"short history leaves the limits":    {limited(count, new(1.0), nil, new(0.1)), []float64{1, 1}, nil, check.Passed, "it has 2 of 3 values"},
		"short history hides no breach":      {limited(count, new(900.0), nil, new(0.1)), nil, nil, check.Failed, "below"},
		"from zero every change is too much": {limited(count, nil, nil, new(99.0)), []float64{0, 0, 0}, nil, check.Failed, "no percentage of zero"},
		"zero stays zero":                    {limited(metric, nil, nil, new(0.0)), []float64{0, 0, 0}, new("0"), check.Passed, ""},
		"negative history":                   {limited(metric, nil, nil, new(0.1)), []float64{-10, -10, -10}, new("-12"), check.Failed, "20 %"},
		"metric within":                      {limited(metric, nil, new(1.5), nil), nil, new("1.5"), check.Passed, ""},
		"metric without threshold":           {metric, nil, new("7"), check.Skipped, "recorded only"},
		"metric is NULL":                     {limited(metric, nil, new(1.0), nil), nil, nil, check.Errored, "no value"},
		"metric is NaN":                      {limited(metric, nil, new(1.0), nil), nil, new("NaN"), check.Errored, "no finite number"},
		"metric is infinite":                 {limited(metric, new(1.0), nil, nil), nil, new("Infinity"), check.Errored, "no finite number"},
		"no row fails":                       {expression, nil, new("0"), check.Passed, ""},
		"one row fails":                      {expression, nil, new("1"), check.Failed, "1 of 200 rows fail (0.5 %)"},
		"one row is reported":                {warning, nil, new("1"), check.Warned, "1 of 200 rows fail (0.5 %)"},
		"as many fail as may":                {tolerant, nil, new("2"), check.Passed, ""},
		"more fail than may":                 {tolerant, nil, new("3"), check.Failed, "(1.5 %)"},
		"a count that is none":               {expression, nil, nil, check.Errored, "no value"},
		"an unconfirmed duplicate":           {check.Check{Kind: check.Unique, Columns: []string{"line"}}, nil, new("1"), check.Errored, "not evaluated"},
		"unique":                             {check.Check{Kind: check.Unique, Columns: []string{"line"}}, nil, new("0"), check.Passed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := judge(t, test.check, test.history, test.text)
			require.Equal(t, test.outcome, r.Outcome, r.Reason)
			if test.reason == "" {
				require.Empty(t, r.Reason)
			}
			require.Contains(t, r.Reason, test.reason)
		})
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 0.5, check.Change(-10, -15), 1e-15)
	require.Zero(t, check.Change(0, 0))
	require.True(t, math.IsInf(check.Change(0, 1e-300), 1))
	require.Zero(t, check.Change(0.1+0.2, 0.3), "the order of a sum")
	require.False(t, check.Exceeds(check.Change(1, 1.1), 0.1), "equal to the limit, but for rounding")
	require.True(t, check.Exceeds(check.Change(1, 1.1001), 0.1))
	require.True(t, check.Exceeds(check.Share(1, 10_000_000_000), 0), "one row of ten billion")
}

func TestALostStatementIsAnErrorAndNeverAPass(t *testing.T) {
	t.Parallel()
	p, err := check.Compile("t", orders(), everyKind(), check.Options{EstimatedRows: 1e9})
	require.NoError(t, err)
	var v check.Values
	require.NoError(t, v.Put(p.Statements[0], []*string{new("3"), new("1"), new("0"), new("0"), new("0"), new("1")}))
	v.Lose(p.Statements[1], "SQLSTATE 22012")
	results := p.Judge(v, nil)
	require.Equal(t, check.Passed, results[0].Outcome)
	require.Equal(t, check.Errored, results[2].Outcome)
	require.Contains(t, results[2].Reason, "SQLSTATE 22012")
	for _, r := range p.Judge(check.Values{}, nil) {
		require.Equal(t, check.Errored, r.Outcome, r.Name)
	}
	require.Error(t, v.Put(p.Statements[0], nil), "a row of another shape")
}

func TestProvedChecksPassAndSayWhy(t *testing.T) {
	t.Parallel()
	p, err := check.Compile("t", orders(), everyKind()[1:3], check.Options{Proved: map[string]bool{"not_null": true, "key": true}})
	require.NoError(t, err)
	var v check.Values
	require.NoError(t, v.Put(p.Statements[0], []*string{new("3"), new("1")}))
	verdict := check.Verdict(p.Judge(v, nil))
	require.Equal(t, gate.Pass, verdict.Outcome)
	require.Equal(t, "proved by constraint", verdict.Evidence[0].Note)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	result := func(o check.Outcome) check.Result {
		return check.Result{Name: string(o), Outcome: o, Reason: "because"}
	}
	pass, warn, fail, broken, skip := result(check.Passed), result(check.Warned), result(check.Failed), result(check.Errored), result(check.Skipped)
	for name, test := range map[string]struct {
		results []check.Result
		outcome gate.Outcome
		reason  string
	}{
		"nothing to run":           {nil, gate.Inconclusive, "no check ran"},
		"everything skipped":       {[]check.Result{skip, skip}, gate.Inconclusive, "no check ran"},
		"a skip weighs nothing":    {[]check.Result{skip, pass}, gate.Pass, "1 check passed"},
		"a warning passes":         {[]check.Result{pass, warn}, gate.Pass, "2 checks ran, none failed, 1 warned: warn: because"},
		"an error is no pass":      {[]check.Result{pass, broken}, gate.Inconclusive, "1 of 2 checks could not be evaluated: error: because"},
		"a failure fails":          {[]check.Result{pass, broken, warn, fail}, gate.Fail, "1 of 4 checks failed: fail: because"},
		"a long story is cut once": {[]check.Result{fail, fail, fail, fail}, gate.Fail, "4 of 4 checks failed: fail: because; fail: because; fail: because; and 1 more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := check.Verdict(test.results)
			require.Equal(t, test.outcome, v.Outcome)
			require.Equal(t, test.reason, v.Reason)
			require.Len(t, v.Evidence, len(test.results))
		})
	}
}

func TestVerdictEvidenceHasValueAndLimit(t *testing.T) {
	t.Parallel()
	r := judge(t, check.Check{Kind: check.Expression, SQL: "true", MaxFailing: 0.001}, nil, new("1"))
	want := gate.Evidence{Name: "it", Value: "1 of 200 rows", Limit: "0.1 % of rows", Outcome: gate.Fail, Note: "1 of 200 rows fail (0.5 %)"}
	require.Equal(t, want, check.Verdict([]check.Result{r}).Evidence[0])
	r = judge(t, check.Check{Kind: check.RowCount, Min: new(1.0), Max: new(5000.0), VsHistory: new(0.4)}, []float64{200, 210, 190}, nil)
	want = gate.Evidence{Name: "it", Value: "200", Limit: "at least 1, at most 5,000, within 40 % of history", Outcome: gate.Pass}
	require.Equal(t, want, check.Verdict([]check.Result{r}).Evidence[0])
}

func TestAWatchMetricNeedsOneEarlierValue(t *testing.T) {
	t.Parallel()
	m := check.Metric{Name: "m", Severity: check.Fail, SQL: "select 1", VsHistory: new(0.25)}
	s, err := check.CompileMetric(m)
	require.NoError(t, err)
	var v check.Values
	require.Equal(t, check.Errored, check.JudgeMetric(m, v, []float64{100}).Outcome)
	require.NoError(t, v.Put(s, []*string{new("130")}))
	require.Equal(t, check.Skipped, check.JudgeMetric(m, v, nil).Outcome)
	require.Equal(t, check.Failed, check.JudgeMetric(m, v, []float64{100}).Outcome)
	require.Equal(t, check.Passed, check.JudgeMetric(m, v, []float64{104}).Outcome)
}
