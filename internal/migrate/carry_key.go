package migrate

import (
	"fmt"
	"slices"
)

// becomes are columns by the names of those that take the place of the ones that the migration replaces: until the switch, and from then on.
func (p *planner) becomes(columns []string) (until, after []string) {
	until, after = slices.Clone(columns), slices.Clone(columns)
	for i, name := range columns {
		for _, f := range p.pairs {
			if f.column == name {
				until[i], after[i] = f.added, f.renamed
			}
		}
	}
	return until, after
}

// inheritKey makes the index that takes the place of a key's the key, and says whether it is.
func (p *planner) inheritKey(u Unique, index string) (act []string, there string) {
	_, columns := p.becomes(u.Columns)
	kind, letter := "UNIQUE", "u"
	if u.Primary {
		kind, letter = "PRIMARY KEY", "p"
	}
	act = []string{p.alter(fmt.Sprintf("ADD CONSTRAINT %s %s USING INDEX %s", quote(u.Name), kind, quote(index)))}
	conditions := []string{withColumns("conkey", "conrelid", columns)}
	if u.Comment != "" {
		act = append(act, p.commentConstraint(u.Name, u.Comment))
		conditions = append(conditions, commented(u.Comment))
	}
	return act, p.hasKey(letter, u.Name, conditions...)
}

func (p *planner) commentConstraint(name, text string) string {
	return fmt.Sprintf("COMMENT ON CONSTRAINT %s ON %s IS %s", quote(name), p.table(), literal(text))
}

// commented is a condition of a constraint k.
func commented(text string) string {
	return "pg_catalog.obj_description(k.oid, 'pg_constraint') = " + literal(text)
}

// CarriedLeads are the foreign keys of a table that a migration makes over other columns.
func CarriedLeads(m Migration, t Table) []Lead {
	var all []Lead
	for _, f := range t.ForeignKeys {
		l := Lead{Name: f.Name, Columns: slices.Clone(f.Columns), Table: f.Table, Key: f.Key}
		for _, r := range Replacements(m) {
			for i, name := range f.Columns {
				if name != r.Column {
					continue
				}
				l.Columns[i] = r.Added
				added := AddedColumn{Name: r.Added, Type: r.Type}
				if r.Type == "" {
					added.As = r.Column
				}
				l.Added = append(l.Added, added)
			}
		}
		if len(l.Added) > 0 && f.Schema == t.Schema {
			all = append(all, l)
		}
	}
	return all
}

// carryForeignKey makes a foreign key over the new columns in the place of one over columns that they replace.
func (p *planner) carryForeignKey(f ForeignKey) {
	carried := &Carried{Refused: f.Refused}
	if !p.inherits("foreign key", DropForeignKey, f.Name, f.Columns, carried) {
		return
	}
	until, after := p.becomes(f.Columns)
	o := Operation{
		Kind: AddForeignKey, Name: f.Name, Columns: until, References: f.Table, Key: f.Key,
		OnDelete: f.OnDelete, OnUpdate: f.OnUpdate, Match: f.Match, Deferrable: f.Deferrable,
	}
	also, ok := p.ledTo(o, f)
	if !ok {
		return
	}
	r, ok := p.reference(o)
	if !ok {
		return
	}
	name := heirName(f.Name)
	definition, conditions := p.leading(o)
	later := o
	later.Columns = after
	_, conditionsLater := p.leading(later)
	there := func(more ...string) string {
		found := []string{p.leads(name, slices.Concat(conditions, more)...)}
		if !slices.Equal(until, after) {
			found = append(found, p.leads(name, slices.Concat(conditionsLater, more)...))
		}
		return either(found...)
	}
	add := p.alter("ADD CONSTRAINT " + quote(name) + " " + definition + " NOT VALID")
	drop := p.alter("DROP CONSTRAINT IF EXISTS " + quote(name) + " RESTRICT")
	risk := ""
	if p.converts(f.Columns) {
		risk = "A write fails from which up makes what leads nowhere."
	}
	p.step(Switch, "foreign-key", f.Name, Step{
		Title: "Hold the new shape of new rows to " + shown(f.Name),
		Act:   []string{add}, Probe: probe(there()), Gone: probe(no(p.leads(name))), Undo: []string{drop}, Lock: ShareRowExclusive, Also: also, Risk: risk,
	})
	if f.Valid {
		p.prove("the new shape of every row meets "+shown(f.Name), p.orphaned(o, r))
		p.step(Switch, "validate", f.Name, Step{
			Title: "Look whether the new shape of every row meets " + shown(f.Name),
			Act:   []string{p.alter("VALIDATE CONSTRAINT " + quote(name))},
			Probe: probe(there("k.convalidated")),
			Gone:  probe(no(p.leads(name, "k.convalidated"))),
			Undo:  []string{drop, add},
			Lock:  ShareUpdateExclusive, Also: also, Class: Scan,
		})
	}
	h := heir{made: p.last(), act: []string{p.alter("RENAME CONSTRAINT " + quote(name) + " TO " + quote(f.Name))}, also: also}
	if f.Comment != "" {
		h.act = append(h.act, p.commentConstraint(f.Name, f.Comment))
		conditionsLater = append(conditionsLater, commented(f.Comment))
	}
	h.there = all(p.leads(f.Name, conditionsLater...), no(p.leads(name)))
	p.heirs = append(p.heirs, h)
}

// goesWith is a condition of a column a: a sequence goes with it.
func goesWith(s Sequence) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_depend g WHERE g.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND g.objid = %s AND g.deptype = 'a' AND g.refobjid = a.attrelid AND g.refobjsubid = a.attnum)",
		relation(s.Schema, s.Name))
}
