package check

import (
	"errors"
	"strings"
)

type tokenKind int

const (
	word        tokenKind = iota // an unquoted identifier or keyword, in lower case
	quoted                       // a quoted identifier, unquoted
	punctuation                  // one byte
)

type token struct {
	kind tokenKind
	text string
}

// Identifiers lists the names in an SQL text as Postgres folds them, outside of strings and comments. Keywords are
// among them. Of a text that does not end its strings it lists those before.
func Identifiers(sql string) map[string]bool {
	tokens, _ := lex(sql)
	names := make(map[string]bool, len(tokens))
	for _, t := range tokens {
		if t.kind != punctuation {
			names[t.text] = true
		}
	}
	return names
}

// guard refuses SQL that is not one expression, or one SELECT: text that would end the statement or the parenthesis
// that it is put into. That it only reads is the session's promise (READ ONLY), not this one.
func guard(sql string) error {
	tokens, err := lex(sql)
	if err != nil {
		return err
	}
	if len(tokens) == 0 && strings.TrimSpace(sql) == "" {
		return errors.New("the SQL is empty")
	}
	depth := 0
	for _, t := range tokens {
		switch {
		case t.kind != punctuation:
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case t.text == ";":
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
	names := Identifiers(sql)
	return names["distinct"] || names["order"] || names["within"]
}

// lex splits SQL into words and punctuation, and drops strings, numbers and comments.
func lex(sql string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(sql); {
		rest := sql[i:]
		switch c := rest[0]; {
		case strings.HasPrefix(rest, "--"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				return tokens, nil
			}
			i += n
		case strings.HasPrefix(rest, "/*"):
			n := comment(rest)
			if n < 0 {
				return tokens, errors.New("a comment of the SQL does not end")
			}
			i += n
		case c == '\'' || c == '"':
			escapes := c == '\'' && i > 0 && len(tokens) > 0 && tokens[len(tokens)-1] == token{word, "e"} && (sql[i-1] == 'e' || sql[i-1] == 'E')
			n := closing(rest, c, escapes)
			if n < 0 {
				return tokens, errors.New("a string or quoted name of the SQL does not end")
			}
			if c == '"' {
				tokens = append(tokens, token{quoted, strings.ReplaceAll(rest[1:n-1], `""`, `"`)})
			}
			i += n
		case c == '$':
			tag := dollarTag(rest)
			if tag == "" {
				tokens = append(tokens, token{punctuation, "$"})
				i++
				continue
			}
			n := strings.Index(rest[len(tag):], tag)
			if n < 0 {
				return tokens, errors.New("a dollar-quoted string of the SQL does not end")
			}
			i += n + 2*len(tag)
		case wordByte(c):
			n := 1
			for n < len(rest) && (wordByte(rest[n]) || rest[n] == '$') {
				n++
			}
			if c < '0' || c > '9' {
				tokens = append(tokens, token{word, strings.ToLower(rest[:n])})
			}
			i += n
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			i++
		default:
			tokens = append(tokens, token{punctuation, rest[:1]})
			i++
		}
	}
	return tokens, nil
}

// comment returns the length of the block comment that sql begins with, or -1. Block comments nest.
func comment(sql string) int {
	depth := 0
	for i := 0; i+1 < len(sql); {
		switch sql[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

// closing returns the length of the quoted text that sql begins with, or -1. A doubled quote stands for itself.
func closing(sql string, quote byte, escapes bool) int {
	for i := 1; i < len(sql); i++ {
		switch {
		case escapes && sql[i] == '\\':
			i++
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote:
			return i + 1
		}
	}
	return -1
}

// dollarTag returns the $tag$ that sql begins with, or "": $1 is a parameter.
func dollarTag(sql string) string {
	for i := 1; i < len(sql); i++ {
		switch c := sql[i]; {
		case c == '$':
			return sql[:i+1]
		case !wordByte(c), i == 1 && c >= '0' && c <= '9':
			return ""
		}
	}
	return ""
}

func wordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}
