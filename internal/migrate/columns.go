package migrate

import (
	"fmt"
	"slices"
	"strings"
)

func columnRecipes() []Recipe {
	return []Recipe{
		{
			Kind: AddColumn, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).addColumn,
			What: "Adds a column: one that may be null, one with a default, or with `required: true` one that never is null, whose value `up` gives for rows and writers that do not know it.",
			How:  "Add the column, nullable: the catalog only. Required: a trigger fills in what writers leave out, the rows that are there get their values in batches, the values are counted, then CHECK NOT VALID, VALIDATE, SET NOT NULL without a scan, and at contract the trigger goes.",
			Undo: "Drop the column, with the values that it got.",
		},
		{
			Kind: DropColumn, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).dropColumn,
			What: "Takes a column away.",
			How:  "Nothing happens before contract: consumers are told and acknowledge, readers are looked for. Then DROP COLUMN RESTRICT.",
			Undo: "None is needed before contract, and none is possible after it.",
		},
		{
			Kind: SetComment, Since: oldestVersion, Lock: ShareUpdateExclusive, plan: (*planner).setComment,
			What: "Says what a column is.",
			How:  "COMMENT ON COLUMN.",
			Undo: "The comment that it had.",
		},
	}
}

func (p *planner) addColumn(o Operation) {
	name, _ := typeName(o.Type)
	if !p.add(o, o.Column, name) {
		return
	}
	definition := quote(o.Column) + " " + name
	conditions := []string{ofType(name)}
	if o.Default != "" {
		e, ok := p.constant(o, Typed{Expression: o.Default, Type: name})
		if !ok {
			return
		}
		definition += " DEFAULT " + embed(o.Default)
		conditions = append(conditions, withDefault(e.Text))
	} else {
		conditions = append(conditions, noDefault)
	}
	if !o.Required {
		conditions = append(conditions, mayBeNull)
	}
	p.addStep(o.Column, o.Column, definition, p.hasColumn(o.Column, conditions...))
	if !o.Required {
		return
	}
	risk := "" // until contract, the trigger gives a value
	if o.Up != "" {
		e, ok := p.said(o, Typed{Expression: o.Up, Type: name})
		if !ok {
			return
		}
		p.fills = append(p.fills, fill{column: o.Column, up: o.Up, reads: e.Columns})
	} else {
		p.prove(shown(o.Column)+" is never null", quote(o.Column)+" IS NULL")
		risk = refusesNulls(o.Column, true)
	}
	p.neverNull(o.Column, risk, func(conditions ...string) string { return p.hasColumn(o.Column, conditions...) })
}

// addStep adds a column to the table, which is called named from the switch on, and what belongs to it alone; there says whether it is.
func (p *planner) addStep(column, named, definition, there string, more ...string) {
	p.plan.New = append(p.plan.New, NewColumn{Made: column, Named: named})
	made := []string{column}
	if column != named { // the switch has given its names to both
		made = append(made, named+oldSuffix)
	}
	p.step(Expand, "add", column, Step{
		Title: "Add " + shown(column),
		Act:   append([]string{p.alter("ADD COLUMN " + definition)}, more...),
		Probe: probe(there),
		Gone:  probe(no(p.anyColumn(made...))),
		Undo:  []string{p.alter("DROP COLUMN " + quote(column) + " RESTRICT")},
		Lock:  AccessExclusive,
		Risk:  "Readers of all columns (SELECT *) see one more.",
	})
}

func (p *planner) dropColumn(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok {
		return
	}
	if len(p.in.Table.Columns) == 1 {
		p.invalid("drop the table by hand", "%s would leave %s without a column", o.Kind, shown(p.in.Table.Name))
		return
	}
	for _, i := range p.in.Table.Indexes {
		if !slices.Contains(i.Columns, o.Column) {
			continue
		}
		if i.Primary || i.Constraint || i.Unique {
			p.refuse("take the index or its constraint away first, by name", "with %s would go %s, which keeps rows apart", shown(o.Column), shown(i.Name))
			continue
		}
		p.warn("The index %s goes with %s.", shown(i.Name), shown(o.Column))
	}
	for _, k := range p.in.Table.Checks {
		if slices.Contains(k.Columns, o.Column) {
			p.warn("The check %s goes with %s.", shown(k.Name), shown(o.Column))
		}
	}
	for _, e := range p.in.Table.Statistics {
		if slices.Contains(e.Columns, o.Column) {
			p.warn("The statistics %s go with %s.", shown(e.Name), shown(o.Column))
		}
	}
	also, ok := p.ledFrom(o, o.Column, func(f ForeignKey) { p.warn("The foreign key %s goes with %s.", shown(f.Name), shown(o.Column)) })
	if !ok {
		return
	}
	for _, s := range c.Sequences {
		p.warn("The sequence %s goes with %s.", shown(s.Name), shown(o.Column))
	}
	for _, held := range c.Holds {
		if slices.Contains(c.Stays, held) {
			p.refuse("drop it first, by name", "%s takes %s away, and %s needs it", o.Kind, shown(o.Column), held)
			continue
		}
		p.warn("With %s goes %s.", shown(o.Column), held)
	}
	if c.NotNull && c.Default == "" {
		p.warn("Writers have to give %s a value until contract: it is NOT NULL, and has no default.", shown(o.Column))
	}
	p.take(o.Column)
	p.moves(c)
	p.plan.Old = append(p.plan.Old, o.Column)
	p.step(Contract, "drop", o.Column, Step{
		Title: "Take " + shown(o.Column) + " away",
		Act:   []string{p.alter("DROP COLUMN " + quote(o.Column) + " RESTRICT")},
		Probe: probe(no(p.hasColumn(o.Column))),
		Lock:  AccessExclusive, Also: also,
		Risk: "Whoever still reads or writes " + shown(o.Column) + " gets an error, and nothing brings its values back.",
	})
}

// moves warns once of what becomes of the places of columns when one goes: who writes by place would write into others, and get no error where
// their types allow it.
func (p *planner) moves(gone Column) {
	columns := p.in.Table.Columns
	if columns[len(columns)-1].Name == gone.Name || p.moved {
		return
	}
	p.moved = true
	p.warn("From contract on the columns have other places: an INSERT or a COPY that does not name its columns writes into others. Have such writers name them before.")
}

func (p *planner) setComment(o Operation) {
	c, ok := p.column(o, o.Column)
	if !ok {
		return
	}
	if c.Comment == o.Comment {
		p.invalid("leave it out", "%s has that comment already", shown(o.Column))
		return
	}
	p.step(Expand, "comment", o.Column, Step{
		Title: "Say what " + shown(o.Column) + " is",
		Act:   []string{p.comment(o.Column, o.Comment)},
		Probe: probe(p.hasColumn(o.Column, withComment(o.Comment))),
		Gone:  probe(p.hasColumn(o.Column, withComment(c.Comment))),
		Undo:  []string{p.comment(o.Column, c.Comment)},
		Lock:  ShareUpdateExclusive,
	})
}

func (p *planner) comment(column, text string) string {
	said := "NULL"
	if text != "" {
		said = literal(text)
	}
	return fmt.Sprintf("COMMENT ON COLUMN %s.%s IS %s", p.table(), quote(column), said)
}

// holds refuses to replace a column of which something would be lost, and names it.
func (p *planner) holds(o Operation, c Column) bool {
	held := slices.Clone(c.Holds)
	if o.Kind == ChangeType && strings.Contains(c.Default, "nextval(") {
		held = append(held, "a sequence that gives its default")
	}
	for _, what := range held {
		p.refuse("take it away first, and make it again afterwards", "%s replaces %s by another column, and %s cannot be carried over", o.Kind, shown(c.Name), what)
	}
	return len(held) == 0
}
