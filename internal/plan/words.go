package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// A check, a budget and a watch metric are in the plan as the sentence that approvers read. A sentence holds every
// parameter of its check, so that changing one changes the digest; how its SQL is laid out does not.

func checkText(c check.Check) string {
	var b strings.Builder
	switch c.Kind {
	case check.RowCount:
		b.WriteString("row_count")
	case check.AcceptedValues:
		fmt.Fprintf(&b, "accepted_values(%s) in %s", strings.Join(c.Columns, ", "), strings.Join(quoted(c.Values), ", "))
	case check.Expression:
		fmt.Fprintf(&b, "expression (%s)", oneLine(c.SQL))
	case check.MetricKind:
		fmt.Fprintf(&b, "metric %s = %s", c.Name, oneLine(c.SQL))
	case check.NotNull, check.Unique:
		fmt.Fprintf(&b, "%s(%s)", c.Kind, strings.Join(c.Columns, ", "))
	}
	if c.MaxFailing > 0 {
		fmt.Fprintf(&b, ", at most %s failing", percent(c.MaxFailing))
	}
	b.WriteString(limitsText(c.Min, c.Max, c.VsHistory, "of earlier live generations"))
	if c.Kind != check.MetricKind && c.Name != "" && c.Name != check.DefaultName(c) {
		fmt.Fprintf(&b, ", named %s", c.Name)
	}
	return b.String() + severityText(c.Severity)
}

func metricText(m check.Metric) string {
	return fmt.Sprintf("%s = (%s)%s%s", m.Name, oneLine(m.SQL),
		limitsText(m.Min, m.Max, m.VsHistory, "of the value before the publish"), severityText(m.Severity))
}

func severityText(s check.Severity) string {
	if s == check.Fail {
		return ""
	}
	return fmt.Sprintf(" [%ss only]", s)
}

func limitsText(low, high, vsHistory *float64, of string) string {
	var b strings.Builder
	if low != nil {
		b.WriteString(", at least " + number(*low))
	}
	if high != nil {
		b.WriteString(", at most " + number(*high))
	}
	if vsHistory != nil {
		fmt.Fprintf(&b, ", within %s %s", percent(*vsHistory), of)
	}
	return b.String()
}

// budgetTexts are what a canary may change: each budget of the author, and the defaults for the rest.
func budgetTexts(b canary.Budgets) []string {
	volume := func(what string, given *float64, otherwise float64) string {
		if given != nil {
			otherwise = *given
		}
		return fmt.Sprintf("%s ≤ %s", what, percent(otherwise))
	}
	texts := []string{
		volume("rows", b.Rows, canary.DefaultRows),
		volume("removed keys", b.RemovedKeys, canary.DefaultRemovedKeys),
		volume("added keys", b.AddedKeys, canary.DefaultAddedKeys),
	}
	for _, name := range slices.Sorted(maps.Keys(b.Changed)) {
		texts = append(texts, fmt.Sprintf("%s changed ≤ %s", name, percent(b.Changed[name])))
	}
	texts = append(texts, fmt.Sprintf("any other column changed ≤ %s", percent(canary.DefaultChanged)))
	for _, name := range slices.Sorted(maps.Keys(b.Metrics)) {
		texts = append(texts, fmt.Sprintf("metric %s ≤ %s", name, percent(b.Metrics[name])))
	}
	return append(texts, fmt.Sprintf("any other metric ≤ %s", percent(canary.DefaultMetrics)))
}

func approvalText(a gate.Approval) string {
	who := "anyone"
	if len(a.Approvers) > 0 {
		who = strings.Join(a.Approvers, ", ")
	}
	text := fmt.Sprintf("ask %s for %s", who, count(max(1, a.Quorum), "approval"))
	if a.FourEyes {
		text += "; not the requester"
	}
	if a.Expires > 0 {
		text += "; expires after " + durationText(a.Expires)
	}
	return text
}

func breachText(onBreach string) string {
	if pipeline.OnBreach(onBreach) == pipeline.BreachRollback {
		return "a breach rolls back"
	}
	return "a breach asks a person"
}

// scheduleText is a schedule in words, also where there is none.
func scheduleText(words string) string {
	if words == "" {
		return "none, nothing runs by itself"
	}
	return words
}

// schedulesText says what becomes of the schedule; nothing where there is none before and after.
func schedulesText(e Environment) []string {
	switch e.Shown.Schedule {
	case e.Schedule:
		if e.Schedule == "" {
			return nil
		}
		return []string{e.Schedule + " (as it is)"}
	case "":
		return []string{e.Schedule + " (new)"}
	}
	return []string{scheduleText(e.Schedule), "now: " + e.Shown.Schedule}
}

// smokeText says what is built first, and which of it nobody publishes.
func smokeText(e Environment) string {
	text := fmt.Sprintf("build and audit %s aside, within %s", keysText(e.Smoke), durationText(e.SmokeMax))
	if aside := keysOf(e.Aside); len(aside) > 0 {
		text += fmt.Sprintf("; %s: not published", keysText(aside))
	}
	return text
}

// baselineText says what a canary is compared with.
func baselineText(e Environment) string {
	live := slices.ContainsFunc(e.Changes, func(c SchemaChange) bool { return c.Class != SchemaCreate })
	switch {
	case e.Active == nil:
		return "no baseline: no release is active to compare with"
	case live:
		return "compare with what is live"
	}
	return "nothing is live to compare with: ask"
}

// keysOf are the partitions of items, in their order.
func keysOf(items []generation.Item) []partition.Key {
	var keys []partition.Key
	for _, item := range items {
		if !slices.Contains(keys, item.Partition) {
			keys = append(keys, item.Partition)
		}
	}
	return keys
}

// keysText names up to three partitions, and of more the first, the last and how many.
func keysText(keys []partition.Key) string {
	switch n := len(keys); {
	case n == 0:
		return "no partition"
	case n <= 3:
		names := make([]string, n)
		for i, k := range keys {
			names[i] = string(k)
		}
		return strings.Join(names, ", ")
	default:
		return fmt.Sprintf("%d partitions (%s … %s)", n, keys[0], keys[n-1])
	}
}

func columnNames(columns []generation.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

func columnTexts(columns []generation.Column) []string {
	texts := make([]string, len(columns))
	for i, c := range columns {
		texts[i] = c.Name + " " + c.Type
	}
	return texts
}

func quoted(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = strconv.Quote(t)
	}
	return out
}

// oneLine is SQL as a sentence quotes it.
func oneLine(sql string) string { return strings.Join(strings.Fields(sql), " ") }

// count is a number with its noun: 1 partition, 1,412 partitions.
func count(n int, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "x"):
		noun += "es"
	default:
		noun += "s"
	}
	return check.FormatCount(int64(n)) + " " + noun
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// percent prints a fraction as precisely as people write them.
func percent(fraction float64) string {
	return strconv.FormatFloat(fraction*100, 'g', 12, 64) + " %"
}

// durationText prints a duration as people write it: 24h, 7d, 90s, 1h30m.
func durationText(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// batchText says how many partitions one statement may build.
func batchText(batch int) string {
	if batch == 0 {
		return ""
	}
	return fmt.Sprintf(", up to %d neighbours built by one statement where smoke sees that this gives the same", batch)
}
