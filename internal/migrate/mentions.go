package migrate

import (
	"slices"
	"strings"

	"drawbridge/internal/sqltext"
)

// Mention is a column of a table that a statement names. It is guessed where the name may be another's.
type Mention struct {
	Column  string
	Guessed bool
}

// Mentions are those of some columns of a table that a statement names, where it reads or writes rows of that. A name that is qualified by
// another table is none, and neither is one that the statement gives to a result. SELECT * names none.
func Mentions(sql, schema, table string, columns []string) []Mention {
	tokens, err := sqltext.Scan(sql)
	s := statement{tokens: tokens, schema: schema, table: table, known: map[string]bool{}}
	if !s.moves() || !s.relations() {
		return nil
	}
	var found []Mention
	for _, column := range columns {
		if named, sure := s.names(column); named {
			found = append(found, Mention{Column: column, Guessed: !sure || err != nil})
		}
	}
	return found
}

// statement is a statement that is looked through for a table.
type statement struct {
	tokens        []sqltext.Token
	schema, table string
	// known are the names by which it calls the table: its own, and aliases.
	known map[string]bool
	// others says that it is about other tables too, or may be.
	others bool
}

func (s *statement) word(i int) string {
	if i < 0 || i >= len(s.tokens) || s.tokens[i].Kind != sqltext.Word {
		return ""
	}
	return s.tokens[i].Text
}

// name is the identifier at a place; empty: there is none.
func (s *statement) name(i int) string {
	if i < 0 || i >= len(s.tokens) || s.tokens[i].Kind != sqltext.Word && s.tokens[i].Kind != sqltext.Quoted {
		return ""
	}
	return s.tokens[i].Text
}

func (s *statement) mark(i int) string {
	if i < 0 || i >= len(s.tokens) || s.tokens[i].Kind != sqltext.Punctuation {
		return ""
	}
	return s.tokens[i].Text
}

// moves says whether the statement reads or writes rows.
func (s *statement) moves() bool {
	first := 0
	for s.mark(first) == "(" {
		first++
	}
	return slices.Contains(strings.Fields("select with insert update delete merge copy table declare values"), s.word(first))
}

// relations finds the table among those that the statement is about, and says whether it is one of them.
func (s *statement) relations() bool {
	for i := range s.tokens {
		name := s.name(i)
		if name == "" || s.mark(i+1) == "." {
			continue
		}
		before, here := i-1, true
		if s.mark(i-1) == "." {
			before, here = i-3, s.name(i-2) == s.schema
		}
		introduced := slices.Contains(strings.Fields("from join into update only using copy table"), s.word(before))
		switch listed := s.mark(before) == ","; {
		case name == s.table && here && (introduced || listed):
			s.others = s.others || len(s.known) > 0 || listed
			s.known[name] = true
			s.alias(i + 1)
		case introduced && !slices.Contains(strings.Fields("only select lateral set stdin"), name):
			s.others = true
		}
	}
	return len(s.known) > 0
}

// alias notes the name that the statement gives to the table, which stands before the place.
func (s *statement) alias(i int) {
	if s.word(i) == "as" {
		i++
	}
	if alias := s.name(i); alias != "" && (s.tokens[i].Kind == sqltext.Quoted || !slices.Contains(strings.Fields(follows), alias)) {
		s.known[alias] = true
		i++
	}
	s.others = s.others || s.mark(i) == ","
}

// follows are the words that come after a table's name and are no alias of it.
const follows = "where set on join left right inner full cross natural group order limit offset fetch for using union intersect except having " +
	"window tablesample values select with returning default overriding when to from cursor"

// names says whether the statement names a column of the table, and whether that is sure.
func (s *statement) names(column string) (named, sure bool) {
	called, plain := false, false // it gives the name to a result; it names it without a table
	for i := range s.tokens {
		switch {
		case s.name(i) != column, s.mark(i+1) == "(", s.mark(i+1) == ".":
		case s.mark(i-1) == ".":
			if s.known[s.name(i-2)] {
				return true, true
			}
		case s.word(i-1) == "as":
			called = true
		default:
			plain = true
		}
	}
	return plain, !called && !s.others
}
