package check

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Outcome is what became of one check.
type Outcome string

// The outcomes of a check. Error is a check that could not be evaluated: it never counts as passed. Skipped did not
// run, and counts neither way.
const (
	Passed  Outcome = "pass"
	Warned  Outcome = "warn"
	Failed  Outcome = "fail"
	Errored Outcome = "error"
	Skipped Outcome = "skip"
)

// Result is one check's outcome. It holds counts and numbers, never a row's values.
type Result struct {
	Name      string   `json:"name"`
	Kind      Kind     `json:"kind,omitempty"` // empty for a watch metric
	Severity  Severity `json:"severity"`
	Outcome   Outcome  `json:"outcome"`
	Value     *float64 `json:"value,omitempty"`   // row_count, metric: the number that History keeps
	Failing   *int64   `json:"failing,omitempty"` // the other kinds: how many rows
	Rows      int64    `json:"rows"`              // of how many
	Threshold string   `json:"threshold,omitempty"`
	Reason    string   `json:"reason,omitempty"`
}

// History holds the values of row counts and metrics in the same output's earlier live generations, by check name.
type History map[string][]float64

// An audit compares with several generations, so that one odd day is not the norm; a watch compares with the moment
// before its publish, which is the point.
const (
	auditHistory = 3
	watchHistory = 1
)

// Judge holds the values against the checks, in the order of the checks.
func (p Plan) Judge(v Values, history History) []Result {
	results := make([]Result, len(p.checks))
	for i, c := range p.checks {
		r := Result{Name: c.Name, Kind: c.Kind, Severity: c.Severity}
		rows, err := v.count(fieldRows)
		if err != nil {
			results[i] = r.errored(err)
			continue
		}
		r.Rows = rows
		switch {
		case p.proved[c.Name]:
			r.Outcome, r.Reason, r.Threshold = Passed, "proved by constraint", "0 rows"
			r.Failing = new(int64)
		case c.Kind == RowCount:
			r = r.measured(float64(rows), limits{c.Min, c.Max, c.VsHistory, history[c.Name], auditHistory})
		case c.Kind == MetricKind:
			if value, err := v.Number(field(i)); err != nil {
				r = r.errored(err)
			} else {
				r = r.measured(value, limits{c.Min, c.Max, c.VsHistory, history[c.Name], auditHistory})
			}
		case c.Kind == Unique:
			r = r.unique(v, i)
		default:
			if failing, err := v.count(field(i)); err != nil {
				r = r.errored(err)
			} else {
				r = r.counted(failing, c.MaxFailing, "rows fail")
			}
		}
		results[i] = r
	}
	return results
}

// JudgeMetric holds a watch metric's value, as its statement printed it, against the values before the publish.
func JudgeMetric(m Metric, v Values, history []float64) Result {
	r := Result{Name: m.Name, Severity: m.Severity}
	value, err := v.Number(fieldValue)
	if err != nil {
		return r.errored(err)
	}
	return r.measured(value, limits{m.Min, m.Max, m.VsHistory, history, watchHistory})
}

func (r Result) errored(err error) Result {
	r.Outcome, r.Reason = Errored, err.Error()
	return r
}

func (r Result) broken(reason string) Result {
	r.Outcome, r.Reason = Failed, reason
	if r.Severity == Warn {
		r.Outcome = Warned
	}
	return r
}

func (r Result) unique(v Values, i int) Result {
	failing, err := v.count(field(i))
	if err == nil && failing > 0 {
		failing, err = v.count(exact(i))
	}
	if err != nil {
		return r.errored(err)
	}
	return r.counted(failing, 0, "rows repeat a key")
}

func (r Result) counted(failing int64, allowed float64, what string) Result {
	r.Failing, r.Threshold = &failing, "0 rows"
	if allowed > 0 {
		r.Threshold = FormatPercent(allowed) + " of rows"
	}
	share := Share(failing, r.Rows)
	if !Exceeds(share, allowed) {
		r.Outcome = Passed
		return r
	}
	return r.broken(fmt.Sprintf("%s of %s %s (%s)", FormatCount(failing), FormatCount(r.Rows), what, FormatPercent(share)))
}

// limits are what a number is held against; a nil limit is none.
type limits struct {
	min, max, vsHistory *float64
	history             []float64
	enough              int // values of history
}

func (l limits) String() string {
	var parts []string
	if l.min != nil {
		parts = append(parts, "at least "+FormatNumber(*l.min))
	}
	if l.max != nil {
		parts = append(parts, "at most "+FormatNumber(*l.max))
	}
	if l.vsHistory != nil {
		parts = append(parts, "within "+FormatPercent(*l.vsHistory)+" of history")
	}
	return strings.Join(parts, ", ")
}

func (r Result) measured(value float64, l limits) Result {
	r.Value, r.Threshold = &value, l.String()
	if l.min != nil && value < *l.min {
		return r.broken(fmt.Sprintf("%s is below %s", FormatNumber(value), FormatNumber(*l.min)))
	}
	if l.max != nil && value > *l.max {
		return r.broken(fmt.Sprintf("%s is above %s", FormatNumber(value), FormatNumber(*l.max)))
	}
	compared := l.vsHistory != nil && len(l.history) >= l.enough
	if compared {
		usual := median(l.history)
		if change := Change(usual, value); Exceeds(change, *l.vsHistory) {
			return r.broken(difference(value, usual, change))
		}
	}
	if l.vsHistory != nil && !compared {
		r.Reason = fmt.Sprintf("not compared with history: it has %d of %d values", len(l.history), l.enough)
	}
	r.Outcome = Passed
	switch {
	case l.min != nil || l.max != nil || compared:
	case l.vsHistory != nil:
		r.Outcome = Skipped
	default:
		r.Outcome, r.Reason = Skipped, "recorded only: it has no threshold"
	}
	return r
}

func difference(value, usual, change float64) string {
	if math.IsInf(change, 0) {
		return fmt.Sprintf("%s where history has 0: no percentage of zero allows a change", FormatNumber(value))
	}
	return fmt.Sprintf("%s differs by %s from %s in history", FormatNumber(value), FormatPercent(change), FormatNumber(usual))
}

func number(text string) (float64, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, errors.New("it is no finite number")
	}
	return value, nil
}
