package lint

import (
	"strings"

	"drawbridge/internal/sqltext"
)

// maxDepth bounds how deep a statement's tree may be, in what depth counts. The parser's stack is 64 KiB, of which 11 serve any
// statement, and a level of the costliest kind takes 128 bytes. What goes beyond the stack overwrites the parser's own data, and
// nothing tells.
const maxDepth = 250

// What the tree of something is deeper by.
const (
	parenthesis = 1
	setOrJoin   = 2
	caseWhen    = 3
	subquery    = 4 // SELECT, its list, its element, and the statement inside
)

// level is what stands between two parentheses, or CASE and END.
type level struct {
	cost  int
	spine int // set operations and joins: each holds those before it, whatever stands between them
	chain int // operators since the last comma, AND or the like: each may hold those before it
	inner int // the deepest parenthesis since then
	most  int // the deepest of what such words separate
	best  int // the deepest statement of a body that has several
	cases bool
	// between says that the next AND belongs to a BETWEEN.
	between bool
}

func (l *level) separate() {
	l.most = max(l.most, l.chain+l.inner)
	l.chain, l.inner, l.between = 0, 0, false
}

func (l *level) finish() int {
	l.separate()
	l.best = max(l.best, l.spine+l.most)
	l.spine, l.most = 0, 0
	return l.cost + l.best
}

// depth bounds from above how deep the tree of a statement is, before it is read. What chains without a parenthesis, such as 1+1+1
// and JOIN, is as deep as it is long; what commas, AND and OR separate lies side by side.
func depth(tokens []sqltext.Token) int {
	open := []level{{}}
	closes := func() {
		inside := open[len(open)-1].finish()
		open = open[:len(open)-1]
		outer := &open[len(open)-1]
		outer.inner = max(outer.inner, inside)
		outer.chain++ // as in a[1][2]
	}
	for i, t := range tokens {
		at := &open[len(open)-1]
		switch {
		case t.Kind == sqltext.Word:
			switch w := t.Text; {
			case w == "case":
				open = append(open, level{cost: caseWhen, cases: true})
			case w == "end" && at.cases:
				closes()
			case at.cases && in(w, "when then else"), in(w, "and or") && !at.between:
				at.separate()
			case w == "and":
				at.between = false
			case in(w, "join union intersect except"):
				at.spine += setOrJoin
			case w == "at": // AT TIME ZONE is a call
				at.chain += 2
			case in(w, "not is isnull notnull like ilike similar between in overlaps collate operator escape"):
				at.chain++
				at.between = at.between || w == "between"
			}
		case t.Kind != sqltext.Punctuation:
		case t.Text == "(" || t.Text == "[":
			cost := parenthesis
			if i+1 < len(tokens) && tokens[i+1].Kind == sqltext.Word && in(tokens[i+1].Text, "select with values table insert update delete merge") {
				cost = subquery
			}
			open = append(open, level{cost: cost})
		case (t.Text == ")" || t.Text == "]") && len(open) > 1:
			closes()
		case t.Text == ",":
			at.separate()
		case t.Text == ";":
			at.finish()
		case strings.IndexByte("+-*/<>=~!@#%^&|`?:", t.Text[0]) >= 0:
			at.chain++
		}
	}
	deepest := 0
	for i := range open { // what is not closed is for the parser to say
		deepest += open[i].finish()
	}
	return deepest
}
