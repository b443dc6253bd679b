package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// Ident renders one identifier. Every identifier that reaches SQL text passes through it or through pgx.Identifier.
func Ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// Idents renders identifiers as a list.
func Idents(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = Ident(name)
	}
	return strings.Join(quoted, ", ")
}

// Literal renders a literal where a value cannot be bound: in DDL. standard_conforming_strings is on in every session.
func Literal(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
