package migrate

import "slices"

func notNullRecipes() []Recipe {
	return []Recipe{
		{
			Kind: SetNotNull, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).setNotNull,
			What: "Lets a column never be null again; with `up`, rows and writers that have null get its value.",
			How:  "Count the nulls, then CHECK NOT VALID, VALIDATE while others read and write, SET NOT NULL without a scan, DROP the CHECK. With `up` a trigger and batches fill first.",
			Undo: "DROP NOT NULL, and the CHECK; values that were filled in stay.",
		},
		{
			Kind: DropNotNull, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).dropNotNull,
			What: "Lets a column be null; its readers have to be ready for it.",
			How:  "Nothing happens before contract: consumers are told and acknowledge. Then DROP NOT NULL.",
			Undo: "None is needed before contract. After it there may be nulls.",
		},
	}
}

func (p *planner) setNotNull(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok {
		return
	}
	if c.NotNull {
		p.invalid("leave it out", "%s is NOT NULL already", shown(o.Column))
		return
	}
	risk := "" // until contract, the trigger gives a value
	if o.Up != "" {
		e, ok := p.said(o, Typed{Expression: o.Up, Of: o.Column})
		if !ok {
			return
		}
		p.fills = append(p.fills, fill{column: o.Column, up: o.Up, reads: e.Columns, hasDefault: c.Default != ""})
	} else {
		p.prove(shown(o.Column)+" is never null", quote(o.Column)+" IS NULL")
		risk = refusesNulls(o.Column, c.Default != "")
	}
	p.neverNull(o.Column, risk, func(conditions ...string) string { return p.hasColumn(o.Column, conditions...) })
}

func (p *planner) dropNotNull(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok {
		return
	}
	if !c.NotNull {
		p.invalid("leave it out", "%s may be null already", shown(o.Column))
		return
	}
	if slices.Contains(p.in.Table.Key, o.Column) {
		p.refuse("keep it", "%s is part of the key of %s", shown(o.Column), shown(p.in.Table.Name))
		return
	}
	p.step(Contract, "drop-not-null", o.Column, Step{
		Title: "Let " + shown(o.Column) + " be null",
		Act:   []string{p.alterColumn(o.Column, "DROP NOT NULL")},
		Probe: probe(p.hasColumn(o.Column, mayBeNull)),
		Lock:  AccessExclusive,
		Risk:  "Readers may see nulls in " + shown(o.Column) + " from here on.",
	})
}

// refusesNulls is what writers of a column meet that is never null, and that nothing fills in.
func refusesNulls(column string, hasDefault bool) string {
	if hasDefault {
		return "A write that sets " + shown(column) + " to null fails from here on."
	}
	return "A write that does not give " + shown(column) + " a value fails from here on."
}

// neverNull plans the four steps after which a column is never null, none of which reads the table under a lock that others wait for.
// there finds the column, under whatever name it has by then; risk is what new writers meet from its first step on.
func (p *planner) neverNull(column, risk string, there func(conditions ...string) string) {
	name := notNullCheck(column)
	for _, k := range p.in.Table.Checks {
		if k.Name == name {
			p.invalid("rename it", "the table has a check %s, and the steps to NOT NULL need that name", shown(name))
			return
		}
	}
	condition := quote(column) + " IS NOT NULL"
	add := p.alter("ADD CONSTRAINT " + quote(name) + " CHECK (" + condition + ") NOT VALID")
	drop := p.alter("DROP CONSTRAINT " + quote(name) + " RESTRICT")
	loose := p.alter("DROP CONSTRAINT IF EXISTS " + quote(name) + " RESTRICT")
	nullable := no(p.hasColumn(column, neverNull))
	done := there(neverNull)
	p.step(Switch, "check-not-null", column, Step{
		Title: "Refuse new nulls in " + shown(column),
		Act:   []string{add}, Probe: probe(either(p.hasCheck(name), done)), Gone: probe(no(p.hasCheck(name))), Undo: []string{loose}, Lock: AccessExclusive,
		Risk: risk,
	})
	p.validateParts("validate-not-null", column, name, "Look whether a row of %s has a null in "+shown(column), []string{loose, add}, done)
	p.step(Switch, "validate-not-null", column, Step{
		Title: "Look whether a row has a null in " + shown(column),
		Act:   []string{p.alter("VALIDATE CONSTRAINT " + quote(name))},
		Probe: probe(either(p.hasCheck(name, "k.convalidated"), done)),
		Gone:  probe(no(p.hasCheck(name, "k.convalidated"))),
		Undo:  []string{loose, add},
		Lock:  ShareUpdateExclusive, Class: Scan,
	})
	p.step(Switch, "set-not-null", column, Step{
		Title: "Make " + shown(column) + " NOT NULL; the check saves the scan",
		Act:   []string{p.alterColumn(column, "SET NOT NULL")},
		Probe: probe(done),
		Gone:  probe(nullable),
		Undo:  []string{p.alterColumn(column, "DROP NOT NULL")},
		Lock:  AccessExclusive,
	})
	p.step(Switch, "drop-check", column, Step{
		Title: "Drop the check that NOT NULL replaces",
		Act:   []string{drop}, Probe: probe(done, no(p.hasCheck(name))), Gone: probe(either(p.hasCheck(name), nullable)), Undo: []string{add}, Lock: AccessExclusive,
	})
}
