package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/strictyaml"
)

// latest reads "latest N" of a smoke or canary; 0 where it is absent.
func latest(v strictyaml.Value) int {
	_, n, _ := strings.Cut(strictyaml.As[string](v.Get("partitions")), " ")
	count, err := strconv.Atoi(n)
	if err != nil {
		return 0
	}
	return count
}

func (b *builder) canary(v strictyaml.Value, p *Pipeline) Canary {
	expect := v.Get("expect")
	c := Canary{Latest: latest(v), Expect: canary.Budgets{
		Rows:        strictyaml.Pointer[float64](expect.Get("rows")),
		RemovedKeys: strictyaml.Pointer[float64](expect.Get("removed_keys")),
		AddedKeys:   strictyaml.Pointer[float64](expect.Get("added_keys")),
		Changed:     ratios(expect.Get("changed")),
		Metrics:     ratios(expect.Get("metrics")),
	}}
	var metrics []string
	keyed := false
	for _, o := range p.Outputs {
		keyed = keyed || len(o.Key) > 0
		for _, ch := range o.Checks {
			if ch.Kind == check.MetricKind {
				metrics = append(metrics, ch.Name)
			}
		}
	}
	for _, name := range expect.Get("metrics").Names() {
		if slices.Contains(metrics, name) {
			continue
		}
		hint := "define it as a metric among an output's checks"
		if near := strictyaml.Nearest(name, metrics); near != "" {
			hint = "did you mean " + near + "?"
		}
		b.problems.Add(expect.Get("metrics").KeyAt(name), "no check defines the metric "+name, hint)
	}
	if expect.Get("changed").OK() && !keyed {
		b.problems.Add(expect.KeyAt("changed"), "no output has a key, so rows are not paired", "give the output a key")
	}
	return c
}

func ratios(v strictyaml.Value) map[string]float64 {
	var out map[string]float64
	for _, name := range v.Names() {
		if r, ok := v.Get(name).Data.(float64); ok {
			if out == nil {
				out = map[string]float64{}
			}
			out[name] = r
		}
	}
	return out
}

func (b *builder) watch(v strictyaml.Value) Watch {
	w := Watch{
		For:       strictyaml.As[time.Duration](v.Get("for")),
		Every:     strictyaml.As[time.Duration](v.Get("every")),
		Freshness: strictyaml.As[time.Duration](v.Get("freshness")),
		OnBreach:  OnBreach(strictyaml.As[string](v.Get("on_breach"))),
	}
	if v.Get("for").OK() && w.Every > w.For {
		b.problems.Add(v.Get("every").At, "the watch would end before its first evaluation", "make every shorter than for")
	}
	if v.OK() && !v.Get("checks").OK() && !v.Get("freshness").OK() && len(v.Names()) > 0 {
		b.problems.Add(v.At, "the watch has neither checks nor freshness, so it can never fail", "add checks, or leave watch out")
	}
	seen := map[string]bool{}
	for _, item := range v.Get("checks").Items() {
		m := item.Get("metric")
		metric := check.Metric{
			Name:      strictyaml.As[string](m.Get("name")),
			SQL:       strictyaml.As[string](m.Get("sql")),
			Severity:  check.Severity(strictyaml.As[string](m.Get("severity"))),
			Min:       strictyaml.Pointer[float64](m.Get("min")),
			Max:       strictyaml.Pointer[float64](m.Get("max")),
			VsHistory: strictyaml.Pointer[float64](m.Get("vs_history")),
		}
		w.Checks = append(w.Checks, metric)
		b.unique(m, metric.Name, seen)
		b.limits(m, limitRequired)
		b.expression(m.Get("sql"))
	}
	return w
}

// checks reads the checks of an output.
func (b *builder) checks(v strictyaml.Value) []check.Check {
	var checks []check.Check
	seen := map[string]bool{}
	for _, item := range v.Items() {
		for _, kind := range item.Names() {
			body := item.Get(kind)
			if !body.OK() {
				continue
			}
			c := b.check(check.Kind(kind), body)
			b.unique(body, c.Name, seen)
			checks = append(checks, c)
		}
	}
	return checks
}

func (b *builder) check(kind check.Kind, v strictyaml.Value) check.Check {
	c := check.Check{
		Kind:       kind,
		Name:       strictyaml.As[string](v.Get("name")),
		Severity:   check.Severity(strictyaml.As[string](v.Get("severity"))),
		SQL:        strictyaml.As[string](v.Get("sql")),
		MaxFailing: strictyaml.As[float64](v.Get("max_failing")),
		Min:        strictyaml.Pointer[float64](v.Get("min")),
		Max:        strictyaml.Pointer[float64](v.Get("max")),
		VsHistory:  strictyaml.Pointer[float64](v.Get("vs_history")),
	}
	columns := v
	if len(v.Items()) == 0 {
		columns = v.Get("columns")
	} else {
		c.Severity = check.Fail // the short form: not_null: [a, b]
	}
	c.Columns = columns.Strings()
	b.distinct(columns, "the check")
	if kind == check.AcceptedValues {
		c.Values = v.Get("values").Strings()
		if column, ok := v.Get("column").Data.(string); ok {
			c.Columns = []string{column}
		}
	}
	if c.MaxFailing >= 1 {
		b.problems.Add(v.Get("max_failing").At, "all rows may fail, so the check cannot", "use less than 100%")
	}
	if kind == check.RowCount {
		b.limits(v, limitRequired)
	}
	if kind == check.MetricKind { // the canary compares every metric, so one without limits is not idle
		b.limits(v, limitOptional)
	}
	b.expression(v.Get("sql"))
	if c.Name == "" {
		c.Name = check.DefaultName(c)
	}
	return c
}

// longestCheckName keeps a verdict that names some checks a sentence.
const longestCheckName = 100

// limitRule says whether a number must have a limit.
type limitRule int

const (
	limitOptional limitRule = iota
	limitRequired
)

func (b *builder) limits(v strictyaml.Value, rule limitRule) {
	least, hasLeast := v.Get("min").Data.(float64)
	greatest, hasGreatest := v.Get("max").Data.(float64)
	if hasLeast && hasGreatest && least > greatest {
		b.problems.Add(v.Get("min").At, "min is greater than max", "swap them")
	}
	written := slices.ContainsFunc(v.Names(), func(name string) bool {
		return name == "min" || name == "max" || name == "vs_history"
	})
	if rule == limitRequired && !written && v.OK() {
		b.problems.Add(v.At, "without a limit the check can never fail", "give min, max or vs_history")
	}
}

func (b *builder) unique(v strictyaml.Value, name string, seen map[string]bool) {
	if name == "" {
		return
	}
	if utf8.RuneCountInString(name) > longestCheckName {
		b.problems.Add(v.At, fmt.Sprintf("the name is longer than %d characters", longestCheckName), "shorten it: screens and the ledger carry it")
		return
	}
	if seen[name] {
		b.problems.Add(v.At, fmt.Sprintf("another check is named %s", name), "give it a name of its own")
	}
	seen[name] = true
}
