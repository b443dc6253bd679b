package migrate

import "slices"

func replacingRecipes() []Recipe {
	const undo = "Swap back, drop trigger, function and new column, with what was made over it: the old one was kept as it is, by every writer."
	return []Recipe{
		{
			Kind: RenameColumn, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).renameColumn,
			What: "Gives a column another name; readers and writers of the old name go on until contract.",
			How:  "Add a column of the new name, a trigger that writes both, bring the rows over in batches, compare them, make indexes, checks and statistics over it, carry NOT NULL (by a validated CHECK), default, comment, rights and settings, let the new name count where both are written, and at contract drop trigger and old column, with what was over it.",
			Undo: undo,
		},
		{
			Kind: ChangeType, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).changeType,
			What: "Gives a column another type, with `up` from the old value to the new one and `down` back. Without them: a type that holds all that the old one does, where Postgres changes the catalog only.",
			How:  "Add a column of the new type, a trigger that writes both, bring the rows over in batches, compare them, make indexes, checks and statistics over it, carry NOT NULL (by a validated CHECK), default, comment, rights and settings, swap the names, and at contract drop trigger and old column, with what was over it. Without `up`: ALTER TYPE at contract.",
			Undo: undo,
		},
	}
}

func (p *planner) renameColumn(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok || !p.replaceable(o, c) {
		return
	}
	f := pair{
		column: c.Name, added: o.To, renamed: o.To, formerly: c.Name, typeOld: c.Type, typeNew: c.Type, collation: c.Collation,
		oldDefault: c.Default, newDefault: c.Default, notNull: c.NotNull, sequences: c.Sequences,
	}
	p.replace(o, c, f)
}

func (p *planner) changeType(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok {
		return
	}
	target, _ := typeName(o.To)
	switch {
	case target == c.Type:
		p.invalid("leave it out", "%s is of type %s already", shown(o.Column), target)
		return
	case o.Up == "":
		p.widen(o, c, target)
		return
	case c.Default != "" && o.Default == "":
		p.invalid("write default, as it is to be of the new type", "%s has the default %s, and nothing says what it is of the new type", shown(o.Column), shownSQL(c.Default))
		return
	case c.Default == "" && o.Default != "":
		p.invalid("leave it out, and use set_default afterwards", "%s has no default to be changed", shown(o.Column))
		return
	}
	for _, own := range []struct{ what, is string }{{"a storage", c.Storage}, {"a compression", c.Compression}} {
		if own.is != "" {
			p.refuse("take it away first, and set it again afterwards", "%s replaces %s, which has %s of its own, and nothing says what it is of the new type", o.Kind, shown(c.Name), own.what)
			ok = false
		}
	}
	if !p.replaceable(o, c) || !ok {
		return
	}
	up, ok := p.said(o, Typed{Expression: o.Up, Type: target})
	down, fits := p.said(o, Typed{Expression: o.Down, Of: o.Column, As: target})
	if !ok || !fits {
		return
	}
	if o.Default != "" {
		if _, ok := p.constant(o, Typed{Expression: o.Default, Type: target}); !ok {
			return
		}
	}
	f := pair{
		column: c.Name, added: c.Name + newSuffix, renamed: c.Name, formerly: c.Name + oldSuffix, typeOld: c.Type, typeNew: target,
		up: o.Up, down: o.Down, reads: up.Columns, readsBack: without(down.Columns, c.Name),
		oldDefault: c.Default, newDefault: o.Default, notNull: c.NotNull, sequences: c.Sequences,
	}
	if !p.add(o, f.formerly, c.Type) {
		return
	}
	if len(c.Collation) > 0 {
		p.refuse("migrate it by hand", "%s has a collation of its own, and nothing says what it is of the new type", shown(c.Name))
		return
	}
	p.replace(o, c, f)
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// replaceable says whether a column can be replaced by another one of which nothing is lost.
func (p *planner) replaceable(o Operation, c Column) bool {
	ok := p.holds(o, c)
	if _, known := typeName(c.Type); !known {
		p.refuse("migrate it by hand", "%s is of type %s, and only types that Postgres brings along are carried over", shown(c.Name), c.Type)
		ok = false
	}
	writer := dualWriter(p.in.Release.Pipeline, p.in.Migration.Name)
	for _, g := range p.in.Table.Triggers {
		if g.Name > writer {
			p.refuse("give it a name that comes earlier in the alphabet", "the trigger %s fires after the one that writes both, which would not see what it changes", shown(g.Name))
			ok = false
		}
	}
	return p.unbound(o, c) && ok
}

// unbound refuses what the server binds to the column itself, and what would mean something else, and say nothing of it, once writers know
// the new one. Views and generated columns read the old column, which every writer fills, and are waited for before contract.
func (p *planner) unbound(o Operation, c Column) bool {
	const way = "drop it first, and create it anew after contract"
	ok := true
	for _, r := range p.in.Table.Readers {
		why := ""
		switch {
		case r.Column != c.Name || r.Guessed:
		case r.Kind == "trigger":
			why = "and would not fire for whoever writes the new column"
		case r.Kind == "policy":
			why = "and would go on to decide by the old column"
		case r.Kind == "publication" && o.Kind == ChangeType:
			why = "and would publish it under another name from the switch on"
		}
		if why != "" {
			p.refuse(way, "%s replaces %s by another column, and the %s %s is bound to that one, %s", o.Kind, shown(c.Name), r.Kind, shown(r.Name), why)
			ok = false
		}
	}
	return ok
}

// replace plans the steps around a pair: the new column, what it takes over, and what is proved of it.
func (p *planner) replace(o Operation, c Column, f pair) {
	if !p.add(o, f.added, f.typeNew) {
		return
	}
	p.take(c.Name)
	p.moves(c)
	// From the switch on the new column may have the old one's name: it is found under either.
	there := func(conditions ...string) string {
		conditions = append([]string{ofType(f.typeNew)}, conditions...)
		found := []string{p.hasColumn(f.added, conditions...)}
		if f.swaps() {
			found = append(found, p.hasColumn(f.renamed, conditions...))
		}
		return either(found...)
	}
	definition := quote(f.added) + " " + f.typeNew
	if c.Collation != "" {
		definition += " COLLATE " + c.Collation
	}
	settings, has := p.settings(c, f.added)
	p.addStep(f.added, f.renamed, definition, there(has...), settings...)
	if c.Comment != "" {
		p.step(Expand, "comment", f.added, Step{
			Title: "Carry the comment of " + shown(c.Name),
			Act:   []string{p.comment(f.added, c.Comment)},
			Probe: probe(there(withComment(c.Comment))),
			Gone:  probe(no(p.hasColumn(f.added, "pg_catalog.col_description(a.attrelid, a.attnum) IS NOT NULL"))),
			Undo:  []string{p.comment(f.added, "")},
			Lock:  ShareUpdateExclusive,
		})
	}
	if f.notNull {
		p.neverNull(f.added, "", there) // the trigger gives it what the old one has, which is never null
	}
	p.pairs = append(p.pairs, f)
}

// widen changes the type where the catalog is all that changes. Nothing brings it back without reading the table under a lock, so it is
// done at contract.
func (p *planner) widen(o Operation, c Column, target string) {
	if !widens(c.Type, target) {
		p.invalid("write up and down", "%s from %s to %s writes every row anew under a lock that all wait for", o.Kind, c.Type, target)
		return
	}
	for _, r := range p.in.Table.Readers {
		if r.Column == c.Name && !r.Guessed {
			p.refuse("write up and down, or let it be made anew afterwards", "the %s %s holds %s to its type", r.Kind, shown(r.Name), shown(c.Name))
			return
		}
	}
	also, ok := p.ledFrom(o, c.Name, func(ForeignKey) {})
	if !ok {
		return
	}
	p.step(Contract, "widen", c.Name, Step{
		Title: "Make " + shown(c.Name) + " a " + target,
		Act:   []string{p.alterColumn(c.Name, "TYPE "+target)},
		Probe: probe(p.hasColumn(c.Name, ofType(target))),
		Lock:  AccessExclusive, Also: also,
		Risk: "Sessions that prepared a statement over it have to prepare it again; values may then be longer than readers know.",
	})
}
