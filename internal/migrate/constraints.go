package migrate

func checkRecipes() []Recipe {
	return []Recipe{
		{
			Kind: AddCheck, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).addCheck,
			What: "Holds every row to a condition.",
			How:  "Count the rows that do not meet it, then ADD CONSTRAINT NOT VALID, and VALIDATE while others read and write.",
			Undo: "Drop the constraint.",
		},
		{
			Kind: DropCheck, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).dropCheck,
			What: "Takes a condition away; readers have to be ready for rows that do not meet it.",
			How:  "Nothing happens before contract: consumers are told and acknowledge. Then DROP CONSTRAINT RESTRICT.",
			Undo: "None is needed before contract. After it there may be rows that do not meet it.",
		},
	}
}

func (p *planner) addCheck(o Operation) {
	for _, k := range p.in.Table.Checks {
		if k.Name == o.Name {
			p.invalid("choose another name", "%s has a check %s already", shown(p.in.Table.Name), shown(o.Name))
			return
		}
	}
	e, ok := p.said(o, Typed{Expression: o.Check, Type: "boolean"})
	if !ok {
		return
	}
	add := p.alter("ADD CONSTRAINT " + quote(o.Name) + " CHECK " + embed(o.Check) + " NOT VALID")
	drop := p.alter("DROP CONSTRAINT IF EXISTS " + quote(o.Name) + " RESTRICT")
	p.prove("every row meets "+shown(o.Name), embed(o.Check)+" IS FALSE")
	p.step(Switch, "check", o.Name, Step{
		Title: "Hold new rows to " + shown(o.Name),
		Act:   []string{add}, Probe: probe(p.hasCheck(o.Name, saying(e.Text))), Gone: probe(no(p.hasCheck(o.Name))), Undo: []string{drop}, Lock: AccessExclusive,
		Risk: "A write that does not meet " + shown(o.Name) + " fails from here on.",
	})
	p.validateParts("validate", o.Name, o.Name, "Look whether every row of %s meets "+shown(o.Name), []string{drop, add})
	p.step(Switch, "validate", o.Name, Step{
		Title: "Look whether every row meets " + shown(o.Name),
		Act:   []string{p.alter("VALIDATE CONSTRAINT " + quote(o.Name))},
		Probe: probe(p.hasCheck(o.Name, saying(e.Text), "k.convalidated")),
		Gone:  probe(no(p.hasCheck(o.Name, "k.convalidated"))),
		Undo:  []string{drop, add},
		Lock:  ShareUpdateExclusive, Class: Scan,
	})
}

func (p *planner) dropCheck(o Operation) {
	for _, k := range p.in.Table.Checks {
		if k.Name != o.Name {
			continue
		}
		p.step(Contract, "drop-check", o.Name, Step{
			Title: "Take the check " + shown(o.Name) + " away",
			Act:   []string{p.alter("DROP CONSTRAINT " + quote(o.Name) + " RESTRICT")},
			Probe: probe(no(p.hasCheck(o.Name))),
			Lock:  AccessExclusive,
			Risk:  "Readers may see rows that do not meet " + shown(o.Name) + ".",
		})
		return
	}
	p.invalid(namesHint("checks", p.in.Table.Checks, func(k Constraint) string { return k.Name }),
		"%s has no check %s", shown(p.in.Table.Name), shown(o.Name))
}
