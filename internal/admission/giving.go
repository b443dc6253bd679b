package admission

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// Giving is what a migration of an output needs of whatever is published for it: while it is open, and once it is done.
type Giving struct {
	Output    string
	Migration string // its name
	Owner     string // the workflow that drives it
	Columns   []string
	// Switched says that what is new counts: no turn-back goes to what lacks it any more.
	Switched bool
	// Done says that it has ended so: its columns are promised to readers.
	Done bool
}

// Lacks says why something that gives some columns may not be published; empty: it may.
func (g Giving) Lacks(gives []string) string {
	var lacking []string
	for _, name := range g.Columns {
		if !slices.Contains(gives, name) {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	if g.Done {
		return fmt.Sprintf("does not give %s, which the migration %s has brought", strings.Join(lacking, ", "), g.Migration)
	}
	return fmt.Sprintf("does not give %s, and while the migration %s is open whatever is published gives %s", strings.Join(lacking, ", "), g.Migration, strings.Join(g.Columns, ", "))
}

// Way is what is done about a release that lacks what a migration needs.
func (g Giving) Way() string {
	if g.Done {
		return "let its SELECT give " + strings.Join(g.Columns, ", ") + ", or take it away by a migration of its own (drop_column)"
	}
	return "let its SELECT give " + strings.Join(g.Columns, ", ") + ", or end the migration first: drawbridge migrate rollback " + effect.Owner(g.Owner).Workflow() + " --reason TEXT"
}

// giving holds every generation to what open migrations need. A turn-back goes to what was there before, until the new shape counts.
func giving(q Question, f Facts, _ gate.Approval) error {
	for _, s := range q.Swaps {
		made, known := f.Generations[s.To]
		for _, g := range f.Giving {
			if !known || g.Output != s.Output || q.TurnBack && !g.Switched {
				continue
			}
			if why := g.Lacks(made.Gives); why != "" {
				return q.refuse(fault.Refused, fmt.Sprintf("generation %d of %s %s %s", s.To, s.Output, s.Partition, why), g.Way())
			}
		}
	}
	return nil
}
