package check

import (
	"errors"
	"fmt"
	"strings"

	"drawbridge/internal/sqltext"
)

// guard refuses SQL that is not one expression, or one SELECT: text that would end the statement or the parenthesis
// that it is put into. That it only reads is the session's promise (READ ONLY), not this one.
func guard(sql string) error {
	tokens, err := sqltext.Scan(sql)
	if err != nil {
		return fmt.Errorf("in the SQL, %w", err)
	}
	if len(tokens) == 0 && strings.TrimSpace(sql) == "" {
		return errors.New("the SQL is empty")
	}
	depth := 0
	for _, t := range tokens {
		switch {
		case t.Kind != sqltext.Punctuation:
		case t.Text == "(":
			depth++
		case t.Text == ")":
			depth--
		case t.Text == ";":
			return errors.New("the SQL holds a semicolon")
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 {
		return errors.New("the parentheses of the SQL do not match")
	}
	return nil
}

// serial says whether an aggregate keeps Postgres from a parallel plan: DISTINCT, ORDER BY or WITHIN GROUP in it.
func serial(sql string) bool {
	names := sqltext.Identifiers(sql)
	return names["distinct"] || names["order"] || names["within"]
}
