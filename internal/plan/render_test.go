package plan_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// crossing is a release that adds a column, from a staging where nothing is yet to prod.
func crossing(t *testing.T) plan.Plan {
	t.Helper()
	in := input(addsCurrency(), rebuild(plan.Rebuild{Mode: plan.RebuildLast, Last: 12}))
	staging := input(nothingYet(), addsCurrency(), policy(func(p *pipeline.Policy) { p.Approval, p.Requires = gate.Approval{}, nil })).Environments[0]
	staging.Observed.Environment, staging.Observed.Schema, staging.Observed.Outputs[0].Dependents = "staging", "shop_staging", nil
	staging.Observed.Sources = january(30, 31)
	in.Environments = append([]plan.EnvironmentInput{staging}, in.Environments...)
	p, err := plan.Compute(in)
	require.NoError(t, err)
	return p
}

func refused(t *testing.T) plan.Plan {
	t.Helper()
	return compute(t, orders(func(o *plan.ObservedOutput) { o.Candidate[2].Type = "text" }), observed(func(o *plan.Observed) {
		o.Problems = []plan.Problem{{Rule: "standby", Object: "server", Text: "a swap waits for the readers of 1 standby", Remedy: "plan for the wait"}}
	}))
}

func TestScreens(t *testing.T) {
	t.Parallel()
	golden(t, "crossing.txt", plan.Text(crossing(t)))
	golden(t, "crossing.md", plan.Markdown(crossing(t)))
	golden(t, "refused.txt", plan.Text(refused(t)))
	golden(t, "refused.md", plan.Markdown(refused(t)))
}

func TestNextCommand(t *testing.T) {
	t.Parallel()
	p := crossing(t)
	require.Contains(t, plan.Text(p), "drawbridge deploy "+gate.Short(p.Digest))
	p = refused(t)
	require.Contains(t, plan.Text(p), "drawbridge plan shop@1.1.0 --to prod")
	require.NotContains(t, plan.Text(p), "drawbridge deploy")
}

func TestPlanWithoutWhatIsShownClaimsNothing(t *testing.T) {
	t.Parallel()
	var p plan.Plan
	require.NoError(t, json.Unmarshal(plan.Canonical(compute(t)), &p))
	for _, text := range []string{plan.Text(p), plan.Markdown(p)} {
		require.NotContains(t, text, "no reader")
		require.NotContains(t, text, "no open run")
		require.NotContains(t, text, "live now")
	}
}

func TestMarkdownTakesNoMarkupFromTheRelease(t *testing.T) {
	t.Parallel()
	text := plan.Markdown(compute(t, func(in *plan.Input, _ *plan.EnvironmentInput) {
		in.Pipeline.Description = "<img src=x> [click](http://x) **bold**\n# heading"
		in.Pipeline.Owner = "a|b"
	}))
	require.NotContains(t, text, "<img")
	require.NotContains(t, text, " [click]")
	require.NotContains(t, text, " **bold**")
	require.NotContains(t, text, "\n# heading")
}

func TestDefaultBudgetsAreTheCanarys(t *testing.T) {
	t.Parallel()
	one := 1.0
	verdict := canary.Judge(canary.Diff{
		BaselineRows: 100, CandidateRows: 100, CommonRows: 100, Changed: map[string]int64{"amount": 1},
		Metrics: map[string]canary.MetricPair{"revenue": {Baseline: &one, Candidate: &one}},
	}, canary.Budgets{})
	budgets := strings.Join(compute(t, func(in *plan.Input, _ *plan.EnvironmentInput) {
		in.Pipeline.Canary.Expect = canary.Budgets{}
	}).Environments[0].Budgets, "; ")
	said := map[string]string{
		"rows": "rows", "removed_keys": "removed keys", "added_keys": "added keys",
		"changed.amount": "any other column changed", "metrics.revenue": "any other metric",
	}
	require.Len(t, verdict.Evidence, len(said))
	for _, e := range verdict.Evidence {
		require.Contains(t, budgets, fmt.Sprintf("%s ≤ %s", said[e.Name], e.Limit))
	}
}

// huge has ten thousand partitions in each of five environments, and nothing is short.
func huge(t *testing.T) plan.Plan {
	t.Helper()
	hourly := partition.Scheme{By: partition.Hour, Column: "at"}
	last, err := hourly.Parse("2025-01-01T00")
	require.NoError(t, err)
	var keys []partition.Key
	for range 10_000 {
		keys = append(keys, last)
		last, err = hourly.Next(last)
		require.NoError(t, err)
	}
	in := plan.Input{Release: second, Pipeline: shopPipeline(), Rebuild: plan.Rebuild{Mode: plan.RebuildAll}}
	in.Pipeline.Partition, in.Pipeline.Outputs[0].Partition = hourly, hourly
	in.Pipeline.Canary.Latest, in.Pipeline.Smoke.Latest = 5000, 5000
	in.Pipeline.Owner, in.Pipeline.Description = strings.Repeat("Ö", 3000), strings.Repeat("why ", 3000)
	for i := range 200 {
		in.Pipeline.Outputs[0].Checks = append(in.Pipeline.Outputs[0].Checks,
			check.Check{Name: fmt.Sprint("check", i), Kind: check.Expression, Severity: check.Fail, SQL: strings.Repeat("amount > 0 and ", 20) + "true"})
		in.Pipeline.Watch.Checks = append(in.Pipeline.Watch.Checks, check.Metric{Name: fmt.Sprint("metric", i), SQL: strings.Repeat("select 1 ", 30), Severity: check.Fail})
	}
	for e := range 5 {
		env := prod()
		env.Observed.Environment, env.Observed.Sources = fmt.Sprint("env", e), keys
		env.Observed.Outputs[0].Scheme, env.Observed.Outputs[0].Live = &hourly, liveIn("fct_orders", keys...)
		for i := range 500 {
			env.Observed.Problems = append(env.Observed.Problems, plan.Problem{
				Rule: "rule", Object: fmt.Sprint("object", i), Text: strings.Repeat("é", 300), Remedy: strings.Repeat("do ", 200), Blocking: i > 250,
			})
		}
		in.Environments = append(in.Environments, env)
	}
	p, err := plan.Compute(in)
	require.NoError(t, err)
	return p
}

func TestSizesAreBounded(t *testing.T) {
	t.Parallel()
	p := huge(t)
	require.Greater(t, len(plan.Canonical(p)), 1<<20, "the plan itself is large")

	s := plan.Summarize(p)
	body, err := json.Marshal(s)
	require.NoError(t, err)
	require.LessOrEqual(t, len(body), plan.MaxSummary)
	require.Equal(t, p.Digest, s.Digest)
	require.Len(t, s.Environments, 5)
	for i, e := range s.Environments {
		require.Equal(t, p.Environments[i].Canary, e.Canary, "what is tried is named in full")
		require.Equal(t, p.Environments[i].Smoke, e.Smoke)
		require.Equal(t, p.Environments[i].Approval, e.Approval)
		require.Equal(t, 10_001, e.Partitions)
		require.Equal(t, len(p.Environments[i].Slices), e.Slices)
		require.Len(t, e.Steps, len(p.Environments[i].Steps))
		require.Equal(t, 251, e.Blocking, "every blocking problem is counted")
		require.NotEmpty(t, e.Problems)
		require.True(t, e.Problems[0].Blocking, "what refuses comes first")
	}

	text := plan.MarkdownBounded(p)
	require.LessOrEqual(t, len(text), plan.MaxMarkdown)
	require.True(t, utf8.ValidString(text))
	for _, section := range []string{"What and why", "Impact", "Risks", "Sequence", "Smoke", "Canary", "Monitoring", "Rollback", "Approvals"} {
		require.Contains(t, text, "\n## "+section+"\n", "no section is lost")
	}
	require.Contains(t, text, "more\n")
	require.Greater(t, len(plan.Markdown(p)), plan.MaxMarkdown)
}

func TestBoundedMarkdownIsTheWholeWhereItFits(t *testing.T) {
	t.Parallel()
	require.Equal(t, plan.Markdown(crossing(t)), plan.MarkdownBounded(crossing(t)))
}

func TestBoundedMarkdownOfManyEnvironments(t *testing.T) {
	t.Parallel()
	in := input()
	for i := range 100 {
		env := prod()
		env.Observed.Environment = fmt.Sprint("prod", i)
		in.Environments = append(in.Environments, env)
	}
	p, err := plan.Compute(in)
	require.NoError(t, err)
	text := plan.MarkdownBounded(p)
	require.LessOrEqual(t, len(text), plan.MaxMarkdown)
	require.True(t, utf8.ValidString(text))
	require.True(t, strings.HasSuffix(text, "\n_Cut short. All of it: `drawbridge plan shop@1.1.0 --to prod99 --format md`_\n"))
}
