package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// defineFunction is the trigger's function, with a body: it runs with its caller's rights, and finds nothing by its caller's search path.
func (p *planner) defineFunction(function, body string) string {
	tag := quoting(body)
	path := ""
	if p.authored() {
		path = "SET search_path = '' "
	}
	return "CREATE OR REPLACE FUNCTION " + function + "() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER " + path + "AS " + tag + body + tag
}

// quoting is a quotation mark that is not in a body.
func quoting(body string) string {
	tag := "$body$"
	for n := 1; strings.Contains(body, tag); n++ {
		tag = fmt.Sprintf("$body%d$", n)
	}
	return tag
}

// authored is whether the function holds an expression of an author, whose names want a search path. To set one costs as much as the rest of
// a call that copies, so that a function without an expression says of each name where it is, and sets none.
func (p *planner) authored() bool {
	return len(p.fills) > 0 || slices.ContainsFunc(p.pairs, func(f pair) bool { return f.up != "" || f.down != "" })
}

// body is the function's text under an authority.
func (p *planner) body(counts authority) string {
	var b strings.Builder
	b.WriteString("\n#variable_conflict use_column\nBEGIN\n")
	if len(p.pairs) > 0 {
		b.WriteString("  IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n")
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
	if p.partitioned() && f.up != "" {
		forward, back = p.unlessMoved(f, counts)
	}
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

// unlessMoved are the ways forward and back for a row that is inserted anew where it has moved from another partition: it has both sides, of which
// either may say more than the other gives back. So both are left where one of them gives the other one.
func (p *planner) unlessMoved(f pair, counts authority) (forward, back string) {
	old, added := f.names(counts)
	forward, back = p.forward(f, counts), p.back(f, counts)
	way := func(lone, column, typeName, other, own string) string {
		return fmt.Sprintf(`      IF %s THEN
%s      ELSE
      DECLARE
        drawbridge_given %s := NEW.%s;
      BEGIN
%s        IF pg_catalog.record_image_ne(ROW(NEW.%[4]s), ROW(drawbridge_given)) THEN
          NEW.%[4]s := drawbridge_given;
%[2]s        END IF;
      END;
      END IF;
`, lone, own, typeName, quote(column), other)
	}
	lone := "NEW." + quote(added) + " IS NULL"
	loneNew := lone
	if f.notNull {
		loneNew += " OR NEW." + quote(old) + " IS NULL"
	}
	return way(lone, old, f.typeOld, back, forward), way(loneNew, added, f.typeNew, forward, back)
}

// updated follows the side that was changed; where both were, the one that counts. Until the switch it also brings over a row that nobody has
// brought over yet, whatever is changed of it: the backfill may have passed the place to which it moves. After the switch there is no such row,
// and what differs then is left to be counted.
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
	first, then := p.changed(forward, f.typeOld, f.collation), p.forward(f, counts)
	second, otherwise := p.changed(back, f.typeNew, f.collation), p.back(f, counts)
	if counts == newShape {
		first, then, second, otherwise = second, otherwise, first, then
	}
	rest := ""
	if counts == oldShape {
		rest = p.overtakes(f)
	}
	fmt.Fprintf(b, "    IF %s THEN\n%s    ELSIF %s THEN\n%s%s    END IF;\n", first, then, second, otherwise, rest)
}

// overtakes is the branch that brings a row over before the backfill does. A value that up does not take is the backfill's to tell of: whoever
// changes something else of that row goes on.
func (p *planner) overtakes(f pair) string {
	if f.up == "" {
		return "    ELSE\n" + p.forward(f, oldShape)
	}
	return fmt.Sprintf("    ELSIF NEW.%s IS NULL THEN\n      BEGIN\n%s      EXCEPTION WHEN data_exception THEN\n        NULL;\n      END;\n", quote(f.added), p.forward(f, oldShape))
}

// changed is whether an UPDATE changed one of the columns, of which the first is of a known type.
func (p *planner) changed(columns []string, typeName, collation string) string {
	if len(columns) == 1 && p.authored() && exact(typeName, collation) { // its operator is found by the search path
		return fmt.Sprintf("NEW.%s IS DISTINCT FROM OLD.%s", quote(columns[0]), quote(columns[0]))
	}
	return imageChanged(columns)
}

// bytesDiffer is whether two values of a type are not the same in every byte. Its operator is found where it is made: only one that is
// exactly of the type comes before all others of that name.
func bytesDiffer(a, b, typeName, collation string) string {
	switch {
	case !exact(typeName, collation):
		return "pg_catalog.record_image_ne(ROW(" + a + "), ROW(" + b + "))"
	case strings.HasPrefix(typeName, "character varying"):
		return a + "::pg_catalog.text IS DISTINCT FROM " + b + "::pg_catalog.text"
	}
	return a + " IS DISTINCT FROM " + b
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
