package migrate

import (
	"strings"
	"time"
)

// Brownout is a trial of contract, at the end of the deprecation window: for a while whoever still needs the old shape gets the error that
// contract would give, and can have it taken back at once.
type Brownout struct {
	// For is how long it is held.
	For time.Duration `json:"for"`
	// Columns may be neither read nor written while it is on, but by the table's owner and by superusers. What rights others have on them
	// then is read from the table when it begins, and given back when it ends.
	Columns []string `json:"columns,omitempty"`
	// Filled are columns that nothing fills in while it is on for writers who leave them out. On and Off are the statements for that.
	Filled []string `json:"filled,omitempty"`
	On     []string `json:"on,omitempty"`
	Off    []string `json:"off,omitempty"`
}

// Tried is how the brownout of a migration stands.
type Tried struct {
	// Since is when it began last, Until when it ended; both are zero where it has not.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Held says that it was on for as long as the plan says.
	Held bool `json:"held,omitempty"`
}

// On says that it is on now.
func (t Tried) On() bool { return !t.Since.IsZero() && t.Until.IsZero() }

// brownout plans the trial of contract, where there is anything that it could try.
func (p *planner) brownout() {
	b := Brownout{For: p.in.Migration.Deprecate.Brownout, Columns: p.plan.Old}
	if b.For == 0 {
		return
	}
	if len(p.fills) > 0 {
		function := qualified(p.ledger(), dualWriter(p.in.Release.Pipeline, p.in.Migration.Name))
		trial := *p
		trial.fills = nil
		for _, f := range p.fills {
			b.Filled = append(b.Filled, f.column)
		}
		b.On, b.Off = []string{p.defineFunction(function, trial.body(newShape))}, []string{p.defineFunction(function, p.body(newShape))}
	}
	if len(b.Columns)+len(b.Filled) == 0 {
		p.warn("It takes nothing away that readers or writers could miss, so there is no brownout.")
		return
	}
	p.plan.Brownout = &b
	p.warn("In the brownout, before contract, %s. To pause the migration takes that back at once.", b.Refuses())
	if len(b.Columns) > 0 {
		p.warn("The brownout stops neither the table's owner, superusers and members of pg_read_all_data, nor reads through a view or a function whose owner may read.")
		if p.plan.Given != nil {
			p.warn("Nor does it stop whoever has rights on the table of a single generation, and reads that by its name.")
		}
	}
}

// Refuses is what the brownout does, in words: "for 10m, whoever writes without channel is refused".
func (b Brownout) Refuses() string {
	var what []string
	if len(b.Columns) > 0 {
		what = append(what, "whoever reads or writes "+shownAll(b.Columns)+", or all columns as *, is refused")
	}
	if len(b.Filled) > 0 {
		what = append(what, "whoever writes without "+shownAll(b.Filled)+" is refused")
	}
	return "for " + durationText(b.For) + ", " + strings.Join(what, ", and ")
}
