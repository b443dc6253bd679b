package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/sqltext"
)

func relationRecipes() []Recipe {
	return []Recipe{
		{
			Kind: CreateView, Since: oldestVersion, Lock: AccessShare, plan: (*planner).createView,
			What: "Makes a view over the table for programs that know another shape of it: some of its columns, each under the name that they use, and with `where` some of its rows.",
			How:  "CREATE VIEW, with the rights that the table gives, and of whoever asks it from Postgres 15 on. Writes through it reach the table. Nobody waits.",
			Undo: "DROP VIEW RESTRICT.",
		},
		{
			Kind: CreateTable, Since: oldestVersion, plan: (*planner).createTable,
			What: "Makes the table, with its columns and its key. Defaults, checks and indexes are of the files after it.",
			How:  "CREATE TABLE. Nobody waits.",
			Undo: "DROP TABLE RESTRICT, as long as there is no row in it.",
		},
		{
			Kind: RenameTable, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).renameTable,
			What: "Gives the table another name; who reads or writes by the old one goes on until contract, but for COPY and TRUNCATE.",
			How:  "In one transaction rename it, and make a view of the old name with all of its columns and the rights that it gives. At contract, when nobody is known to ask the view, DROP VIEW RESTRICT.",
			Undo: "In one transaction drop the view RESTRICT, and rename the table back.",
		},
		{
			Kind: DropTable, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).dropTable,
			What: "Takes the table away.",
			How:  "When consumers have acknowledged and nobody is known to read it, give it another name, by which nobody asks for it. `deprecate.window` is how long it is kept so, for whoever gets an error then. At contract DROP TABLE RESTRICT.",
			Undo: "Give it its name back: its rows, rights, indexes and triggers were kept.",
		},
	}
}

// ViewColumn is a column of a view, and the one of the table that it is.
type ViewColumn struct{ Of, Name string }

// ParseViewColumn reads NAME [AS NAME]. A name with other characters than lower-case letters, digits and underscores stands in double quotes.
func ParseViewColumn(text string) (ViewColumn, error) {
	wrong := errors.New("must be a column, and after it AS and the name that it has in the view, where that is another one")
	tokens, err := sqltext.Scan(text)
	if err != nil {
		return ViewColumn{}, wrong
	}
	end := 0
	for _, t := range append(tokens, sqltext.Token{Start: len(text)}) {
		if strings.TrimSpace(text[end:t.Start]) != "" { // a number, a string or a comment
			return ViewColumn{}, wrong
		}
		end = t.End
	}
	name := func(at int) bool { return tokens[at].Kind == sqltext.Word || tokens[at].Kind == sqltext.Quoted }
	switch {
	case len(tokens) == 1 && name(0):
		return ViewColumn{Of: tokens[0].Text, Name: tokens[0].Text}, nil
	case len(tokens) == 3 && name(0) && tokens[1].Kind == sqltext.Word && tokens[1].Text == "as" && name(2):
		return ViewColumn{Of: tokens[0].Text, Name: tokens[2].Text}, nil
	}
	return ViewColumn{}, wrong
}

// sql is the column as SELECT has it.
func (c ViewColumn) sql() string {
	if c.Of == c.Name {
		return quote(c.Of)
	}
	return quote(c.Of) + " AS " + quote(c.Name)
}

// whoAsks is the first version in which a view reads by the rights of whoever asks it.
const whoAsks = 150000

func (p *planner) createView(o Operation) {
	if !p.viewable() || !p.noOutput(o, o.Name) {
		return
	}
	var columns []ViewColumn
	var shows []string
	for _, text := range o.Columns {
		c, err := ParseViewColumn(text)
		if err != nil {
			return // it is among the mistakes
		}
		if _, ok := p.column(o, c.Of); !ok {
			return
		}
		columns, shows = append(columns, c), append(shows, strings.ReplaceAll(c.sql(), `"`, ""))
	}
	says := fmt.Sprintf("Over %s: %s", p.in.Table.Name, strings.Join(shows, ", "))
	where := ""
	if o.Where != "" {
		if _, ok := p.said(o, Typed{Expression: o.Where, Type: "boolean"}); !ok {
			return
		}
		where = " WHERE " + embed(o.Where)
		says += " where " + strings.TrimSpace(o.Where)
	}
	act, there := p.viewOf(o.Name, p.table(), columns, where, says)
	view := qualified(p.in.Table.Schema, o.Name)
	p.step(Expand, "view", o.Name, Step{
		Title: "Make the view " + shown(o.Name),
		Act:   act,
		Probe: probe(there),
		Gone:  probe(relation(p.in.Table.Schema, o.Name) + " IS NULL"),
		Undo:  []string{"DROP VIEW IF EXISTS " + view + " RESTRICT"},
		Lock:  AccessShare, Fresh: true,
		Risk: "While it is there, no column that it shows can be taken away. Through it nobody can TRUNCATE, nor COPY rows in.",
	})
}

// viewable refuses a view that would show rows that policies hide.
func (p *planner) viewable() bool {
	if p.in.Table.RowSecurity && p.in.Table.Version < whoAsks {
		p.refuse("update the server first", "policies decide who sees which rows of %s, and before version 15 a view would show them all", shown(p.in.Table.Name))
		return false
	}
	return true
}

// noOutput refuses a name that a release of the pipeline makes a table of.
func (p *planner) noOutput(o Operation, name string) bool {
	if slices.Contains(p.in.Outputs, name) {
		p.refuse("choose another name", "%s wants the name %s, which is an output of this pipeline", o.Kind, shown(name))
		return false
	}
	return true
}

// viewOf are the statements that make a view of a name over the table, which is called of by then, with its rights and what is said of it; there is
// whether it is as they make it.
func (p *planner) viewOf(name, of string, columns []ViewColumn, where, says string) (act []string, there string) {
	view, options := qualified(p.in.Table.Schema, name), ""
	var names, selected []string
	renamed := map[string]string{}
	for _, c := range columns {
		names, selected = append(names, c.Name), append(selected, c.sql())
		renamed[c.Of] = c.Name
	}
	found := []string{
		"v.oid = " + relation(p.in.Table.Schema, name), "v.relkind = 'v'",
		"(SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = v.oid AND a.attnum > 0) = " + literals(names),
	}
	if p.in.Table.Version >= whoAsks {
		options = " WITH (security_invoker = true)"
		found = append(found, "v.reloptions @> ARRAY['security_invoker=true']")
	}
	found = append(found, "pg_catalog.obj_description(v.oid, 'pg_class') = "+literal(says))
	act = append([]string{
		"CREATE VIEW " + view + options + " AS SELECT " + strings.Join(selected, ", ") + " FROM " + of + where,
		"COMMENT ON VIEW " + view + " IS " + literal(says),
	}, p.rightsOn(view, renamed)...)
	return act, "EXISTS (SELECT FROM pg_catalog.pg_class v WHERE " + all(found...) + ")"
}

// rightsOn are the statements that give on a view what the owner gave on the table: on all of it, and on the columns that it shows.
func (p *planner) rightsOn(view string, columns map[string]string) []string {
	const throughViews = "SELECT INSERT UPDATE DELETE"
	var all []string
	give := func(g Grant, column string) {
		if !slices.Contains(strings.Fields(throughViews), g.Privilege) {
			return
		}
		to, more := "PUBLIC", ""
		if g.To != "" {
			to = quote(g.To)
		}
		if g.Grantable {
			more = " WITH GRANT OPTION"
		}
		all = append(all, fmt.Sprintf("GRANT %s%s ON %s TO %s%s", g.Privilege, column, view, to, more))
	}
	for _, g := range p.in.Table.Grants {
		give(g, "")
	}
	for _, c := range p.in.Table.Columns {
		if name, has := columns[c.Name]; has {
			for _, g := range c.Grants {
				give(g, " ("+quote(name)+")")
			}
		}
	}
	return all
}

func (p *planner) renameTable(o Operation) {
	t := p.in.Table
	if !p.viewable() || !p.noOutput(o, o.To) {
		return
	}
	var columns []ViewColumn
	for _, c := range t.Columns {
		columns = append(columns, ViewColumn{Of: c.Name, Name: c.Name})
	}
	p.plan.Renamed = o.To
	renamed, view := qualified(t.Schema, o.To), qualified(t.Schema, t.Name)
	act, there := p.viewOf(t.Name, renamed, columns, "", fmt.Sprintf("The old name of %s", o.To))
	p.step(Switch, "rename", t.Name, Step{
		Title: "Call " + shown(t.Name) + " " + shown(o.To) + ", and make a view of the old name",
		Act:   append([]string{p.alter("RENAME TO " + quote(o.To))}, act...),
		Probe: probe(p.called(o.To), there),
		Gone:  probe(relation(t.Schema, o.To)+" IS NULL", no("EXISTS (SELECT FROM pg_catalog.pg_class v WHERE v.oid = "+relation(t.Schema, t.Name)+" AND v.relkind = 'v')")),
		Undo:  []string{"DROP VIEW IF EXISTS " + view + " RESTRICT", "ALTER TABLE IF EXISTS " + renamed + " RENAME TO " + quote(t.Name)},
		Lock:  AccessExclusive, Fresh: true,
		Risk: "By the old name nobody can COPY, TRUNCATE, or change the table from here on, nor say ON CONFLICT ON CONSTRAINT.",
	})
	p.step(Contract, "drop-view", t.Name, Step{
		Title: "Take the old name " + shown(t.Name) + " away",
		Act:   []string{"DROP VIEW " + view + " RESTRICT"},
		Probe: probe(no("EXISTS (SELECT FROM pg_catalog.pg_class v WHERE v.oid = " + relation(t.Schema, t.Name) + " AND v.relkind = 'v')")),
		Risk:  "Whoever still reads or writes " + shown(t.Name) + " gets an error.",
	})
}

// DroppedName is what a table is called that a migration keeps for a while before it goes.
func DroppedName(table, migration string) string {
	number, _, _ := strings.Cut(migration, "_")
	after := "__dropped_" + number
	return cut(table, maxName-len(after)) + after
}

func (p *planner) dropTable(Operation) {
	t := p.in.Table
	held := map[string]bool{}
	for _, c := range t.Columns {
		for _, what := range c.Holds {
			if !held[what] && strings.HasPrefix(what, "the foreign key ") {
				p.warn("%s: while the table is dropped, the one at its other end is locked for a moment too.", strings.ToUpper(what[:1])+what[1:])
			}
			held[what] = true
		}
	}
	name := DroppedName(t.Name, p.in.Migration.Name)
	p.plan.Renamed, p.plan.Drops = name, true
	p.step(Switch, "hide", t.Name, Step{
		Title: "Call " + shown(t.Name) + " " + shown(name),
		Act:   []string{p.alter("RENAME TO " + quote(name))},
		Probe: probe(p.called(name)),
		Gone:  probe(no(p.called(name))),
		Undo:  []string{"ALTER TABLE " + qualified(t.Schema, name) + " RENAME TO " + quote(t.Name)},
		Lock:  AccessExclusive, Fresh: true,
		Risk: "Whoever still reads or writes " + shown(t.Name) + " gets an error, until contract it is given its name back by a rollback.",
	})
	p.step(Contract, "drop-table", t.Name, Step{
		Title: "Drop " + shown(name) + " with its rows",
		Act:   []string{"DROP TABLE " + qualified(t.Schema, name) + " RESTRICT"},
		Probe: probe(no(fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = %d AND c.relname IN (%s, %s) AND c.relkind = 'r')", t.OID, literal(name), literal(t.Name)))),
		Lock:  AccessExclusive,
		Risk:  "Nothing brings its rows back.",
	})
	if p.in.Migration.Deprecate.Window == 0 {
		p.warn("There is no deprecate.window: it is not kept under its other name for any time, and goes as soon as that is approved.")
	}
}

// called is whether the table has a name in its schema.
func (p *planner) called(name string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE %s)", all(
		fmt.Sprintf("c.oid = %d", p.in.Table.OID), "c.relkind = 'r'", "c.relname = "+literal(name), "s.nspname = "+literal(p.in.Table.Schema)))
}
