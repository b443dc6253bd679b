package canary

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// NotRepeatable is the verdict on a release that has built other rows the second time from the same inputs: nobody can say what a
// later run, or one after a rollback, will give, so a person decides.
func NotRepeatable(d Diff) gate.Verdict {
	return gate.Verdict{Outcome: gate.Inconclusive, Reason: fault.Bound("not repeatable: built twice from the same inputs, the second has " + differs(d))}
}

// differs says in which columns two generations of one partition differ, or else in how many rows.
func differs(d Diff) string {
	var columns []string
	for _, name := range slices.Sorted(maps.Keys(d.Changed)) {
		if d.Changed[name] > 0 {
			columns = append(columns, name)
		}
	}
	columns = append(columns, d.ChangedColumns...)
	var parts []string
	if len(columns) > 0 {
		parts = append(parts, "other values in "+strings.Join(columns, ", "))
	}
	if d.RepeatedKeys {
		return strings.Join(append(parts, "rows that cannot be paired: the key is not unique"), "; ")
	}
	if d.BaselineRows != d.CandidateRows {
		parts = append(parts, fmt.Sprintf("%s rows instead of %s", check.FormatCount(d.BaselineRows), check.FormatCount(d.CandidateRows)))
	}
	switch {
	case d.RemovedKeys+d.AddedKeys == 0:
	case d.Mode == Keyed:
		parts = append(parts, fmt.Sprintf("other keys: %s only in the first, %s only in the second", check.FormatCount(d.AddedKeys), check.FormatCount(d.RemovedKeys)))
	case len(parts) == 0:
		parts = append(parts, fmt.Sprintf("%s other rows", check.FormatCount(max(d.RemovedKeys, d.AddedKeys))))
	}
	if len(parts) == 0 {
		parts = append(parts, "another checksum")
	}
	return strings.Join(parts, "; ")
}
