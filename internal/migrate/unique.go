package migrate

import (
	"fmt"
	"slices"
	"strings"
)

func uniqueRecipes() []Recipe {
	return []Recipe{
		{
			Kind: AddUnique, Since: soundConcurrently, Lock: AccessExclusive, plan: (*planner).addUnique,
			What: "Lets no two rows have the same values in some columns, by a constraint.",
			How:  "Count the rows that have, then CREATE UNIQUE INDEX CONCURRENTLY, and ADD CONSTRAINT USING INDEX: the catalog only.",
			Undo: "Drop the constraint, and its index with it.",
		},
		{
			Kind: DropUnique, Since: oldestVersion, Lock: AccessExclusive, plan: (*planner).dropUnique,
			What: "Takes a unique constraint away; readers have to be ready for rows that are the same.",
			How:  "Nothing happens before contract: consumers are told and acknowledge. Then DROP CONSTRAINT RESTRICT, and the index goes with it.",
			Undo: "None is needed before contract. After it there may be rows that are the same.",
		},
		{
			Kind: AddPrimaryKey, Since: soundConcurrently, Lock: AccessExclusive, plan: (*planner).addPrimaryKey,
			What: "Gives a table that has none a primary key.",
			How:  "Count the nulls and the rows that are the same, then CREATE UNIQUE INDEX CONCURRENTLY, let each column never be null as set_not_null does, and ADD PRIMARY KEY USING INDEX: the catalog only.",
			Undo: "Drop the key, and its index with it, and NOT NULL where it was not.",
		},
	}
}

// Deferrals are when a key is looked at that may wait: at the statement's end unless a transaction says otherwise, or at the transaction's.
func Deferrals() []string { return []string{"immediate", "deferred"} }

// deferral is how a constraint is written that may wait, and the conditions of it, which call it k.
func deferral(deferrable string) (sql string, conditions []string) {
	switch deferrable {
	case "immediate":
		return " DEFERRABLE", []string{"k.condeferrable", "NOT k.condeferred"}
	case "deferred":
		return " DEFERRABLE INITIALLY DEFERRED", []string{"k.condeferrable", "k.condeferred"}
	}
	return "", []string{"NOT k.condeferrable"}
}

// hasKey is whether the table has a primary key (p) or a unique constraint (u) of the name that meets the conditions, which call it k.
func (p *planner) hasKey(kind, name string, conditions ...string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE %s)", all(append([]string{
		"k.conrelid = " + p.relation(), "k.contype = " + literal(kind), "k.conname = " + literal(name),
	}, conditions...)...))
}

// withColumns is a condition of a constraint: it is over just these columns, in this order.
func withColumns(number, relation string, columns []string) string {
	return fmt.Sprintf("(SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY c.place) FROM pg_catalog.unnest(k.%s) WITH ORDINALITY c (number, place) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.%s AND a.attnum = c.number) = %s",
		number, relation, literals(columns))
}

// newConstraint says whether a constraint of the name can be made, with an index of that name or without.
func (p *planner) newConstraint(o Operation) bool {
	t := p.in.Table
	taken := slices.ContainsFunc(t.Checks, func(k Constraint) bool { return k.Name == o.Name }) ||
		slices.ContainsFunc(t.Uniques, func(u Unique) bool { return u.Name == o.Name }) ||
		slices.ContainsFunc(t.ForeignKeys, func(f ForeignKey) bool { return f.Name == o.Name }) ||
		o.Kind != AddForeignKey && slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.Name == o.Name })
	if taken {
		p.invalid("choose another name", "%s has a constraint or an index %s already", shown(t.Name), shown(o.Name))
	}
	return !taken
}

// distinct plans the index of a constraint, once it is proved that it can be made.
func (p *planner) distinct(o Operation) bool {
	columns, ok := p.keyColumns(o)
	if !ok {
		return false
	}
	nulls, nullsEqual := "", "pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct' IS DISTINCT FROM 'true'"
	if o.NullsEqual {
		nulls, nullsEqual = " NULLS NOT DISTINCT", "i.indnullsnotdistinct"
	}
	p.prove("no two rows have the same "+shownAll(o.Columns), p.repeated(o))
	drop := "DROP INDEX CONCURRENTLY IF EXISTS " + qualified(p.in.Table.Schema, o.Name)
	conditions := append([]string{"i.indisvalid", "i.indisready", "i.indisunique", "m.amname = 'btree'", "i.indpred IS NULL", nullsEqual}, p.keyed(columns, nil)...)
	p.step(Switch, "index", o.Name, Step{
		Title: "Make the unique index " + shown(o.Name),
		Act:   []string{fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s USING btree (%s)%s", quote(o.Name), p.table(), quoteAll(o.Columns), nulls)},
		Probe: probe(p.hasIndex(o.Name, conditions...)),
		Gone:  probe(no(p.hasIndex(o.Name))),
		Half:  probe(p.hasIndex(o.Name, "NOT (i.indisvalid AND i.indisready)")),
		Clean: []string{drop}, Undo: []string{drop},
		Lock: ShareUpdateExclusive, Class: Concurrent,
		Risk: "A write of a key that is there already fails from here on.",
	})
	return true
}

// keyColumns are those of a key, in order. Each is one of the table, or one that the same file adds.
func (p *planner) keyColumns(o Operation) ([]IndexColumn, bool) {
	columns := make([]IndexColumn, len(o.Columns))
	ok := true
	for i, name := range o.Columns {
		columns[i] = IndexColumn{Name: name}
		if _, there := p.in.Table.Column(name); !there && !p.adds(name) {
			p.invalid(p.columnsHint(), "%s %s is over a column %s, and %s has none", o.Kind, shown(o.Name), shown(name), shown(p.in.Table.Name))
			ok = false
		}
	}
	return columns, ok
}

// countedTwice is how many rows that are the same are counted at the most: so many are found by a hash of their places.
const countedTwice = 10_000

// repeated is a condition of a row: there is another one of the same key. Nulls are not the same unless the constraint says so.
func (p *planner) repeated(o Operation) string {
	filled := ""
	if !o.NullsEqual {
		filled = " WHERE " + all(each(o.Columns, func(name string) string { return quote(name) + " IS NOT NULL" })...)
	}
	return fmt.Sprintf("%s.ctid IN (SELECT r.place FROM (SELECT ctid AS place, pg_catalog.count(*) OVER (PARTITION BY %s) AS times FROM ONLY %s%s) AS r WHERE r.times > 1 LIMIT %d)",
		quote(p.in.Table.Name), quoteAll(o.Columns), p.table(), filled, countedTwice)
}

func each(names []string, f func(string) string) []string {
	made := make([]string, len(names))
	for i, name := range names {
		made[i] = f(name)
	}
	return made
}

func (p *planner) addUnique(o Operation) {
	if o.NullsEqual && p.in.Table.Version < nullsEqualSince {
		p.refuse("leave nulls_equal out, or update the server", "two nulls are the same to a unique constraint from version %s on, and the server has %s",
			versionText(nullsEqualSince), versionText(p.in.Table.Version))
		return
	}
	if !p.newConstraint(o) || !p.distinct(o) {
		return
	}
	wait, conditions := deferral(o.Deferrable)
	p.step(Switch, "unique", o.Name, Step{
		Title: "Make the index the constraint " + shown(o.Name),
		Act:   []string{p.alter("ADD CONSTRAINT " + quote(o.Name) + " UNIQUE USING INDEX " + quote(o.Name) + wait)},
		Probe: probe(p.hasKey("u", o.Name, append(conditions, withColumns("conkey", "conrelid", o.Columns))...)),
		Gone:  probe(no(p.hasKey("u", o.Name))),
		Undo:  []string{p.alter("DROP CONSTRAINT IF EXISTS " + quote(o.Name) + " RESTRICT")},
		Lock:  AccessExclusive,
	})
}

// nullsEqualSince is the first version in which nulls may be the same to a unique constraint.
const nullsEqualSince = 150000

func (p *planner) dropUnique(o Operation) {
	for _, u := range p.in.Table.Uniques {
		switch {
		case u.Name != o.Name:
			continue
		case u.Primary:
			p.refuse("keep it", "%s is the primary key of %s", shown(u.Name), shown(p.in.Table.Name))
			return
		case len(u.Led) > 0:
			p.refuse("drop those first", "foreign keys lead to %s: %s", shown(u.Name), strings.Join(each(u.Led, oneLine), ", "))
			return
		case p.known(u.Name):
			return
		}
		p.step(Contract, "drop-unique", o.Name, Step{
			Title: "Take the unique constraint " + shown(o.Name) + " away",
			Act:   []string{p.alter("DROP CONSTRAINT " + quote(o.Name) + " RESTRICT")},
			Probe: probe(no(p.hasKey("u", o.Name))),
			Lock:  AccessExclusive,
			Risk:  fmt.Sprintf("Readers may see rows with the same %s, and an INSERT with ON CONFLICT over them fails.", shownAll(u.Columns)),
		})
		return
	}
	p.invalid(namesHint("unique constraints", p.in.Table.Uniques, func(u Unique) string { return u.Name }),
		"%s has no unique constraint %s", shown(p.in.Table.Name), shown(o.Name))
}

// known refuses to take away an index by which subscribers of a publication know rows.
func (p *planner) known(index string) bool {
	known := slices.ContainsFunc(p.in.Table.Indexes, func(i Index) bool { return i.Name == index && i.Replica })
	if known {
		p.refuse("give the table another replica identity first", "subscribers know the rows of %s by %s: it is its replica identity", shown(p.in.Table.Name), shown(index))
	}
	return known
}

func (p *planner) addPrimaryKey(o Operation) {
	for _, u := range p.in.Table.Uniques {
		if u.Primary {
			p.invalid("leave it out", "%s has the primary key %s already", shown(p.in.Table.Name), shown(u.Name))
			return
		}
	}
	if !p.newConstraint(o) || !p.distinct(o) {
		return
	}
	for _, name := range o.Columns {
		if !p.inKey(o, name) {
			return
		}
	}
	p.key = &Step{
		Title: "Make the index the primary key " + shown(o.Name),
		Act:   []string{p.alter("ADD CONSTRAINT " + quote(o.Name) + " PRIMARY KEY USING INDEX " + quote(o.Name))},
		Probe: probe(p.hasKey("p", o.Name, withColumns("conkey", "conrelid", o.Columns))),
		Gone:  probe(no(p.hasKey("p", o.Name))),
		Undo:  []string{p.alter("DROP CONSTRAINT IF EXISTS " + quote(o.Name) + " RESTRICT")},
		Lock:  AccessExclusive,
	}
}

// inKey plans that a column of a primary key is never null, where nothing else in the file does.
func (p *planner) inKey(o Operation, name string) bool {
	for _, other := range p.in.Migration.Operations {
		made := other.Kind == AddColumn && other.Column == name || other.Kind == RenameColumn && other.To == name
		switch {
		case other.Kind == SetNotNull && other.Column == name:
			return true
		case other.Kind == DropNotNull && other.Column == name:
			p.invalid("keep one of the two", "%s %s is over %s, which %s lets be null", o.Kind, shown(o.Name), shown(name), other.Kind)
			return false
		case !made:
			continue
		case other.Required:
			return true
		}
		if was, _ := p.in.Table.Column(other.Column); other.Kind == RenameColumn && was.NotNull {
			return true
		}
		p.invalid("let it be required, or never be null in an earlier file", "%s %s is over %s, which may be null", o.Kind, shown(o.Name), shown(name))
		return false
	}
	if c, _ := p.in.Table.Column(name); !c.NotNull {
		p.prove(shown(name)+" is never null", quote(name)+" IS NULL")
		p.neverNull(name, refusesNulls(name, c.Default != ""), func(conditions ...string) string { return p.hasColumn(name, conditions...) })
	}
	return true
}

// primaryKey makes the primary key of the file, after the steps by which its columns are never null.
func (p *planner) primaryKey() {
	for _, o := range p.in.Migration.Operations {
		if o.Kind == AddPrimaryKey && p.key != nil {
			p.step(Switch, "primary-key", o.Name, *p.key)
		}
	}
}
