package canary

import (
	"fmt"
	"strconv"

	"drawbridge/internal/check"
)

// Mode says how rows were compared.
type Mode string

// The modes.
const (
	Keyed    Mode = "keyed"
	Multiset Mode = "multiset"
)

// Diff is the measured difference: counts and aggregates, never a row's values.
type Diff struct {
	Mode          Mode   `json:"mode"`
	Baseline      Origin `json:"baseline"`
	Identical     bool   `json:"identical"` // over the common columns, by row count and checksum
	BaselineRows  int64  `json:"baseline_rows"`
	CandidateRows int64  `json:"candidate_rows"`
	// RemovedKeys and AddedKeys count rows in mode multiset, where CommonRows, ChangedRows and Changed are not known.
	RemovedKeys int64            `json:"removed_keys"`
	AddedKeys   int64            `json:"added_keys"`
	CommonRows  int64            `json:"common_rows"`
	ChangedRows int64            `json:"changed_rows"`
	Changed     map[string]int64 `json:"changed,omitempty"` // common column beside the key -> rows
	// ChangedColumns names, in mode multiset, the common columns whose values, taken alone, differ: a hint, given
	// where both sides have as many rows.
	ChangedColumns []string              `json:"changed_columns,omitempty"`
	AddedColumns   []string              `json:"added_columns,omitempty"`
	RemovedColumns []string              `json:"removed_columns,omitempty"`
	Metrics        map[string]MetricPair `json:"metrics,omitempty"`
	// RepeatedKeys is set where a key has several rows: they cannot be paired, and the counts mean nothing.
	RepeatedKeys bool `json:"repeated_keys,omitempty"`
}

// MetricPair is a metric on both sides; nil is no finite number.
type MetricPair struct {
	Baseline  *float64 `json:"baseline"`
	Candidate *float64 `json:"candidate"`
	New       bool     `json:"new,omitempty"` // it names a column that only one side has, so there is nothing to compare
}

// Read turns the values of a plan's statements into a Diff.
func (p Plan) Read(v check.Values) (Diff, error) {
	d := Diff{
		Mode: Multiset, Baseline: p.spec.Origin, Identical: p.Identical(v),
		AddedColumns: p.added, RemovedColumns: p.removed, Metrics: p.metrics(v),
	}
	r := reader{values: &v}
	d.BaselineRows, d.CandidateRows = r.count("b_rows"), r.count("c_rows")
	if len(p.key) > 0 {
		d.Mode = Keyed
		d.CommonRows = d.BaselineRows
		d.Changed = make(map[string]int64, len(p.pairs))
		for _, c := range p.pairs {
			d.Changed[c.Name] = 0
		}
	}
	if d.Identical {
		return d, r.err
	}
	d.RemovedKeys, d.AddedKeys = r.count("removed"), r.count("added")
	if d.Mode == Multiset {
		for i, c := range p.pairs {
			if r.count(field(i)) > 0 && d.BaselineRows == d.CandidateRows {
				d.ChangedColumns = append(d.ChangedColumns, c.Name)
			}
		}
		return d, r.err
	}
	d.CommonRows, d.ChangedRows = r.count("common"), r.count("changed")
	for i, c := range p.pairs {
		d.Changed[c.Name] = r.count(field(i))
	}
	// A key of b rows here and c rows there makes b*c pairs: the sums fit only where every b and c is one.
	d.RepeatedKeys = d.RemovedKeys+d.CommonRows != d.BaselineRows || d.AddedKeys+d.CommonRows != d.CandidateRows
	return d, r.err
}

func (p Plan) metrics(v check.Values) map[string]MetricPair {
	if len(p.spec.Metrics) == 0 {
		return nil
	}
	pairs := make(map[string]MetricPair, len(p.spec.Metrics))
	for i, m := range p.spec.Metrics {
		pair := MetricPair{New: !metricOf(m, p.added) || !metricOf(m, p.removed)}
		if value, err := v.Number(fmt.Sprintf("b_m%d", i)); err == nil {
			pair.Baseline = &value
		}
		if value, err := v.Number(fmt.Sprintf("c_m%d", i)); err == nil {
			pair.Candidate = &value
		}
		pairs[m.Name] = pair
	}
	return pairs
}

// reader keeps the first error of many reads.
type reader struct {
	values *check.Values
	err    error
}

func (r *reader) count(field string) int64 {
	text, err := r.values.Text(field)
	var n int64
	if err == nil {
		n, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("read %s of the comparison: %w", field, err)
	}
	return n
}
