package lint

import (
	"errors"
	"strings"
	"unicode/utf8"

	"drawbridge/internal/sqltext"
)

// MaxFile bounds a file, in bytes.
const MaxFile = 16 << 20

// statement is one statement of a file.
type statement struct {
	node
	sql    string            // empty where only comments stand
	tokens []sqltext.Token   // with their places in the text
	start  int               // of the text in the file
	before []sqltext.Comment // those before it, with their places in the file
	// transaction is which one of the file it runs in; 0: one of its own, or none.
	transaction int
	// nested says that it begins or ends a transaction where a tool, or the file, has begun one.
	nested bool
}

// Problem is why a file, or a statement of it, was not looked at.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"problem"`
	Hint   string `json:"hint,omitempty"`
}

// source is a file's text, and places in it.
type source struct {
	file, text string
	lines      []int // where each begins
}

func newSource(file, text string) *source {
	s := &source{file: file, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// place is the line and the column, in characters, of a byte.
func (s *source) place(offset int) (line, column int) {
	low, high := 0, len(s.lines)
	for high-low > 1 {
		if mid := (low + high) / 2; s.lines[mid] <= offset {
			low = mid
		} else {
			high = mid
		}
	}
	return low + 1, utf8.RuneCountInString(s.text[s.lines[low]:offset]) + 1
}

func (s *source) problem(offset int, text, hint string) Problem {
	p := Problem{File: s.file, Text: text, Hint: hint}
	p.Line, p.Column = s.place(offset)
	return p
}

// readable says what keeps a text from being read at all.
func (s *source) readable() (Problem, bool) {
	if len(s.text) > MaxFile {
		return Problem{File: s.file, Text: "the file has more than 16 MiB", Hint: dataHint}, false
	}
	for i, r := range s.text {
		if r == 0 {
			return s.problem(i, "a NUL character stands here", "write SQL as text"), false
		}
		if _, size := utf8.DecodeRuneInString(s.text[i:]); r == utf8.RuneError && size == 1 {
			return s.problem(i, "a byte that is no UTF-8 stands here", "save the file as UTF-8"), false
		}
	}
	return Problem{}, true
}

// split cuts the text between two places into statements. What only psql understands ends the file: from there on nobody knows what
// is SQL.
func (s *source) split(from, to int) ([]statement, []Problem) {
	text := s.text[from:to]
	tokens, scanned := sqltext.Scan(text)
	comments, _ := sqltext.Comments(text)
	c := cutter{source: s, from: from, text: text, comments: comments}
	first, parentheses, atomic := 0, 0, 0
	for i, t := range tokens {
		punctuation := t.Kind == sqltext.Punctuation
		switch {
		case punctuation && t.Text == `\`:
			return c.all, []Problem{s.problem(from+t.Start, `a command of psql stands here, such as \i or \copy, and no SQL: nothing from here on was looked at`,
				"give the file that it names, and write what the server is to do as SQL")}
		case punctuation && t.Text == "(":
			parentheses++
		case punctuation && t.Text == ")":
			parentheses--
		case punctuation && t.Text == ";" && parentheses <= 0 && atomic == 0:
			if copiesRows(tokens[first:i]) {
				return c.all, []Problem{s.problem(from+tokens[first].Start, "COPY FROM stdin has its rows in the file, which only psql sends: nothing from here on was looked at",
					"load data in a step of its own, or write INSERT")}
			}
			c.cut(tokens[first:i], t.Start)
			c.begin, first, parentheses = t.End, i+1, 0
		case t.Kind != sqltext.Word:
		case t.Text == "atomic" && i > first && tokens[i-1].Text == "begin" && tokens[first].Text == "create", t.Text == "case" && atomic > 0:
			atomic++
		case t.Text == "end" && atomic > 0:
			atomic--
		}
	}
	if bad, ok := errors.AsType[*sqltext.Error](scanned); ok {
		return c.all, []Problem{s.problem(from+bad.Offset, bad.Reason, "end it; nothing from the statement that it stands in on was looked at")}
	}
	c.cut(tokens[first:], len(text))
	return c.all, nil
}

// cutter collects statements.
type cutter struct {
	*source
	from     int // where the text begins in the file
	text     string
	begin    int // where the statement before has ended
	comments []sqltext.Comment
	all      []statement
}

// cut ends a statement; of blanks and comments alone there is none.
func (c *cutter) cut(tokens []sqltext.Token, end int) {
	start := c.begin
	var before []sqltext.Comment
	for {
		start += len(c.text[start:end]) - len(strings.TrimLeft(c.text[start:end], " \t\r\n\f\v"))
		for len(c.comments) > 0 && c.comments[0].Start < start {
			c.comments = c.comments[1:]
		}
		if len(c.comments) == 0 || c.comments[0].Start != start || start >= end {
			break
		}
		start += len(c.comments[0].Text)
		before = append(before, sqltext.Comment{Text: c.comments[0].Text, Start: c.from + c.comments[0].Start})
	}
	if start == end && len(before) == 0 {
		return
	}
	for i := range tokens {
		tokens[i].Start -= start
		tokens[i].End -= start
	}
	c.all = append(c.all, statement{sql: strings.TrimRight(c.text[start:end], " \t\r\n\f\v"), tokens: tokens, start: c.from + start, before: before})
}

// copiesRows says that tokens are COPY … FROM stdin.
func copiesRows(tokens []sqltext.Token) bool {
	for i, t := range tokens {
		if i > 0 && t.Text == "stdin" && tokens[0].Text == "copy" && tokens[i-1].Text == "from" {
			return true
		}
	}
	return false
}
