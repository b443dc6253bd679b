package check

import (
	"fmt"

	"drawbridge/internal/fault"
)

const fieldValue = "value"

// CompileMetric wraps a watch SELECT so that Postgres itself refuses more than one row or column.
func CompileMetric(m Metric) (Statement, error) {
	if m.Name == "" {
		return Statement{}, invalid("metric", "give it a name", "a check has no name")
	}
	if m.Severity != Fail && m.Severity != Warn {
		return Statement{}, invalid(m.Name, "use fail or warn", fmt.Sprintf("the severity %q is not known", m.Severity))
	}
	if m.Min == nil && m.Max == nil && m.VsHistory == nil {
		return Statement{}, invalid(m.Name, "give min, max or vs_history", "a watch check without a limit can never fail")
	}
	if err := guard(m.SQL); err != nil {
		return Statement{}, fault.New(fault.Invalid, "compile check", m.Name, "write one SELECT of one number", err)
	}
	return Statement{SQL: "SELECT " + Number(m.SQL) + "::text AS " + Quote(fieldValue), Fields: []string{fieldValue}}, nil
}
