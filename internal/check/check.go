// Package check turns data checks into at most two fused SQL statements, and their row of results into verdicts.
// It renders SQL and knows no driver.
//
// What a check means: not_null fails a row that has a NULL in any of its columns. unique fails every row beyond the first
// of a key, over the rows whose key has no NULL. accepted_values lets NULL pass. expression fails a row for which it is
// false or NULL: unlike a CHECK constraint, a comparison with a missing value proves nothing. On no rows these four pass.
// A metric or row count without a value is an error, which is never a pass.
package check

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/fault"
)

// Kind is the type of a check.
type Kind string

// The kinds of checks.
const (
	RowCount       Kind = "row_count"
	NotNull        Kind = "not_null"
	Unique         Kind = "unique"
	AcceptedValues Kind = "accepted_values"
	Expression     Kind = "expression"
	MetricKind     Kind = "metric"
	// Rejects counts the rows that a load left out. No author writes it.
	Rejects Kind = "rejects"
)

// Severity says what a failed check does: fail blocks, warn is reported.
type Severity string

// The severities.
const (
	Fail Severity = "fail"
	Warn Severity = "warn"
)

// Check is one data check of an output, evaluated on one generation.
type Check struct {
	Name     string   `json:"name"` // unique in the output; derived from kind and columns where the author gives none
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	Columns  []string `json:"columns,omitempty"` // not_null, unique, accepted_values (one)
	Values   []string `json:"values,omitempty"`  // accepted_values, compared as text
	SQL      string   `json:"sql,omitempty"`     // expression: a boolean over a row; metric: an aggregate over the rows
	// MaxFailing is the fraction of rows that may fail (expression, not_null, accepted_values); 0 is none.
	MaxFailing float64  `json:"max_failing,omitempty"`
	Min        *float64 `json:"min,omitempty"` // row_count, metric
	Max        *float64 `json:"max,omitempty"`
	// VsHistory is the greatest relative change against the median of the same output's earlier live generations.
	VsHistory *float64 `json:"vs_history,omitempty"` // row_count, metric
}

// Metric is one number of one SELECT over published tables: a watch check.
type Metric struct {
	Name     string   `json:"name"`
	SQL      string   `json:"sql"`
	Severity Severity `json:"severity"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	// VsHistory is the greatest relative change against the value before the publish (and later evaluations).
	VsHistory *float64 `json:"vs_history,omitempty"`
}

// maxName keeps a derived name on one line of a screen.
const maxName = 60

// DefaultName derives the name of a check whose author gave none: "not_null(order_id)", "row_count",
// "expression(fare >= 0)". Two checks that differ only past the cut of a long expression get one name, which Compile
// refuses.
func DefaultName(c Check) string {
	about := strings.Join(c.Columns, ", ")
	if c.SQL != "" {
		about = strings.Join(strings.Fields(c.SQL), " ")
	}
	if about == "" {
		return string(c.Kind)
	}
	name := fmt.Sprintf("%s(%s)", c.Kind, about)
	if runes := []rune(name); len(runes) > maxName {
		name = string(runes[:maxName-2]) + "…)"
	}
	return name
}

// validate refuses what can never work, or can never fail.
func validate(columns []Column, checks []Check) error {
	if len(columns) == 0 {
		return invalid("", "list the columns that the checksum covers", "the relation has no recorded columns")
	}
	names := make(map[string]bool, len(checks))
	for _, c := range checks {
		if c.Name == "" {
			return invalid(string(c.Kind), "give it a name", "a check has no name")
		}
		if names[c.Name] {
			return invalid(c.Name, "give one of them another name", "two checks have this name")
		}
		names[c.Name] = true
		for _, name := range c.Columns {
			if !slices.ContainsFunc(columns, func(col Column) bool { return col.Name == name }) {
				return invalid(c.Name, "name a column of the output's SELECT", fmt.Sprintf("there is no column %q", name))
			}
		}
		if c.Severity != Fail && c.Severity != Warn {
			return invalid(c.Name, "use fail or warn", fmt.Sprintf("the severity %q is not known", c.Severity))
		}
		if c.MaxFailing < 0 || c.MaxFailing >= 1 {
			return invalid(c.Name, "use a share from 0 % to less than 100 %", "max_failing is a share that nothing, or everything, exceeds")
		}
		if err := validateKind(c); err != nil {
			return err
		}
	}
	return nil
}

func validateKind(c Check) error {
	switch c.Kind {
	case RowCount:
		if c.Min == nil && c.Max == nil && c.VsHistory == nil {
			return invalid(c.Name, "give min, max or vs_history", "a row count without a limit can never fail")
		}
	case NotNull, Unique:
		if len(c.Columns) == 0 {
			return invalid(c.Name, "name at least one column", "the check names no column")
		}
	case AcceptedValues:
		if len(c.Columns) != 1 || len(c.Values) == 0 {
			return invalid(c.Name, "give one column and at least one value", "the check needs one column and its values")
		}
	case Expression, MetricKind:
		if err := guard(c.SQL); err != nil {
			return fault.New(fault.Invalid, "compile check", c.Name, "write one SQL expression", err)
		}
	default:
		return invalid(c.Name, "use row_count, not_null, unique, accepted_values, expression or metric",
			fmt.Sprintf("the kind %q is not known", c.Kind))
	}
	return nil
}

func invalid(name, hint, reason string) error {
	return fault.Newf(fault.Invalid, "compile check", name, hint, reason)
}
