package migrate

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/sqltext"
)

// BadExpression says why a text cannot be put into a statement as one expression, whatever the server thinks of it; empty: it can.
func BadExpression(sql string) string {
	if strings.TrimSpace(sql) == "" {
		return "is empty"
	}
	if strings.ContainsRune(sql, 0) {
		return "holds bytes that are no text"
	}
	tokens, err := sqltext.Scan(sql)
	if err != nil {
		return "is cut off: " + err.Error()
	}
	depth := 0
	for _, t := range tokens {
		switch {
		case t.Kind == sqltext.Positional || t.Kind == sqltext.Placeholder:
			return "has a parameter, and nothing gives it a value"
		case t.Kind == sqltext.Word && slices.Contains(systemColumns(), t.Text):
			return "reads " + t.Text + ", which is no value of the row"
		case t.Kind != sqltext.Punctuation:
		case t.Text == "(":
			depth++
		case t.Text == ")":
			depth--
		case t.Text == ";":
			return "holds a semicolon"
		}
		if depth < 0 {
			return "closes a parenthesis that it did not open"
		}
	}
	if depth != 0 {
		return "does not close a parenthesis"
	}
	return ""
}

// embed puts an author's expression in parentheses. BadExpression has made sure that nothing in it reaches past them but a comment,
// which ends with its line.
func embed(sql string) string {
	if strings.Contains(sql, "--") {
		return "(" + strings.TrimSpace(sql) + "\n)"
	}
	return "(" + strings.TrimSpace(sql) + ")"
}

// shownSQL is an expression in a sentence.
func shownSQL(sql string) string {
	return fmt.Sprintf("%q", cut(strings.Join(strings.Fields(sql), " "), 80))
}

// Expressions are those of a migration that the server is asked about before anything is planned.
func Expressions(m Migration) []Typed {
	var all []Typed
	for _, o := range m.Operations {
		for _, t := range expressionsOf(o) {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

func expressionsOf(o Operation) []Typed {
	var of []Typed
	ask := func(t Typed) {
		if BadExpression(t.Expression) == "" {
			of = append(of, t)
		}
	}
	written := o.Type
	if o.Kind == ChangeType {
		written = o.To
	}
	target, known := typeName(written)
	switch o.Kind {
	case AddColumn, ChangeType:
		if !known {
			return nil
		}
		ask(Typed{Expression: o.Up, Type: target})
		ask(Typed{Expression: o.Default, Type: target})
		if o.Kind == ChangeType {
			ask(Typed{Expression: o.Down, Of: o.Column, As: target})
		}
	case SetNotNull:
		ask(Typed{Expression: o.Up, Of: o.Column})
	case SetDefault:
		ask(Typed{Expression: o.Default, Of: o.Column})
	case AddCheck:
		ask(Typed{Expression: o.Check, Type: "boolean"})
	case CreateIndex, CreateView:
		ask(Typed{Expression: o.Where, Type: "boolean"})
	default: // has none
	}
	return of
}

// said is what the server says of an expression, and false where it says no; that is then a problem.
func (p *planner) said(o Operation, t Typed) (Expression, bool) {
	e, asked := p.in.Table.Expressions[t.Key()]
	switch {
	case !asked:
		p.refuse("plan again", "the server was not asked about the expression %s of %s", shownSQL(t.Expression), o.Kind)
		return Expression{}, false
	case e.Refused != "":
		p.invalid("write one expression over the columns of a row, of functions that Postgres brings along and that always give the same",
			"the expression %s of %s is refused: %s", shownSQL(t.Expression), o.Kind, e.Refused)
		return Expression{}, false
	}
	if e.Text == "" {
		e.Text = strings.TrimSpace(t.Expression)
	}
	return e, true
}

// constant is said of an expression that reads no column: a default.
func (p *planner) constant(o Operation, t Typed) (Expression, bool) {
	e, ok := p.said(o, t)
	if ok && len(e.Columns) > 0 {
		p.invalid("write a value, and use up for what depends on the row", "the default %s of %s reads %s", shownSQL(t.Expression), o.Kind, shownAll(e.Columns))
		return e, false
	}
	return e, ok
}
