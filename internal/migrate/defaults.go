package migrate

func defaultRecipes() []Recipe {
	const undo = "The default that it had."
	return []Recipe{
		{
			Kind: SetDefault, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).setDefault,
			What: "Gives a column a default, or another one; rows that are there keep what they have.",
			How:  "SET DEFAULT: the catalog only.", Undo: undo,
		},
		{
			Kind: DropDefault, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).dropDefault,
			What: "Takes a column's default away: a write that leaves it out gives null.",
			How:  "DROP DEFAULT: the catalog only.", Undo: undo,
		},
	}
}

func (p *planner) setDefault(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok {
		return
	}
	e, ok := p.constant(o, Typed{Expression: o.Default, Of: o.Column})
	if !ok {
		return
	}
	if c.Default == e.Text {
		p.invalid("leave it out", "%s has that default already", shown(o.Column))
		return
	}
	undo := p.alterColumn(o.Column, "DROP DEFAULT")
	if c.Default != "" {
		undo = p.alterColumn(o.Column, "SET DEFAULT "+c.Default)
	}
	p.step(Switch, "set-default", o.Column, Step{
		Title: "Set the default of " + shown(o.Column),
		Act:   []string{p.alterColumn(o.Column, "SET DEFAULT "+embed(o.Default))},
		Probe: probe(p.hasColumn(o.Column, withDefault(e.Text))),
		Gone:  probe(p.hadDefault(o.Column, c.Default)),
		Undo:  []string{undo},
		Lock:  AccessExclusive,
		Risk:  "Rows that leave " + shown(o.Column) + " out get another value than before.",
	})
}

func (p *planner) dropDefault(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok {
		return
	}
	if c.Default == "" {
		p.invalid("leave it out", "%s has no default", shown(o.Column))
		return
	}
	if c.NotNull {
		p.warn("A write that leaves %s out fails once it has no default: it is NOT NULL.", shown(o.Column))
	}
	p.step(Switch, "drop-default", o.Column, Step{
		Title: "Drop the default of " + shown(o.Column),
		Act:   []string{p.alterColumn(o.Column, "DROP DEFAULT")},
		Probe: probe(p.hasColumn(o.Column, noDefault)),
		Gone:  probe(p.hadDefault(o.Column, c.Default)),
		Undo:  []string{p.alterColumn(o.Column, "SET DEFAULT "+c.Default)},
		Lock:  AccessExclusive,
		Risk:  "Rows that leave " + shown(o.Column) + " out have null, or are refused where it may not be.",
	})
}
