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
)

// latest reads "latest N" of a smoke or canary; 0 where it is absent.
func latest(v value) int {
	_, n, _ := strings.Cut(as[string](v.get("partitions")), " ")
	count, err := strconv.Atoi(n)
	if err != nil {
		return 0
	}
	return count
}

func (b *builder) canary(v value, p *Pipeline) Canary {
	expect := v.get("expect")
	c := Canary{Latest: latest(v), Expect: canary.Budgets{
		Rows:        pointer[float64](expect.get("rows")),
		RemovedKeys: pointer[float64](expect.get("removed_keys")),
		AddedKeys:   pointer[float64](expect.get("added_keys")),
		Changed:     ratios(expect.get("changed")),
		Metrics:     ratios(expect.get("metrics")),
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
	for _, name := range expect.get("metrics").names() {
		if slices.Contains(metrics, name) {
			continue
		}
		hint := "define it as a metric among an output's checks"
		if near := nearest(name, metrics); near != "" {
			hint = "did you mean " + near + "?"
		}
		b.problems.add(expect.get("metrics").keyAt(name), "no check defines the metric "+name, hint)
	}
	if expect.get("changed").ok() && !keyed {
		b.problems.add(expect.keyAt("changed"), "no output has a key, so rows are not paired", "give the output a key")
	}
	return c
}

func ratios(v value) map[string]float64 {
	var out map[string]float64
	for _, name := range v.names() {
		if r, ok := v.get(name).data.(float64); ok {
			if out == nil {
				out = map[string]float64{}
			}
			out[name] = r
		}
	}
	return out
}

func (b *builder) watch(v value) Watch {
	w := Watch{
		For:       as[time.Duration](v.get("for")),
		Every:     as[time.Duration](v.get("every")),
		Freshness: as[time.Duration](v.get("freshness")),
		OnBreach:  OnBreach(as[string](v.get("on_breach"))),
	}
	if v.get("for").ok() && w.Every > w.For {
		b.problems.add(v.get("every").at, "the watch would end before its first evaluation", "make every shorter than for")
	}
	if v.ok() && !v.get("checks").ok() && !v.get("freshness").ok() && len(v.names()) > 0 {
		b.problems.add(v.at, "the watch has neither checks nor freshness, so it can never fail", "add checks, or leave watch out")
	}
	seen := map[string]bool{}
	for _, item := range v.get("checks").items() {
		m := item.get("metric")
		metric := check.Metric{
			Name:      as[string](m.get("name")),
			SQL:       as[string](m.get("sql")),
			Severity:  check.Severity(as[string](m.get("severity"))),
			Min:       pointer[float64](m.get("min")),
			Max:       pointer[float64](m.get("max")),
			VsHistory: pointer[float64](m.get("vs_history")),
		}
		w.Checks = append(w.Checks, metric)
		b.unique(m, metric.Name, seen)
		b.limits(m, limitRequired)
		b.problems.expression(m.get("sql"))
	}
	return w
}

// checks reads the checks of an output.
func (b *builder) checks(v value) []check.Check {
	var checks []check.Check
	seen := map[string]bool{}
	for _, item := range v.items() {
		for _, kind := range item.names() {
			body := item.get(kind)
			if !body.ok() {
				continue
			}
			c := b.check(check.Kind(kind), body)
			b.unique(body, c.Name, seen)
			checks = append(checks, c)
		}
	}
	return checks
}

func (b *builder) check(kind check.Kind, v value) check.Check {
	c := check.Check{
		Kind:       kind,
		Name:       as[string](v.get("name")),
		Severity:   check.Severity(as[string](v.get("severity"))),
		SQL:        as[string](v.get("sql")),
		MaxFailing: as[float64](v.get("max_failing")),
		Min:        pointer[float64](v.get("min")),
		Max:        pointer[float64](v.get("max")),
		VsHistory:  pointer[float64](v.get("vs_history")),
	}
	columns := v
	if len(v.items()) == 0 {
		columns = v.get("columns")
	} else {
		c.Severity = check.Fail // the short form: not_null: [a, b]
	}
	c.Columns = columns.strings()
	b.distinct(columns, "the check")
	if kind == check.AcceptedValues {
		c.Values = v.get("values").strings()
		if column, ok := v.get("column").data.(string); ok {
			c.Columns = []string{column}
		}
	}
	if c.MaxFailing >= 1 {
		b.problems.add(v.get("max_failing").at, "all rows may fail, so the check cannot", "use less than 100%")
	}
	if kind == check.RowCount {
		b.limits(v, limitRequired)
	}
	if kind == check.MetricKind { // the canary compares every metric, so one without limits is not idle
		b.limits(v, limitOptional)
	}
	b.problems.expression(v.get("sql"))
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

func (b *builder) limits(v value, rule limitRule) {
	least, hasLeast := v.get("min").data.(float64)
	greatest, hasGreatest := v.get("max").data.(float64)
	if hasLeast && hasGreatest && least > greatest {
		b.problems.add(v.get("min").at, "min is greater than max", "swap them")
	}
	written := slices.ContainsFunc(v.names(), func(name string) bool {
		return name == "min" || name == "max" || name == "vs_history"
	})
	if rule == limitRequired && !written && v.ok() {
		b.problems.add(v.at, "without a limit the check can never fail", "give min, max or vs_history")
	}
}

func (b *builder) unique(v value, name string, seen map[string]bool) {
	if name == "" {
		return
	}
	if utf8.RuneCountInString(name) > longestCheckName {
		b.problems.add(v.at, fmt.Sprintf("the name is longer than %d characters", longestCheckName), "shorten it: screens and the ledger carry it")
		return
	}
	if seen[name] {
		b.problems.add(v.at, fmt.Sprintf("another check is named %s", name), "give it a name of its own")
	}
	seen[name] = true
}
