package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// heir is what takes the place of something that goes with a column at contract.
type heir struct {
	made  string   // the ID of the step after which it is there
	act   []string // gives it the name
	there string   // whether it has that, and nothing is called as it was before
	also  []string // tables that are locked when the old one goes
}

// carry plans what is made over new columns in the place of what is over those that they replace. Reads and writes of either shape are as
// fast as before, and refused as before; at contract the old one goes with its column, and leaves its name.
func (p *planner) carry() {
	if len(p.pairs) == 0 {
		return
	}
	for _, i := range p.in.Table.Indexes {
		if (!i.Constraint || p.in.Table.Carries(i.Name)) && p.inherits("index", DropIndex, i.Name, i.Columns, i.Carried) {
			p.carryIndex(i)
		}
	}
	for _, e := range p.in.Table.Statistics {
		if p.inherits("statistics", "", e.Name, e.Columns, e.Carried) {
			p.carryStatistics(e)
		}
	}
	for _, k := range p.in.Table.Checks {
		if p.inherits("check", DropCheck, k.Name, k.Columns, k.Carried) {
			p.carryCheck(k)
		}
	}
	for _, f := range p.in.Table.ForeignKeys {
		p.carryForeignKey(f)
	}
}

// inherits says whether something is over a replaced column, and can be made over the new one. Where it cannot, that is a problem.
func (p *planner) inherits(what string, drop Kind, name string, columns []string, c *Carried) bool {
	replaced := func(column string) bool {
		return slices.ContainsFunc(p.pairs, func(f pair) bool { return f.column == column })
	}
	if !slices.ContainsFunc(columns, replaced) {
		return false
	}
	for _, o := range p.in.Migration.Operations {
		if o.Kind == drop && o.Name == name {
			return false // it goes, and nothing is to come after it
		}
	}
	for _, column := range columns {
		if p.taken[column] && !replaced(column) {
			p.invalid("write that in a migration of its own", "the %s %s is over %s, which the same file takes away, and over a column that it replaces", what, shown(name), shown(column))
			return false
		}
	}
	named := "the " + what + " " + shown(name)
	switch {
	case c == nil:
		p.refuse("plan again", "the server was not asked what becomes of %s", named)
		return false
	case c.Refused != "":
		p.refuse("take it away first, and make it again afterwards", "%s cannot be carried over to another column: %s", named, c.Refused)
		return false
	}
	return p.free(heirName(name), named)
}

// free says whether a name is to be had for what is made in the place of something.
func (p *planner) free(name, of string) bool {
	t := p.in.Table
	taken := slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.Name == name }) ||
		slices.ContainsFunc(t.Checks, func(k Constraint) bool { return k.Name == name }) ||
		slices.ContainsFunc(t.Statistics, func(e Statistics) bool { return e.Name == name }) ||
		slices.ContainsFunc(t.ForeignKeys, func(f ForeignKey) bool { return f.Name == name }) ||
		slices.ContainsFunc(p.in.Migration.Operations, func(o Operation) bool { return o.Name == name })
	if taken {
		p.invalid("rename it", "%s is a name that is taken, and what takes the place of %s needs it until contract", shown(name), of)
	}
	return !taken
}

func (p *planner) carryIndex(i Index) {
	t := p.in.Table
	name := heirName(i.Name)
	unique := ""
	if i.Unique {
		unique = "UNIQUE "
	}
	text := i.Carried.Until
	if i.Tablespace != "" {
		where := ""
		if i.Carried.Where != "" {
			where = " WHERE " + i.Carried.Where
		}
		text = strings.TrimSuffix(text, where) + " TABLESPACE " + quote(i.Tablespace) + where
	}
	// The server writes the whole index back, and has to write what was asked for.
	says := func(on string, rows bool) []string {
		begin := "CREATE " + unique + "INDEX %I ON %I.%I "
		if !rows {
			begin = "CREATE " + unique + "INDEX %I ON ONLY %I.%I "
		}
		return twice(func(text string) string {
			return fmt.Sprintf("pg_catalog.pg_get_indexdef(i.indexrelid) = pg_catalog.format(%s, x.relname, %s, %s) || %s",
				literal(begin), literal(t.Schema), literal(on), literal(text))
		}, *i.Carried)
	}
	tablespace := "x.reltablespace = 0"
	if i.Tablespace != "" {
		tablespace = "(SELECT s.spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = x.reltablespace) = " + literal(i.Tablespace)
	}
	drop := "DROP INDEX CONCURRENTLY IF EXISTS " + qualified(t.Schema, name)
	risk := "Writes cost a little more until contract."
	if i.Unique && p.converts(i.Columns) {
		risk = "Where up makes the same of two values, the index is not made, or a write of the second one fails from here on."
	}
	if i.Unique {
		p.warn("Until contract %s is there twice: where sessions insert the same new key at the same moment with ON CONFLICT, one of them may fail with a unique violation.", shown(i.Name))
	}
	number, _, _ := strings.Cut(p.in.Migration.Name, "_") // what an earlier one has made may stay in a partition
	part := i.Name + "_" + number
	if p.partitioned() {
		p.divide(division{
			phase: Switch, name: name, of: i.Name, part: part, begin: strings.TrimSpace("CREATE " + unique), rest: text, risk: risk,
			like: func(on string, rows bool) []string { return []string{tablespace, either(says(on, rows)...)} },
		})
	} else {
		p.step(Switch, "index", i.Name, Step{
			Title: "Make what takes the place of the index " + shown(i.Name),
			Act:   []string{fmt.Sprintf("CREATE %sINDEX CONCURRENTLY %s ON %s %s", unique, quote(name), p.table(), text)},
			Probe: probe(p.hasIndex(name, "i.indisvalid", "i.indisready", tablespace, either(says(t.Name, true)...))),
			Gone:  probe(no(p.hasIndex(name))),
			Half:  probe(p.hasIndex(name, "NOT (i.indisvalid AND i.indisready)")),
			Clean: []string{drop}, Undo: []string{drop},
			Lock: ShareUpdateExclusive, Class: Concurrent, Risk: risk,
		})
	}
	h := heir{made: p.last(), act: []string{fmt.Sprintf("ALTER INDEX %s RENAME TO %s", qualified(t.Schema, name), quote(i.Name))}}
	if p.partitioned() {
		h.act = append(h.act, p.renameParts(part, i.Name)...)
	}
	conditions := []string{}
	if i.Replica {
		conditions = append(conditions, "i.indisreplident")
	}
	inherited := ""
	for _, u := range t.Uniques {
		if u.Name == i.Name {
			h.act, inherited = p.inheritKey(u, name)
		}
	}
	if i.Comment != "" {
		h.act = append(h.act, fmt.Sprintf("COMMENT ON INDEX %s IS %s", qualified(t.Schema, i.Name), literal(i.Comment)))
		conditions = append(conditions, "pg_catalog.obj_description(i.indexrelid, 'pg_class') = "+literal(i.Comment))
	}
	if i.Replica {
		h.act = append(h.act, p.alter("REPLICA IDENTITY USING INDEX "+quote(i.Name)))
	}
	h.there = all(p.hasIndex(i.Name, conditions...), no(p.hasIndex(name)))
	if inherited != "" {
		h.there = all(h.there, inherited)
	}
	p.heirs = append(p.heirs, h)
}

// converts says whether a column gets other values, and not only another name.
func (p *planner) converts(columns []string) bool {
	return slices.ContainsFunc(p.pairs, func(f pair) bool { return f.up != "" && slices.Contains(columns, f.column) })
}

// twice are the conditions of a text that is another one from the switch on.
func twice(says func(text string) string, c Carried) []string {
	if c.Until == c.After {
		return []string{says(c.Until)}
	}
	return []string{says(c.Until), says(c.After)}
}

func (p *planner) carryCheck(k Constraint) {
	name := heirName(k.Name)
	says := func(more ...string) string {
		var found []string
		for _, one := range twice(saying, *k.Carried) {
			found = append(found, p.hasCheck(name, append([]string{one}, more...)...))
		}
		return either(found...)
	}
	definition := "CHECK (" + k.Carried.Until + ")"
	if k.NoInherit {
		definition += " NO INHERIT"
	}
	add := p.alter("ADD CONSTRAINT " + quote(name) + " " + definition + " NOT VALID")
	drop := p.alter("DROP CONSTRAINT IF EXISTS " + quote(name) + " RESTRICT")
	risk := ""
	if p.converts(k.Columns) {
		risk = "A write fails from which up makes what does not meet it."
	}
	p.step(Switch, "check", k.Name, Step{
		Title: "Hold the new shape of new rows to " + shown(k.Name),
		Act:   []string{add}, Probe: probe(says()), Gone: probe(no(p.hasCheck(name))), Undo: []string{drop}, Lock: AccessExclusive, Risk: risk,
	})
	if k.Valid {
		p.prove("every row meets "+shown(k.Name)+" in its new shape", "("+k.Carried.Until+") IS FALSE")
		p.validateParts("validate", k.Name, name, "Look whether the new shape of every row of %s meets "+shown(k.Name), []string{drop, add})
		p.step(Switch, "validate", k.Name, Step{
			Title: "Look whether the new shape of every row meets " + shown(k.Name),
			Act:   []string{p.alter("VALIDATE CONSTRAINT " + quote(name))},
			Probe: probe(says("k.convalidated")),
			Gone:  probe(no(p.hasCheck(name, "k.convalidated"))),
			Undo:  []string{drop, add},
			Lock:  ShareUpdateExclusive, Class: Scan,
		})
	}
	h := heir{made: p.last(), act: []string{p.alter("RENAME CONSTRAINT " + quote(name) + " TO " + quote(k.Name))}}
	conditions := []string{}
	if k.Comment != "" {
		h.act = append(h.act, fmt.Sprintf("COMMENT ON CONSTRAINT %s ON %s IS %s", quote(k.Name), p.table(), literal(k.Comment)))
		conditions = append(conditions, "pg_catalog.obj_description(k.oid, 'pg_constraint') = "+literal(k.Comment))
	}
	h.there = all(p.hasCheck(k.Name, conditions...), no(p.hasCheck(name)))
	p.heirs = append(p.heirs, h)
}

func (p *planner) carryStatistics(e Statistics) {
	name := heirName(e.Name)
	heirs := qualified(e.Schema, name)
	act := []string{fmt.Sprintf("CREATE STATISTICS %s%s FROM %s", heirs, e.Carried.Until, p.table())}
	conditions := []string{either(twice(func(text string) string {
		return "pg_catalog.pg_get_statisticsobjdef(e.oid) = pg_catalog.format('CREATE STATISTICS %I.%I', s.nspname, e.stxname) || " + literal(text) + " || ' FROM ' || e.stxrelid::pg_catalog.regclass::pg_catalog.text"
	}, *e.Carried)...)}
	if e.Target != nil {
		act = append(act, fmt.Sprintf("ALTER STATISTICS %s SET STATISTICS %d", heirs, *e.Target))
		conditions = append(conditions, fmt.Sprintf("e.stxstattarget = %d", *e.Target))
	}
	if e.Owner != "" {
		act = append(act, fmt.Sprintf("ALTER STATISTICS %s OWNER TO %s", heirs, quote(e.Owner)))
		conditions = append(conditions, "pg_catalog.pg_get_userbyid(e.stxowner) = "+literal(e.Owner))
	}
	p.step(Switch, "statistics", e.Name, Step{
		Title: "Make what takes the place of the statistics " + shown(e.Name),
		Act:   act, Probe: probe(p.hasStatistics(e.Schema, name, conditions...)),
		Gone: probe(no(p.hasStatistics(e.Schema, name))),
		Undo: []string{"DROP STATISTICS IF EXISTS " + heirs + " RESTRICT"},
		Lock: ShareUpdateExclusive,
	})
	h := heir{made: p.last(), act: []string{fmt.Sprintf("ALTER STATISTICS %s RENAME TO %s", heirs, quote(e.Name))}}
	conditions = nil
	if e.Comment != "" {
		h.act = append(h.act, fmt.Sprintf("COMMENT ON STATISTICS %s IS %s", qualified(e.Schema, e.Name), literal(e.Comment)))
		conditions = append(conditions, "pg_catalog.obj_description(e.oid, 'pg_statistic_ext') = "+literal(e.Comment))
	}
	h.there = all(p.hasStatistics(e.Schema, e.Name, conditions...), no(p.hasStatistics(e.Schema, name)))
	p.heirs = append(p.heirs, h)
}

// hasStatistics is whether the table has statistics of the name that meet the conditions, which call them e, and their schema s.
func (p *planner) hasStatistics(schema, name string, conditions ...string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_statistic_ext e JOIN pg_catalog.pg_namespace s ON s.oid = e.stxnamespace WHERE %s)",
		all(append([]string{"e.stxrelid = " + p.relation(), "s.nspname = " + literal(schema), "e.stxname = " + literal(name)}, conditions...)...))
}
