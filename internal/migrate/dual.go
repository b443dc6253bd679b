package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// pair is a column that is written twice: under its old shape, and under the new one.
type pair struct {
	// column is the name that readers know, added the one of the new column until the switch.
	column, added string
	// renamed and formerly are the names of the new column and of the old one from the switch on.
	renamed, formerly string
	typeOld, typeNew  string
	collation         string
	// up and down are expressions over the names before the switch; in down, column is the new value. Empty: the value itself.
	up, down string
	// reads are the columns of up, readsBack those of down but for column.
	reads, readsBack []string
	// oldDefault and newDefault are defaults as SQL; empty: none.
	oldDefault, newDefault string
	notNull                bool
}

// swaps says whether the switch gives both columns other names.
func (f pair) swaps() bool { return f.added != f.renamed }

// fill is a column that gets a value where nobody gives one.
type fill struct {
	column, up string
	reads      []string
}

// authority is which of two shapes counts where a writer gives both, and they differ.
type authority string

const (
	oldShape authority = "old"
	newShape authority = "new"
)

// guardSetting is set by sessions that bring rows over: what they write is not written back, so that a way back that loses something
// never reaches the column that it came from.
const guardSetting = "drawbridge.backfill"

// dualWrite plans the trigger that writes both shapes, the switch of its authority, and the end of the old shape.
func (p *planner) dualWrite() {
	if len(p.pairs) == 0 && len(p.fills) == 0 {
		return
	}
	name := dualWriter(p.in.Release.Pipeline, p.in.Migration.Name)
	function := qualified(p.ledger(), name)
	before := p.body(oldShape)
	after := p.body(newShape)
	create := []string{defineFunction(function, before)}
	var dropTriggers, fire []string
	for _, w := range p.writers(name) {
		create = append(create, fmt.Sprintf("CREATE TRIGGER %s BEFORE %s ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION %s()",
			quote(w.name), w.event, p.table(), w.when, function))
		dropTriggers = append(dropTriggers, fmt.Sprintf("DROP TRIGGER %s ON %s", quote(w.name), p.table()))
		fire = append(fire, p.hasTrigger(w, name))
	}
	drop := append(dropTriggers, "DROP FUNCTION "+function+"() RESTRICT")
	bodies := []string{before}
	if len(p.pairs) > 0 {
		bodies = append(bodies, after)
	}
	p.step(DualWrite, "write", "both", Step{
		Title: "Write both shapes: " + p.dualTitle(),
		Act:   create,
		Probe: probe(append([]string{p.hasFunction(name, bodies...)}, fire...)...),
		Undo:  drop,
		Lock:  ShareRowExclusive,
		Risk:  "Every row that others write costs a function call more. A write whose values an expression does not take fails.",
	})
	if len(p.pairs) > 0 {
		p.switchover(name, function, before, after)
	}
	p.contract(name, drop)
}

// writer is a trigger of a dual write. Its condition is bound to columns and operators where it is made, and keeps the function from
// being called for rows that say the same in both shapes.
type writer struct {
	name, event, when string
	fires             int // pg_trigger.tgtype
}

// Bits of pg_trigger.tgtype.
const (
	forEachRow  = 1
	firesBefore = 2
	onInsert    = 4
	onUpdate    = 16
)

func (p *planner) writers(name string) []writer {
	guard := "pg_catalog.current_setting(" + literal(guardSetting) + ", true) IS DISTINCT FROM 'on'"
	var inserts, updates []string
	for _, f := range p.pairs {
		same := "true" // what an expression gives is not known outside of the function
		if f.up == "" {
			same = fmt.Sprintf("pg_catalog.record_image_ne(ROW(NEW.%s), ROW(NEW.%s))", quote(f.column), quote(f.added))
		}
		inserts = append(inserts, same)
		sources := slices.Concat([]string{f.column, f.added}, f.reads, f.readsBack)
		slices.Sort(sources)
		updates = append(updates, imageChanged(slices.Compact(sources)))
	}
	for _, f := range p.fills {
		missing := "NEW." + quote(f.column) + " IS NULL"
		inserts, updates = append(inserts, missing), append(updates, missing)
	}
	return []writer{
		{name: name + insertSuffix, event: "INSERT", when: all(guard, either(inserts...)), fires: forEachRow + firesBefore + onInsert},
		{name: name + updateSuffix, event: "UPDATE", when: all(guard, either(updates...)), fires: forEachRow + firesBefore + onUpdate},
	}
}

func (p *planner) dualTitle() string {
	var parts []string
	for _, f := range p.pairs {
		parts = append(parts, fmt.Sprintf("%s and %s", shown(f.column), shown(f.added)))
	}
	for _, f := range p.fills {
		parts = append(parts, fmt.Sprintf("%s where it is not given", shown(f.column)))
	}
	return strings.Join(parts, ", ")
}

// switchover lets the new shape count from here on, of all pairs at once.
func (p *planner) switchover(name, function, before, after string) {
	act, undo := []string{defineFunction(function, after)}, []string{defineFunction(function, before)}
	conditions := []string{p.hasFunction(name, after)}
	titles := []string{}
	for _, f := range p.pairs {
		title := fmt.Sprintf("%s counts, and %s follows", shown(f.renamed), shown(f.formerly))
		if f.swaps() {
			title = fmt.Sprintf("%s is of type %s, and %s is what it was", shown(f.renamed), f.typeNew, shown(f.formerly))
			act = append(act, p.rename(f.column, f.formerly), p.rename(f.added, f.renamed))
			undo = append(undo, p.rename(f.renamed, f.added), p.rename(f.formerly, f.column))
		}
		titles = append(titles, title)
		oldConditions := []string{ofType(f.typeOld)}
		newConditions := []string{ofType(f.typeNew)}
		if f.oldDefault != "" {
			act = append(act, p.alterColumn(f.formerly, "DROP DEFAULT"), p.alterColumn(f.renamed, "SET DEFAULT "+embed(f.newDefault)))
			undo = append(undo, p.alterColumn(f.added, "DROP DEFAULT"), p.alterColumn(f.column, "SET DEFAULT "+f.oldDefault))
			oldConditions, newConditions = append(oldConditions, noDefault), append(newConditions, "a.atthasdef")
		}
		conditions = append(conditions, p.hasColumn(f.formerly, oldConditions...), p.hasColumn(f.renamed, newConditions...))
	}
	s := Step{
		Title: "Switch: " + strings.Join(titles, "; "), Act: act, Probe: probe(conditions...), Undo: undo,
		Risk: "Sessions that prepared a statement over all columns have to prepare it again.",
	}
	if len(act) > 1 {
		s.Lock = AccessExclusive
	}
	p.step(Switch, "authority", p.in.Table.Name, s)
}

// contractEnd is the ID of the step that ends a dual write.
const contractEnd = "contract-end-both"

// contract ends the dual write, and takes the old columns away, in one transaction: between the two a writer of the new shape would
// leave the old column without a value.
func (p *planner) contract(name string, drop []string) {
	act := slices.Clone(drop)
	conditions := []string{no(p.anyFunction(name))}
	for _, w := range p.writers(name) {
		conditions = append(conditions, no(p.anyTrigger(w.name)))
	}
	title := "Stop to fill in what writers leave out"
	risk := "A write that does not give a value for it fails from here on."
	var gone []string
	for _, f := range p.pairs {
		gone = append(gone, shown(f.formerly))
		p.plan.Old = append(p.plan.Old, f.formerly)
		act = append(act, p.alter("DROP COLUMN "+quote(f.formerly)+" RESTRICT"))
		conditions = append(conditions, no(p.hasColumn(f.formerly)))
	}
	if len(gone) > 0 {
		title = "Take away " + strings.Join(gone, ", ") + ", and stop to write both"
		risk = "Whoever still reads or writes the old shape gets an error, and nothing brings its values back."
	}
	p.step(Contract, "end", "both", Step{Title: title, Act: act, Probe: probe(conditions...), Lock: AccessExclusive, Risk: risk})
}

func (p *planner) rename(from, to string) string {
	return p.alter("RENAME COLUMN " + quote(from) + " TO " + quote(to))
}

func (p *planner) alterColumn(column, action string) string {
	return p.alter("ALTER COLUMN " + quote(column) + " " + action)
}

// filling is how the rows that are there get their values. Whoever wrote a row since the dual write began has them already.
func (p *planner) filling() {
	var set []Assignment
	for _, f := range p.pairs {
		set = append(set, Assignment{Column: f.added, Expression: upOf(f), Keep: true})
		broken := differs(quote(f.added), upOf(f), f.typeNew)
		if f.down != "" {
			// A way back that loses something makes an old value from which up does not make the new one again.
			broken = all(broken, p.differsBack(f))
		}
		p.prove(fmt.Sprintf("%s and %s say the same", shown(f.column), shown(f.added)), broken)
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
	for _, name := range p.in.Table.Key {
		c, ok := p.in.Table.Column(name)
		if !ok {
			p.plan.Filling.Key = nil
			break
		}
		p.plan.Filling.Key = append(p.plan.Filling.Key, KeyColumn{Name: name, Type: c.Type})
	}
}

// upOf is the new value over the table as it is before the switch.
func upOf(f pair) string {
	if f.up == "" {
		return quote(f.column)
	}
	return embed(f.up)
}

// differsBack is whether the old column is not what down makes of the new one.
func (p *planner) differsBack(f pair) string {
	table := quote(p.in.Table.Name)
	sources := []string{table + "." + quote(f.added) + " AS " + quote(f.column)}
	for _, name := range f.readsBack {
		sources = append(sources, table+"."+quote(name)+" AS "+quote(name))
	}
	value := fmt.Sprintf("(SELECT %s FROM (SELECT %s) AS %s)", embed(f.down), strings.Join(sources, ", "), table)
	return differs(quote(f.column), value, f.typeOld)
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

// defineFunction is the trigger's function, with a body: it runs with its caller's rights, and finds nothing by a search path.
func defineFunction(function, body string) string {
	tag := "$body$"
	for n := 1; strings.Contains(body, tag); n++ {
		tag = fmt.Sprintf("$body%d$", n)
	}
	return "CREATE OR REPLACE FUNCTION " + function + "() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS " + tag + body + tag
}

// body is the function's text under an authority.
func (p *planner) body(counts authority) string {
	var b strings.Builder
	b.WriteString("\n#variable_conflict use_column\nBEGIN\n")
	if len(p.pairs) > 0 {
		b.WriteString("  IF TG_OP = 'INSERT' THEN\n")
		for _, f := range p.pairs {
			p.inserted(&b, f, counts)
		}
		b.WriteString("  ELSE\n")
		for _, f := range p.pairs {
			p.updated(&b, f, counts)
		}
		b.WriteString("  END IF;\n")
	}
	for _, f := range p.fills {
		fmt.Fprintf(&b, "  IF NEW.%s IS NULL THEN\n%s  END IF;\n", quote(f.column), p.assign(f.column, f.up, p.inputs(f.reads, counts)))
	}
	b.WriteString("  RETURN NEW;\nEND\n")
	return b.String()
}

// names are those of the old and the new column of a pair under an authority.
func (f pair) names(counts authority) (old, added string) {
	if counts == newShape {
		return f.formerly, f.renamed
	}
	return f.column, f.added
}

// inserted fills the side that is not given. A column that has a default is always given: the other side then counts where it is.
func (p *planner) inserted(b *strings.Builder, f pair, counts authority) {
	old, added := f.names(counts)
	forward, back := p.forward(f, counts), p.back(f, counts)
	condition := ""
	first, second := forward, back
	switch {
	case counts == oldShape && f.oldDefault != "":
		condition = "NEW." + quote(added) + " IS NULL"
	case counts == oldShape:
		condition = fmt.Sprintf("NEW.%s IS NULL OR NEW.%s IS NOT NULL", quote(added), quote(old))
	case f.oldDefault != "":
		condition, first, second = "NEW."+quote(old)+" IS NULL", back, forward
	default:
		condition, first, second = fmt.Sprintf("NEW.%s IS NULL OR NEW.%s IS NOT NULL", quote(old), quote(added)), back, forward
	}
	fmt.Fprintf(b, "    IF %s THEN\n%s    ELSE\n%s    END IF;\n", condition, first, second)
}

// updated follows the side that was changed; where both were, the one that counts.
func (p *planner) updated(b *strings.Builder, f pair, counts authority) {
	old, added := f.names(counts)
	place := p.placed(counts)
	forward, back := []string{old}, []string{added}
	if counts == oldShape {
		for _, name := range f.reads {
			if at := place(name); !slices.Contains(forward, at) {
				forward = append(forward, at)
			}
		}
	}
	for _, name := range f.readsBack {
		back = append(back, place(name))
	}
	first, then := changed(forward, f.typeOld, f.collation), p.forward(f, counts)
	second, otherwise := changed(back, f.typeNew, f.collation), p.back(f, counts)
	if counts == newShape {
		first, then, second, otherwise = second, otherwise, first, then
	}
	fmt.Fprintf(b, "    IF %s THEN\n%s    ELSIF %s THEN\n%s    END IF;\n", first, then, second, otherwise)
}

// changed is whether an UPDATE changed one of the columns, of which the first is of a known type.
func changed(columns []string, typeName, collation string) string {
	if len(columns) == 1 && exact(typeName, collation) {
		return fmt.Sprintf("NEW.%s IS DISTINCT FROM OLD.%s", quote(columns[0]), quote(columns[0]))
	}
	return imageChanged(columns)
}

// imageChanged is whether an UPDATE changed a byte of one of the columns.
func imageChanged(columns []string) string {
	row := func(side string) string {
		values := make([]string, len(columns))
		for i, name := range columns {
			values[i] = side + quote(name)
		}
		return "ROW(" + strings.Join(values, ", ") + ")"
	}
	return "pg_catalog.record_image_ne(" + row("NEW.") + ", " + row("OLD.") + ")"
}

func (p *planner) forward(f pair, counts authority) string {
	old, added := f.names(counts)
	if f.up == "" {
		return fmt.Sprintf("      NEW.%s := NEW.%s;\n", quote(added), quote(old))
	}
	return p.assign(added, f.up, p.inputs(f.reads, counts))
}

func (p *planner) back(f pair, counts authority) string {
	old, added := f.names(counts)
	if f.down == "" {
		return fmt.Sprintf("      NEW.%s := NEW.%s;\n", quote(old), quote(added))
	}
	itself := value{name: f.column, from: added, column: Column{Name: f.column, Type: f.typeNew}}
	return p.assign(old, f.down, append([]value{itself}, p.inputs(f.readsBack, counts)...))
}

// placed gives the name under which the value of a column of before the migration is found under an authority.
func (p *planner) placed(counts authority) func(string) string {
	return func(name string) string {
		for _, f := range p.pairs {
			if f.column == name {
				old, _ := f.names(counts)
				return old
			}
		}
		return name
	}
}

// value is what an expression reads: by a name, from a column of the row that has another one perhaps.
type value struct {
	name, from string
	column     Column
}

func (p *planner) inputs(names []string, counts authority) []value {
	place := p.placed(counts)
	values := make([]value, len(names))
	for i, name := range names {
		c, _ := p.in.Table.Column(name)
		values[i] = value{name: name, from: place(name), column: c}
	}
	return values
}

// assign gives a column the value of an author's expression. Variables of the names that it reads are much faster than a query over
// them, and are had where their types mean the same under an empty search path.
func (p *planner) assign(column, expression string, reads []value) string {
	label := quote(p.in.Table.Name)
	variables, sources := "", make([]string, len(reads))
	plain := true
	for i, v := range reads {
		_, known := typeName(v.column.Type)
		plain = plain && known && v.name != "new" && v.name != "old"
		variables += fmt.Sprintf("        %s %s", quote(v.name), v.column.Type)
		if v.column.Collation != "" {
			variables += " COLLATE " + v.column.Collation
		}
		variables += " := NEW." + quote(v.from) + ";\n"
		sources[i] = "NEW." + quote(v.from) + " AS " + quote(v.name)
	}
	switch {
	case len(reads) == 0:
		return fmt.Sprintf("      NEW.%s := %s;\n", quote(column), embed(expression))
	case plain:
		return fmt.Sprintf("      <<%s>>\n      DECLARE\n%s      BEGIN\n        NEW.%s := %s;\n      END;\n", label, variables, quote(column), embed(expression))
	}
	return fmt.Sprintf("      NEW.%s := (SELECT %s FROM (SELECT %s) AS %s);\n", quote(column), embed(expression), strings.Join(sources, ", "), label)
}
