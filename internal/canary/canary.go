// Package canary compares two generations of one partition, live against candidate, and judges the difference by
// budgets. It renders SQL and knows no driver.
//
// With a key, rows are paired by it and each common column is compared. Without one, rows are compared as a multiset: a
// changed row is one that went and one that came, so the budgets of removed and added keys apply to rows, and those of
// changed columns have nothing to apply to. Columns of one side only are named and not compared.
package canary

// Budgets are what a release may change. Ratios are fractions (0.005 is 0.5 %). A nil pointer or a missing entry
// means the default: rows 0.05, removed_keys 0, added_keys 0.05, changed 0 for every column, metrics 0.01.
type Budgets struct {
	Rows        *float64           `json:"rows,omitempty"`         // relative change of the row count, either way
	RemovedKeys *float64           `json:"removed_keys,omitempty"` // fraction of the baseline's keys
	AddedKeys   *float64           `json:"added_keys,omitempty"`   // fraction of the baseline's keys
	Changed     map[string]float64 `json:"changed,omitempty"`      // column -> fraction of the common rows
	Metrics     map[string]float64 `json:"metrics,omitempty"`      // metric -> relative change, either way
}

// What a release may change where its author says nothing: its volume a little, its numbers hardly, existing rows not
// at all.
const (
	DefaultRows        = 0.05
	DefaultRemovedKeys = 0
	DefaultAddedKeys   = 0.05
	DefaultChanged     = 0
	DefaultMetrics     = 0.01
)

func budget(given *float64, otherwise float64) float64 {
	if given == nil {
		return otherwise
	}
	return *given
}

func budgetOf(given map[string]float64, name string, otherwise float64) float64 {
	if limit, ok := given[name]; ok {
		return limit
	}
	return otherwise
}
