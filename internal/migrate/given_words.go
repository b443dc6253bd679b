package migrate

import "fmt"

// phaseWords say what a phase is for, by who gives the values of the table.
func (p Plan) phaseWords(phase Phase) string {
	if p.Given == nil {
		return phaseWords(phase)
	}
	switch phase {
	case DualWrite:
		return "It waits for a release that gives both shapes. From then on no other is let in."
	case Backfill:
		return "It waits for every partition to be built by such a release: drawbridge backfill."
	case Verify:
		return "The rows of all partitions are looked at; one that does not hold stops the migration, with counts."
	case Switch:
		return "The new shape counts from here on: no rollback goes to a release that lacks it."
	case Expand, Deprecating, Contract:
	}
	return phaseWords(phase)
}

// releaseLines are what a phase waits for of the releases that make the table.
func (p Plan) releaseLines(phase Phase) []string {
	if p.Given == nil || len(p.Given.New) == 0 {
		return nil
	}
	switch phase {
	case DualWrite:
		return []string{"an active release whose SELECT gives " + listed(p.Given.Both())}
	case Backfill:
		return []string{"every partition built by a release that gives " + listed(p.Given.Both())}
	case Expand, Verify, Switch, Deprecating, Contract:
	}
	return nil
}

// change is an operation in words.
func (p Plan) change(o Operation) string {
	if p.Given != nil && o.Kind == AddColumn && o.Required {
		return fmt.Sprintf("add the column %s (%s), never null, which releases give: %s", shown(o.Column), oneLine(o.Type), oneLine(o.Up))
	}
	return change(o)
}

// concern is what a consumer has to do about an operation, and by when; empty: nothing. Of a table that releases make consumers only read.
func (p Plan) concern(o Operation) string {
	if p.Given == nil {
		return concern(o)
	}
	column := shown(o.Column)
	switch {
	case o.Kind == AddColumn && o.Required:
		return fmt.Sprintf("%s is new, and never null from the switch on. Until then it is, where no release has given it yet.", column)
	case o.Kind == RenameColumn:
		return fmt.Sprintf("%s is called %s. From the switch until contract both are there, and say the same; then %s is gone. Read %s before then.", column, shown(o.To), column, shown(o.To))
	case o.Kind == DropColumn:
		return fmt.Sprintf("%s goes at contract. Do not read it from then on.", column)
	}
	return concern(o)
}
