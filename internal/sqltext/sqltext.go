// Package sqltext splits Postgres SQL into tokens with their places, as far as one must know where strings, comments,
// names and statements begin and end. It does not parse: whether a statement is right is for the server to say.
package sqltext

import "strings"

// Kind is the type of a token.
type Kind int

// The kinds. Strings, numbers and comments are no tokens.
const (
	Word        Kind = iota // an unquoted identifier or keyword, in lower case
	Quoted                  // a quoted identifier, without its quotes
	Placeholder             // @name, without the "@"
	Positional              // $1, without the "$"
	Punctuation             // one byte
)

// Token is a piece of SQL; Start and End are byte offsets.
type Token struct {
	Kind       Kind
	Text       string
	Start, End int
}

// Error is a text in which something begins and never ends.
type Error struct {
	Offset int
	Reason string
}

// Error says what does not end.
func (e *Error) Error() string { return e.Reason }

// Scan lists the tokens of sql. With an *Error it returns the tokens before the piece that does not end.
func Scan(sql string) ([]Token, error) {
	s := scanner{sql: sql}
	for s.at < len(sql) {
		if reason := s.step(); reason != "" {
			return s.tokens, &Error{Offset: s.at, Reason: reason}
		}
	}
	return s.tokens, nil
}

// Comments lists the comments of sql, with the marks that make them such. With an *Error it returns those before the piece that
// does not end.
func Comments(sql string) ([]Comment, error) {
	s := scanner{sql: sql}
	for s.at < len(sql) {
		if reason := s.step(); reason != "" {
			return s.comments, &Error{Offset: s.at, Reason: reason}
		}
	}
	return s.comments, nil
}

// Comment is a comment; Start is a byte offset.
type Comment struct {
	Text  string
	Start int
}

// Identifiers are the names that sql mentions outside strings and comments, as Postgres folds them: keywords and
// functions too, so a name that is absent is not read, and one that is present may be.
func Identifiers(sql string) map[string]bool {
	names := map[string]bool{}
	tokens, _ := Scan(sql)
	for _, t := range tokens {
		if t.Kind == Word || t.Kind == Quoted {
			names[t.Text] = true
		}
	}
	return names
}

type scanner struct {
	sql      string
	at       int
	tokens   []Token
	comments []Comment
}

// step reads one token, string, comment or blank, and says what does not end.
func (s *scanner) step() string {
	rest := s.sql[s.at:]
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		return s.comment(lineEnd(rest))
	case strings.HasPrefix(rest, "/*"):
		return s.comment(commentEnd(rest))
	case c == '\'':
		return s.skip(quoteEnd(rest, c, false), "the string does not end")
	case (c == 'e' || c == 'E') && len(rest) > 1 && rest[1] == '\'':
		end := quoteEnd(rest[1:], '\'', true)
		if end > 0 {
			end++
		}
		return s.skip(end, "the string does not end")
	case c == '"':
		end := quoteEnd(rest, c, false)
		if end > 0 {
			s.emit(Quoted, strings.ReplaceAll(rest[1:end-1], `""`, `"`), end)
			return ""
		}
		return "the quoted name does not end"
	case c == '$':
		return s.dollar(rest)
	case c == '@' && len(rest) > 1 && isLetter(rest[1]) && !s.afterOperator():
		end := 1 + wordEnd(rest[1:])
		s.emit(Placeholder, rest[1:end], end)
	case isLetter(c):
		end := wordEnd(rest)
		s.emit(Word, strings.ToLower(rest[:end]), end)
	case isDigit(c):
		s.at += wordEnd(rest)
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		s.at++
	default:
		s.emit(Punctuation, rest[:1], 1)
	}
	return ""
}

func (s *scanner) emit(kind Kind, text string, length int) {
	s.tokens = append(s.tokens, Token{Kind: kind, Text: text, Start: s.at, End: s.at + length})
	s.at += length
}

func (s *scanner) comment(length int) string {
	if length > 0 {
		s.comments = append(s.comments, Comment{Text: s.sql[s.at : s.at+length], Start: s.at})
	}
	return s.skip(length, "the comment does not end")
}

func (s *scanner) skip(length int, reason string) string {
	if length <= 0 {
		return reason
	}
	s.at += length
	return ""
}

// dollar reads $1 or a dollar-quoted string.
func (s *scanner) dollar(rest string) string {
	if len(rest) > 1 && isDigit(rest[1]) {
		end := 1
		for end < len(rest) && isDigit(rest[end]) {
			end++
		}
		s.emit(Positional, rest[1:end], end)
		return ""
	}
	tagLength := 1
	for tagLength < len(rest) && (isLetter(rest[tagLength]) || isDigit(rest[tagLength])) {
		tagLength++
	}
	if tagLength == len(rest) || rest[tagLength] != '$' {
		s.emit(Punctuation, "$", 1)
		return ""
	}
	tag := rest[:tagLength+1]
	body := strings.Index(rest[len(tag):], tag)
	if body < 0 {
		return "the dollar-quoted string does not end"
	}
	s.at += body + 2*len(tag)
	return ""
}

// afterOperator tells whether an "@" continues an operator such as <@.
func (s *scanner) afterOperator() bool {
	return s.at > 0 && strings.IndexByte("+-*/<>=~!@#%^&|`?", s.sql[s.at-1]) >= 0
}

func lineEnd(rest string) int {
	if n := strings.IndexByte(rest, '\n'); n >= 0 {
		return n
	}
	return len(rest)
}

// commentEnd returns the length of the block comment that rest begins with, or 0. Block comments nest.
func commentEnd(rest string) int {
	depth := 0
	for i := 0; i+1 < len(rest); {
		switch rest[i : i+2] {
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
	return 0
}

// quoteEnd returns the length of the quoted text that rest begins with, or 0. A doubled quote stands for itself.
func quoteEnd(rest string, quote byte, backslash bool) int {
	for i := 1; i < len(rest); i++ {
		switch {
		case backslash && rest[i] == '\\':
			i++
		case rest[i] == quote && i+1 < len(rest) && rest[i+1] == quote:
			i++
		case rest[i] == quote:
			return i + 1
		}
	}
	return 0
}

func wordEnd(rest string) int {
	n := 1
	for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n]) || rest[n] == '$') {
		n++
	}
	return n
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
