package canary

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/sqltext"
)

// Side is one of the two generations.
type Side struct {
	Relation string // quoted and qualified
	Columns  []check.Column
}

// Origin says which generation the candidate was compared with.
type Origin string

// The origins of a baseline.
const (
	Live    Origin = "live"    // the published generation
	Control Origin = "control" // the active release, run again on the candidate's inputs
	Earlier Origin = "earlier" // a generation that a person names, whatever it is
	Repeat  Origin = "repeat"  // the candidate's own release, run again on its inputs
)

// Spec is what to compare.
type Spec struct {
	Key       []string // empty: compare as multisets
	Origin    Origin
	Baseline  Side
	Candidate Side
	Metrics   []check.Check // of kind metric; their own thresholds are the audit's affair
}

// Plan is how a Spec is evaluated: both statements in one snapshot, Difference only where Summary says that there is one.
type Plan struct {
	Summary    check.Statement // both sides' row counts, checksums and metrics: one scan a side
	Difference check.Statement

	spec    Spec
	key     []check.Column
	pairs   []check.Column // the common columns beside the key
	added   []string
	removed []string
}

// Compile plans a comparison. A column whose type differs between the sides is refused: that is a migration.
func Compile(spec Spec) (Plan, error) {
	p := Plan{spec: spec, added: missing(spec.Candidate, spec.Baseline), removed: missing(spec.Baseline, spec.Candidate)}
	var err error
	if p.key, p.pairs, err = common(spec); err != nil {
		return Plan{}, err
	}
	p.Summary = p.summary()
	p.Difference = p.multiset()
	if len(p.key) > 0 {
		p.Difference = p.paired()
	}
	return p, nil
}

// Identical says whether the summaries are equal, so that Difference need not be run.
func (p Plan) Identical(v check.Values) bool {
	for _, name := range []string{"rows", "checksum"} {
		b, errB := v.Text("b_" + name)
		c, errC := v.Text("c_" + name)
		if errB != nil || errC != nil || b != c {
			return false
		}
	}
	return true
}

// common returns the key, and the other columns that both sides have, as the baseline orders them. A column is taken as
// never NULL only where both sides say so.
func common(spec Spec) (key, pairs []check.Column, err error) {
	byName := make(map[string]check.Column)
	for _, c := range spec.Baseline.Columns {
		i := slices.IndexFunc(spec.Candidate.Columns, func(o check.Column) bool { return o.Name == c.Name })
		if i < 0 {
			continue
		}
		other := spec.Candidate.Columns[i]
		if c.BaseType() != other.BaseType() || c.Array() != other.Array() {
			return nil, nil, fault.Newf(fault.Refused, "compare column", c.Name,
				"keep the type and add a column of the new type beside it", fmt.Sprintf("it is %s in the baseline and %s in the candidate", c.Type, other.Type))
		}
		c.NotNull = c.NotNull && other.NotNull
		byName[c.Name] = c
		if !slices.Contains(spec.Key, c.Name) {
			pairs = append(pairs, c)
		}
	}
	for _, name := range spec.Key {
		c, ok := byName[name]
		if !ok {
			return nil, nil, fault.Newf(fault.Refused, "compare by key column", name,
				"keep the key's columns in the SELECT", "one of the generations does not have it")
		}
		if c.Array() {
			return nil, nil, fault.Newf(fault.Invalid, "compare by key column", name, "key the output by columns that hold one value", "it holds arrays")
		}
		key = append(key, c)
	}
	if len(byName) == 0 {
		return nil, nil, fault.Newf(fault.Refused, "compare", spec.Candidate.Relation,
			"release this as another output", "the generations have no column in common")
	}
	return key, pairs, nil
}

// missing names the columns of one side that the other lacks.
func missing(side, other Side) []string {
	var names []string
	for _, c := range side.Columns {
		if !slices.ContainsFunc(other.Columns, func(o check.Column) bool { return o.Name == c.Name }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// metricOf says whether a side has the columns that a metric names. The baseline cannot evaluate one over a new column.
func metricOf(m check.Check, lacks []string) bool {
	names := sqltext.Identifiers(m.SQL)
	return !slices.ContainsFunc(lacks, func(column string) bool { return names[column] })
}

func (p Plan) summary() check.Statement {
	columns := slices.Concat(p.key, p.pairs)
	var s check.Statement
	var list []string
	side := func(prefix string, of Side, lacks []string) string {
		terms := []string{"count(*) AS rows", check.Checksum(columns) + " AS checksum"}
		fields := []string{"rows", "checksum"}
		for i, m := range p.spec.Metrics {
			if metricOf(m, lacks) {
				fields = append(fields, fmt.Sprintf("m%d", i))
				terms = append(terms, check.Number(m.SQL)+fmt.Sprintf(" AS m%d", i))
			}
		}
		for _, field := range fields {
			name := prefix + "_" + field
			s.Fields = append(s.Fields, name)
			list = append(list, fmt.Sprintf("  %s.%s::text AS %s", prefix, field, name))
		}
		return fmt.Sprintf("(\n  SELECT %s\n  FROM %s\n) AS %s", strings.Join(terms, ",\n    "), of.Relation, prefix)
	}
	baseline := side("b", p.spec.Baseline, p.added)
	candidate := side("c", p.spec.Candidate, p.removed)
	s.SQL = "SELECT\n" + strings.Join(list, ",\n") + "\nFROM " + baseline + "\nCROSS JOIN " + candidate
	return s
}
