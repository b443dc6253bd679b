package canary

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// Judge holds a difference against the budgets. Evidence names rows, removed_keys and added_keys always, a column where
// it changed or has a budget, every metric, and the columns that were not compared.
func Judge(d Diff, b Budgets) gate.Verdict {
	if d.RepeatedKeys {
		return gate.Verdict{Outcome: gate.Inconclusive, Reason: "rows cannot be paired: the key is not unique in every generation"}
	}
	var j judgement
	j.volume(d, b)
	for _, column := range slices.Sorted(maps.Keys(d.Changed)) {
		_, budgeted := b.Changed[column]
		if n := d.Changed[column]; n > 0 || budgeted {
			j.share("changed."+column, column+" changed in", "%s of %s rows", n, d.CommonRows, budgetOf(b.Changed, column, DefaultChanged))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
		j.metric(name, d.Metrics[name], budgetOf(b.Metrics, name, DefaultMetrics))
	}
	j.columns("changed_columns", d.ChangedColumns, "their values, taken alone, differ")
	j.columns("added_columns", d.AddedColumns, "not compared")
	j.columns("removed_columns", d.RemovedColumns, "not compared")
	return j.verdict(d)
}

// judgement gathers evidence, and a sentence for each breach and each number that is missing.
type judgement struct {
	evidence []gate.Evidence
	breaches []string
	unknown  []string
}

func (j *judgement) volume(d Diff, b Budgets) {
	rows := budget(b.Rows, DefaultRows)
	change := check.Change(float64(d.BaselineRows), float64(d.CandidateRows))
	value := fmt.Sprintf("%s → %s rows (%s)", check.FormatCount(d.BaselineRows), check.FormatCount(d.CandidateRows), signed(d.CandidateRows >= d.BaselineRows, change))
	j.add("rows", "the row count went "+value, value, change, rows)
	what := "keys"
	if d.Mode == Multiset {
		what = "rows"
	}
	j.share("removed_keys", "removed", "%s of %s "+what, d.RemovedKeys, d.BaselineRows, budget(b.RemovedKeys, DefaultRemovedKeys))
	j.share("added_keys", "added", "%s "+what+" to %s", d.AddedKeys, d.BaselineRows, budget(b.AddedKeys, DefaultAddedKeys))
}

// share adds a part of a whole; format words the two numbers.
func (j *judgement) share(name, verb, format string, part, whole int64, limit float64) {
	share := check.Share(part, whole)
	value := fmt.Sprintf(format+" (%s)", check.FormatCount(part), check.FormatCount(whole), check.FormatPercent(share))
	j.add(name, verb+" "+value, value, share, limit)
}

func (j *judgement) add(name, sentence, value string, measured, limit float64) {
	e := gate.Evidence{Name: name, Value: value, Limit: check.FormatPercent(limit), Outcome: gate.Pass}
	if check.Exceeds(measured, limit) {
		e.Outcome = gate.Fail
		j.breaches = append(j.breaches, fmt.Sprintf("%s, budget %s", sentence, e.Limit))
	}
	j.evidence = append(j.evidence, e)
}

func (j *judgement) metric(name string, pair MetricPair, limit float64) {
	e := gate.Evidence{Name: "metrics." + name, Limit: check.FormatPercent(limit), Outcome: gate.Pass}
	switch {
	case pair.New:
		e.Limit, e.Note = "", "not compared: it names a column that only one generation has"
	case pair.Baseline == nil && pair.Candidate == nil:
		e.Value, e.Note = "no number", "the same on both sides"
	case pair.Baseline == nil || pair.Candidate == nil:
		e.Outcome, e.Value = gate.Inconclusive, number(pair.Baseline)+" → "+number(pair.Candidate)
		j.unknown = append(j.unknown, fmt.Sprintf("%s went %s", name, e.Value))
	default:
		before, after := *pair.Baseline, *pair.Candidate
		change := check.Change(before, after)
		value := fmt.Sprintf("%s → %s (%s)", check.FormatNumber(before), check.FormatNumber(after), signed(after >= before, change))
		j.add(e.Name, fmt.Sprintf("%s went %s", name, value), value, change, limit)
		return
	}
	j.evidence = append(j.evidence, e)
}

func (j *judgement) columns(name string, columns []string, note string) {
	if len(columns) > 0 {
		j.evidence = append(j.evidence, gate.Evidence{Name: name, Value: fault.Bound(strings.Join(columns, ", ")), Outcome: gate.Pass, Note: note})
	}
}

func (j *judgement) verdict(d Diff) gate.Verdict {
	outcomes := make([]gate.Outcome, len(j.evidence))
	for i, e := range j.evidence {
		outcomes[i] = e.Outcome
	}
	v := gate.Verdict{Outcome: gate.Worst(outcomes...), Evidence: j.evidence}
	switch {
	case len(j.breaches) > 0:
		v.Reason = strings.Join(j.breaches, "; ")
		if len(d.ChangedColumns) > 0 {
			v.Reason += "; differing columns: " + strings.Join(d.ChangedColumns, ", ")
		}
	case len(j.unknown) > 0:
		v.Reason = "could not be compared: " + strings.Join(j.unknown, "; ")
	case d.Identical:
		v.Reason = fmt.Sprintf("identical to the %s generation: %s rows", d.Baseline, check.FormatCount(d.BaselineRows))
	default:
		v.Reason = fmt.Sprintf("within every budget: %s → %s rows", check.FormatCount(d.BaselineRows), check.FormatCount(d.CandidateRows))
	}
	if len(d.AddedColumns) > 0 {
		v.Reason += "; added: " + strings.Join(d.AddedColumns, ", ")
	}
	if len(d.RemovedColumns) > 0 {
		v.Reason += "; left out: " + strings.Join(d.RemovedColumns, ", ")
	}
	v.Reason = fault.Bound(v.Reason)
	return v
}

func signed(up bool, change float64) string {
	switch {
	case change == 0 || math.IsInf(change, 0):
		return check.FormatPercent(change)
	case up:
		return "+" + check.FormatPercent(change)
	}
	return "-" + check.FormatPercent(change)
}

func number(v *float64) string {
	if v == nil {
		return "no number"
	}
	return check.FormatNumber(*v)
}
