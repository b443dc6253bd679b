package check

import (
	"errors"
	"fmt"
	"strings"
)

// Statement is a SELECT that only reads. Every column of its rows is text, or NULL.
type Statement struct {
	SQL    string
	Fields []string // what the columns are, in order
}

// term is one column of a fused statement.
type term struct {
	field  string
	sql    string // an aggregate over the rows
	serial bool   // it would keep the whole statement from a parallel plan
}

// fuse renders one statement, of one scan, that returns one row.
func fuse(relation string, terms []term) Statement {
	s := Statement{Fields: make([]string, len(terms))}
	columns := make([]string, len(terms))
	for i, t := range terms {
		s.Fields[i] = t.field
		columns[i] = fmt.Sprintf("  (%s)::text AS %s", t.sql, Quote(t.field))
	}
	s.SQL = "SELECT\n" + strings.Join(columns, ",\n") + "\nFROM " + relation
	return s
}

// Values are what statements returned, by field. The zero Values holds nothing.
type Values struct {
	text map[string]*string
	lost map[string]string
}

// Put adds the row that a statement returned, in the order of its fields.
func (v *Values) Put(s Statement, row []*string) error {
	if len(row) != len(s.Fields) {
		return fmt.Errorf("read the row of a check statement: %d columns where %d were selected", len(row), len(s.Fields))
	}
	if v.text == nil {
		v.text = make(map[string]*string, len(row))
	}
	for i, field := range s.Fields {
		v.text[field] = row[i]
	}
	return nil
}

// Lose records why a statement returned nothing. The reason becomes evidence, so it must hold no value of a row: a
// SQLSTATE, not the server's message.
func (v *Values) Lose(s Statement, reason string) {
	if v.lost == nil {
		v.lost = make(map[string]string, len(s.Fields))
	}
	for _, field := range s.Fields {
		v.lost[field] = reason
	}
}

// Text returns a field as the server printed it.
func (v *Values) Text(field string) (string, error) {
	text, ok := v.text[field]
	switch {
	case ok && text != nil:
		return *text, nil
	case ok:
		return "", errors.New("it has no value (NULL)")
	case v.lost[field] != "":
		return "", fmt.Errorf("it could not be evaluated: %s", v.lost[field])
	}
	return "", errors.New("it was not evaluated")
}
