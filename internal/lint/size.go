package lint

import (
	"slices"
	"time"
)

// Cost is the work that a server does while others wait, which grows with the table.
type Cost string

// The costs.
const (
	Reads    Cost = "read"    // every row is read
	Rewrites Cost = "rewrite" // every row is written again, and every index
	Indexes  Cost = "index"   // an index is built
)

// second is what a server does of each in a second, in bytes of the table: about what one did on two cores that had other work too.
func (c Cost) second() float64 {
	switch c {
	case Rewrites:
		return 25e6
	case Indexes:
		return 45e6
	default:
		return 200e6
	}
}

// Small is the size in bytes up to which a table is small: whatever is done to all of it takes less than half a second.
const Small = 8 << 20

// Size is how large a table is.
type Size struct {
	Rows  int64 `json:"rows"` // as the server estimates it; below 0 where it never has
	Bytes int64 `json:"bytes"`
}

// Sizes are those of tables of one schema, by their names.
type Sizes struct {
	Schema string
	Tables map[string]Size
}

// Weight is how large the table of a finding is, and for how long others would wait.
type Weight struct {
	Table string `json:"table"`
	Size
	Seconds float64 `json:"seconds"` // an estimate
}

// Weighed are the names of the tables whose size says how grave a finding is, without schemas.
func (r Report) Weighed() []string {
	var names []string
	for _, f := range r.Findings {
		if f.Table != "" {
			names = append(names, f.Table)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Weigh says of each finding how large its table is. One whose danger is only that others wait is a note where that is not for long. A
// table that is not among the sizes stays as grave as one of any size.
func (r *Report) Weigh(sizes Sizes) {
	for i := range r.Findings {
		f := &r.Findings[i]
		size, ok := sizes.Tables[f.Table]
		if !ok || f.Schema != "" && f.Schema != sizes.Schema {
			continue
		}
		rule, _ := named(f.Rule)
		took := time.Duration(float64(size.Bytes) / rule.Cost.second() * float64(time.Second))
		f.Weight = &Weight{Table: table{sizes.Schema, f.Table}.String(), Size: size, Seconds: took.Round(time.Millisecond).Seconds()}
		if size.Bytes <= Small {
			r.Counts[f.Severity]--
			f.Severity = Note
			r.Counts[Note]++
		}
	}
}
