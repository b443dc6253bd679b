package migrate

import (
	"fmt"
	"slices"
	"strings"
)

func foreignKeyRecipes() []Recipe {
	return []Recipe{
		{
			Kind: AddForeignKey, Since: oldestVersion, Lock: ShareRowExclusive, plan: (*planner).addForeignKey,
			What: "Holds every row to name a row of another table of the schema, or of its own.",
			How:  "Count the rows that name none, then ADD CONSTRAINT NOT VALID, for which writers of both tables wait for a moment, and VALIDATE while others read and write.",
			Undo: "Drop the constraint: readers and writers of both tables wait for a moment.",
		},
		{
			Kind: DropForeignKey, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).dropForeignKey,
			What: "Takes a foreign key away; readers have to be ready for rows that name none of the other table.",
			How:  "Nothing happens before contract: consumers are told and acknowledge. Then DROP CONSTRAINT RESTRICT, which locks both tables.",
			Undo: "None is needed before contract. After it there may be rows that name none.",
		},
	}
}

// Actions are what may become of a row when the one that it leads to goes, or gets another key, and Matches are which rows lead to none: those
// with a null in any of the columns, or those with nulls only.
func Actions() []string {
	return []string{"no action", "restrict", "cascade", "set null", "set default"}
}

// Matches are the ways in which nulls are looked at.
func Matches() []string { return []string{"simple", "full"} }

// Lead is a foreign key that a migration is to make. The server is asked about it before anything is planned.
type Lead struct {
	Name    string
	Columns []string
	Table   string
	Key     []string
	// Added are columns that the table gets in the same file: of a type, or as another column is.
	Added []AddedColumn
}

// AddedColumn is a column that a file adds.
type AddedColumn struct {
	Name string
	Type string // empty: that of As
	As   string
}

// Leads are the foreign keys that a migration is to make.
func Leads(m Migration) []Lead {
	var all []Lead
	for _, o := range m.Operations {
		if o.Kind != AddForeignKey || badName(o.References) != "" || len(o.Columns) == 0 || len(o.Columns) != len(o.Key) {
			continue
		}
		l := Lead{Name: o.Name, Columns: o.Columns, Table: o.References, Key: o.Key}
		for _, other := range m.Operations {
			switch {
			case other.Kind == AddColumn && slices.Contains(o.Columns, other.Column):
				if name, known := typeName(other.Type); known {
					l.Added = append(l.Added, AddedColumn{Name: other.Column, Type: name})
				}
			case other.Kind == RenameColumn && slices.Contains(o.Columns, other.To):
				l.Added = append(l.Added, AddedColumn{Name: other.To, As: other.Column})
			}
		}
		all = append(all, l)
	}
	return all
}

func (p *planner) addForeignKey(o Operation) {
	if !p.newConstraint(o) {
		return
	}
	if _, ok := p.keyColumns(o); !ok {
		return
	}
	r, ok := p.reference(o)
	if !ok {
		return
	}
	definition, conditions := p.leading(o)
	add := p.alter("ADD CONSTRAINT " + quote(o.Name) + " " + definition + " NOT VALID")
	drop := p.alter("DROP CONSTRAINT IF EXISTS " + quote(o.Name) + " RESTRICT")
	var also []string
	if o.References != p.in.Table.Name {
		also = []string{o.References}
	}
	to := shown(o.References)
	p.prove(fmt.Sprintf("every row with %s leads to a row of %s", shownAll(o.Columns), to), p.orphaned(o, r))
	p.step(Switch, "foreign-key", o.Name, Step{
		Title: "Hold new rows to " + shown(o.Name),
		Act:   []string{add}, Probe: probe(p.leads(o.Name, conditions...)), Gone: probe(no(p.leads(o.Name))), Undo: []string{drop},
		Lock: ShareRowExclusive, Also: also,
		Risk: fmt.Sprintf("A write that names no row of %s fails from here on, and so does one there that takes away what rows name%s.", to, exceptBy(o)),
	})
	p.step(Switch, "validate", o.Name, Step{
		Title: "Look whether every row leads to a row of " + to,
		Act:   []string{p.alter("VALIDATE CONSTRAINT " + quote(o.Name))},
		Probe: probe(p.leads(o.Name, append(slices.Clone(conditions), "k.convalidated")...)),
		Gone:  probe(no(p.leads(o.Name, "k.convalidated"))),
		Undo:  []string{drop, add},
		Lock:  ShareUpdateExclusive, Also: also, Class: Scan,
	})
	p.slow(o)
}

// exceptBy says what becomes of rows instead, where the one that they name goes or changes.
func exceptBy(o Operation) string {
	var by []string
	for _, one := range []struct{ what, action string }{{"delete", o.OnDelete}, {"update", o.OnUpdate}} {
		if one.action != "" && one.action != "no action" && one.action != "restrict" {
			by = append(by, "on "+one.what+": "+one.action)
		}
	}
	if len(by) == 0 {
		return ""
	}
	return " (but " + strings.Join(by, ", ") + ")"
}

// slow warns of what has to look through the whole table, or fails always.
func (p *planner) slow(o Operation) {
	begins := func(columns []string) bool {
		return len(columns) >= len(o.Columns) && sameSet(columns[:len(o.Columns)], o.Columns)
	}
	indexed := slices.ContainsFunc(p.in.Table.Indexes, func(i Index) bool { return i.Valid && begins(i.Keys) }) ||
		slices.ContainsFunc(p.in.Migration.Operations, func(other Operation) bool {
			return other.Kind == CreateIndex && other.Where == "" && begins(other.rests()) || (other.Kind == AddUnique || other.Kind == AddPrimaryKey) && begins(other.Columns)
		})
	if !indexed {
		p.warn("No index of %s begins with %s: whoever deletes or changes a row of %s waits until the whole table is read. Write create_index into the file.",
			shown(p.in.Table.Name), shownAll(o.Columns), shown(o.References))
	}
	if o.OnDelete == "set null" || o.OnUpdate == "set null" {
		for _, name := range o.Columns {
			if c, there := p.in.Table.Column(name); there && c.NotNull {
				p.warn("%s sets %s to null, which is NOT NULL: such a write of %s fails.", shown(o.Name), shown(name), shown(o.References))
			}
		}
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// reference is what the server says of where a foreign key leads, and false where it cannot lead there; that is then a problem.
func (p *planner) reference(o Operation) (Reference, bool) {
	r, asked := p.in.Table.References[o.Name]
	t, to := r.Table, shown(o.References)
	self := o.References == p.in.Table.Name
	if self && asked {
		t = p.in.Table
	}
	switch {
	case !asked:
		p.refuse("plan again", "the server was not asked where %s leads", shown(o.Name))
	case t.Managed:
		p.refuse("check it in the pipeline that makes it", "%s leads to %s, which the pipeline %s makes, generation by generation", shown(o.Name), to, t.Pipeline)
	case slices.Contains(p.in.Outputs, o.References):
		p.refuse("check it in pipeline.yaml", "%s leads to %s, an output of this pipeline, made generation by generation", shown(o.Name), to)
	case t.Kind == "":
		p.refuse("name a table that is there, or make it first", "%s leads to %s, and there is no such table in %s", shown(o.Name), to, shown(p.in.Table.Schema))
	case t.Kind != "table":
		p.refuse("lead to a plain table", "%s leads to %s, which is a %s", shown(o.Name), to, t.Kind)
	case !t.Owned:
		p.refuse("let the owner make our login a member of the owning role", "our login may not alter %s, which %s locks", to, shown(o.Name))
	case !self && t.Open != "":
		p.refuse("finish it, or roll it back", "%s leads to %s, which is being migrated by %s", shown(o.Name), to, t.Open)
	default:
		return r, p.keyThere(o, r, t)
	}
	return r, false
}

// keyThere says whether the columns that a foreign key leads to are a key, and whether values can be compared with them.
func (p *planner) keyThere(o Operation, r Reference, t Table) bool {
	for _, name := range o.Key {
		if _, there := t.Column(name); !there {
			p.invalid("name columns that are there", "%s leads to a column %s, and %s has none", shown(o.Name), shown(name), shown(o.References))
			return false
		}
	}
	if !slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.Distinct && sameSet(i.Keys, o.Key) }) {
		p.refuse("let it have a primary key or a unique constraint over them first",
			"%s leads to %s of %s, and nothing keeps its rows apart by just these: no whole, valid unique index that is looked at at once", shown(o.Name), shownAll(o.Key), shown(o.References))
		return false
	}
	if r.Refused != "" {
		p.refuse("let both be of one type", "%s cannot lead from %s to %s of %s: %s", shown(o.Name), shownAll(o.Columns), shownAll(o.Key), shown(o.References), r.Refused)
		return false
	}
	return true
}

// leading is a foreign key as SQL, and the conditions by which it is found, which call it k.
func (p *planner) leading(o Operation) (sql string, conditions []string) {
	letters := map[string]string{"": "a", "no action": "a", "restrict": "r", "cascade": "c", "set null": "n", "set default": "d"}
	sql = fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)", quoteAll(o.Columns), qualified(p.in.Table.Schema, o.References), quoteAll(o.Key))
	match := "s"
	if o.Match == "full" {
		sql, match = sql+" MATCH FULL", "f"
	}
	if o.OnUpdate != "" {
		sql += " ON UPDATE " + strings.ToUpper(o.OnUpdate)
	}
	if o.OnDelete != "" {
		sql += " ON DELETE " + strings.ToUpper(o.OnDelete)
	}
	wait, waits := deferral(o.Deferrable)
	conditions = []string{
		"k.confrelid = " + relation(p.in.Table.Schema, o.References), withColumns("conkey", "conrelid", o.Columns), withColumns("confkey", "confrelid", o.Key),
		"k.confmatchtype = " + literal(match), "k.confdeltype = " + literal(letters[o.OnDelete]), "k.confupdtype = " + literal(letters[o.OnUpdate]),
		"pg_catalog.to_jsonb(k) ->> 'confdelsetcols' IS NULL", "pg_catalog.to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'",
	}
	return sql + wait, append(conditions, waits...)
}

// leads is whether the table has a foreign key of the name that meets the conditions, which call it k.
func (p *planner) leads(name string, conditions ...string) string {
	return p.hasKey("f", name, conditions...)
}

// orphaned is a condition of a row: it names a row of another table that is not there.
func (p *planner) orphaned(o Operation, r Reference) string {
	table := quote(p.in.Table.Name)
	other := "drawbridge_other"
	if p.in.Table.Name == other {
		other += "s"
	}
	var filled, empty, same []string
	for i, name := range o.Columns {
		column := table + "." + quote(name)
		if i < len(r.Collations) && r.Collations[i] != "" {
			column += " COLLATE " + r.Collations[i]
		}
		same = append(same, quote(other)+"."+quote(o.Key[i])+" OPERATOR(pg_catalog.=) "+column) // whatever others may call so
		filled = append(filled, table+"."+quote(name)+" IS NOT NULL")
		empty = append(empty, table+"."+quote(name)+" IS NULL")
	}
	broken := all(append(filled, fmt.Sprintf("NOT EXISTS (SELECT FROM ONLY %s AS %s WHERE %s)",
		qualified(p.in.Table.Schema, o.References), quote(other), all(same...)))...)
	if o.Match == "full" && len(o.Columns) > 1 {
		return fmt.Sprintf("(%s AND NOT (%s) OR %s)", either(empty...), all(empty...), broken)
	}
	return broken
}

func (p *planner) dropForeignKey(o Operation) {
	for _, f := range p.in.Table.ForeignKeys {
		if f.Name != o.Name {
			continue
		}
		also, ok := p.ledTo(o, f)
		if !ok {
			return
		}
		p.step(Contract, "drop-foreign-key", o.Name, Step{
			Title: "Take the foreign key " + shown(o.Name) + " away",
			Act:   []string{p.alter("DROP CONSTRAINT " + quote(o.Name) + " RESTRICT")},
			Probe: probe(no(p.leads(o.Name))),
			Lock:  AccessExclusive, Also: also,
			Risk: fmt.Sprintf("Readers may see rows that name none of %s, and whoever deletes there is not stopped any more.", shown(f.Table)),
		})
		return
	}
	p.invalid(namesHint("foreign keys", p.in.Table.ForeignKeys, func(f ForeignKey) string { return f.Name }),
		"%s has no foreign key %s", shown(p.in.Table.Name), shown(o.Name))
}

// ledFrom are the tables that are locked with this one when something is done to a column by which it leads to them, each foreign key of which
// is seen; false: our login may not lock one of them, and that is then a problem.
func (p *planner) ledFrom(o Operation, column string, seen func(ForeignKey)) (also []string, ok bool) {
	for _, f := range p.in.Table.ForeignKeys {
		if !slices.Contains(f.Columns, column) {
			continue
		}
		led, ok := p.ledTo(o, f)
		if !ok {
			return nil, false
		}
		seen(f)
		also = append(also, led...)
	}
	slices.Sort(also)
	return slices.Compact(also), true
}

// ledTo are the tables beside this one that are locked when a foreign key goes, and false where our login may not lock them; that is
// then a problem.
func (p *planner) ledTo(o Operation, f ForeignKey) ([]string, bool) {
	switch {
	case f.Schema == p.in.Table.Schema && f.Table == p.in.Table.Name:
		return nil, true
	case f.Schema != p.in.Table.Schema:
		p.refuse("do it by hand", "%s is about %s, which leads to %s in another schema, and locks that too", o.Kind, shown(f.Name), shown(f.Schema+"."+f.Table))
		return nil, false
	case !f.Owned:
		p.refuse("let the owner make our login a member of the owning role", "our login may not alter %s, which %s leads to, and which is locked with it", shown(f.Table), shown(f.Name))
		return nil, false
	}
	return []string{f.Table}, true
}
