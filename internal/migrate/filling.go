package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// filling is how the rows that are there get their values. Whoever wrote a row since the dual write began has them already.
func (p *planner) filling() {
	var set []Assignment
	for _, f := range p.pairs {
		set = append(set, Assignment{Column: f.added, Expression: upOf(f), Keep: true})
		p.plan.Proofs = append(p.plan.Proofs, p.same(f, oldShape))
		if f.notNull {
			p.prove(shown(f.added)+" is never null", quote(f.added)+" IS NULL")
		}
	}
	for _, f := range p.fills {
		set = append(set, Assignment{Column: f.column, Expression: embed(f.up), Keep: true})
		p.prove(shown(f.column)+" is never null", quote(f.column)+" IS NULL")
	}
	if len(set) == 0 {
		return
	}
	p.plan.Filling = &Filling{Set: set}
	p.disturbed(set)
	for _, name := range p.in.Table.Key {
		c, ok := p.in.Table.Column(name)
		if !ok {
			p.plan.Filling.Key = nil
			break
		}
		p.plan.Filling.Key = append(p.plan.Filling.Key, KeyColumn{Name: name, Type: c.Type})
	}
}

// disturbed warns of triggers that the backfill sets off. Whether a condition of theirs excludes that is theirs to know.
func (p *planner) disturbed(set []Assignment) {
	for _, g := range p.in.Table.Triggers {
		named := slices.ContainsFunc(set, func(a Assignment) bool { return slices.Contains(g.Of, a.Column) })
		if g.Update && (len(g.Of) == 0 || named) {
			p.warn("The trigger %s fires for the rows that are brought over, where its condition lets it. What it does then stays after a rollback.", shown(g.Name))
		}
	}
}

// same is that both columns of a pair say the same, by the names that they have under an authority.
func (p *planner) same(f pair, counts authority) Proof {
	old, added := f.names(counts)
	up := upOf(f)
	if counts == newShape && f.up != "" {
		up = p.over(f.up, p.inputs(f.reads, counts))
	} else if counts == newShape {
		up = quote(old)
	}
	broken := differs(quote(added), up, f.typeNew)
	if f.down != "" {
		// A way back that loses something makes an old value from which up does not make the new one again.
		itself := value{name: f.column, from: added}
		broken = all(broken, differs(quote(old), p.over(f.down, append([]value{itself}, p.inputs(f.readsBack, counts)...)), f.typeOld))
	}
	return Proof{Name: fmt.Sprintf("%s and %s say the same", shown(old), shown(added)), Broken: broken}
}

// upOf is the new value over the table as it is before the switch.
func upOf(f pair) string {
	if f.up == "" {
		return quote(f.column)
	}
	return embed(f.up)
}

// over is an expression over a row in which what it reads may have other names.
func (p *planner) over(expression string, reads []value) string {
	table := quote(p.in.Table.Name)
	sources := make([]string, len(reads))
	for i, v := range reads {
		sources[i] = table + "." + quote(v.from) + " AS " + quote(v.name)
	}
	return fmt.Sprintf("(SELECT %s FROM (SELECT %s) AS %s)", embed(expression), strings.Join(sources, ", "), table)
}

// differs is whether two values are not the same, byte for byte, once both are of a type. Nulls are the same.
func differs(a, b, typeName string) string {
	cast := func(value string) string {
		base, _, _ := strings.Cut(typeName, "(")
		switch {
		case strings.HasSuffix(typeName, "[]"):
			return value + "::" + typeName
		case base == "character varying":
			return value + "::text" // a cast to varchar(n) would cut what does not fit
		case base == "character":
			return "pg_catalog.rtrim(" + value + "::text)"
		}
		return value + "::" + typeName
	}
	return fmt.Sprintf("pg_catalog.record_image_ne(ROW(%s), ROW(%s))", cast(a), cast(b))
}
