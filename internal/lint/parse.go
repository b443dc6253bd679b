package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/wasilibs/go-pgquery/parser"

	"drawbridge/internal/fault"
	"drawbridge/internal/sqltext"
)

// Grammar is the version of Postgres whose grammar reads the SQL.
const Grammar = 17

// maxStatement bounds one statement, in bytes: its tree takes some hundred times as much memory.
const maxStatement = 1 << 20

// server is the parser of the process. It is a module that takes a second and 250 MB to begin, at the first statement; the library
// begins another one for each caller at a time, so they come one by one.
var server struct { //nolint:gochecknoglobals // the library keeps its modules in a pool of the process, and so does what guards it
	sync.Mutex
	broken bool
}

// syntaxError is a statement that cannot be read, and where in its text.
type syntaxError struct {
	offset int
	reason string
	hint   string
}

func (e *syntaxError) Error() string { return e.reason }

// parse reads one statement. It is a *syntaxError where that is none.
func parse(sql string, tokens []sqltext.Token) (node, error) {
	switch {
	case len(sql) > maxStatement:
		return node{}, &syntaxError{reason: fmt.Sprintf("the statement has more than %d KiB", maxStatement>>10), hint: dataHint}
	case depth(tokens) > maxDepth:
		return node{}, &syntaxError{reason: "the statement nests too deeply to be read", hint: "cut it into common table expressions, views or statements"}
	}
	text, err := tree(sql)
	if said, ok := errors.AsType[*parser.Error](err); ok {
		return node{}, &syntaxError{offset: byteOf(sql, said.Cursorpos-1), reason: fault.Bound(said.Message), hint: fmt.Sprintf("mend it, or look at it by hand where a later server knows it: it was read by the grammar of Postgres %d", Grammar)}
	}
	if err != nil {
		return node{}, &syntaxError{reason: err.Error(), hint: "look at the statement by hand"}
	}
	var read struct {
		Stmts []struct {
			Stmt any `json:"stmt"`
		} `json:"stmts"`
	}
	if err := json.Unmarshal([]byte(text), &read); err != nil || len(read.Stmts) != 1 {
		return node{}, &syntaxError{reason: "the parser's answer cannot be read", hint: "look at the statement by hand"}
	}
	return nodeOf(read.Stmts[0].Stmt), nil
}

// tree is a statement's tree as JSON. A module that has failed stays in the library's pool, so that nothing is asked of it any more.
func tree(sql string) (text string, err error) {
	server.Lock()
	defer server.Unlock()
	if server.broken {
		return "", errors.New("the parser failed at a statement before this one")
	}
	defer func() {
		if recover() != nil {
			server.broken = true
			err = errors.New("the parser failed at this statement")
		}
	}()
	return parser.ParseToJSON(sql)
}

// byteOf is where the n-th character of a text begins.
func byteOf(text string, n int) int {
	at := 0
	for ; n > 0 && at < len(text); n-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}
