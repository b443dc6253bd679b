package lint

import (
	"regexp"
	"strings"
)

// Options say how the tool that runs a file does it.
type Options struct {
	// NoTransaction: each statement is a transaction of its own. By default a file is one transaction, unless it begins and ends
	// its own.
	NoTransaction bool
}

// header are the comments by which goose and dbmate cut a file.
var (
	upHeader   = regexp.MustCompile(`(?mi)^-- *(?:\+goose +Up|migrate:up(?:[ \t](.*))?)\s*$`)
	downHeader = regexp.MustCompile(`(?mi)^-- *(?:\+goose +Down|migrate:down(?:[ \t].*)?)\s*$`)
	noneHeader = regexp.MustCompile(`(?mi)^-- *\+goose +NO +TRANSACTION\s*$`)
)

// section is the part of a file that goes up, and what its headers say of transactions.
type section struct {
	from, to int
	wrapped  bool // a tool of which we know runs it in a transaction
	alone    bool // and this file without one
}

func sectionOf(text string) section {
	s := section{to: len(text)}
	up := upHeader.FindStringSubmatchIndex(text)
	if up == nil {
		return s
	}
	s.from, s.wrapped = up[1], true
	if down := downHeader.FindStringIndex(text[s.from:]); down != nil {
		s.to = s.from + down[0]
	}
	if up[2] >= 0 && strings.Contains(strings.ReplaceAll(text[up[2]:up[3]], " ", ""), "transaction:false") || noneHeader.MatchString(text) {
		s.wrapped, s.alone = false, true
	}
	return s
}

// frame says of each statement in which transaction it runs.
func frame(all []statement, s section, o Options) {
	own := false
	for _, st := range all {
		own = own || st.begins() || st.ends()
	}
	tool := !o.NoTransaction && !s.alone && (s.wrapped || !own) // the tool's transaction is around all of it
	number, now := 0, 0
	if tool {
		number, now = 1, 1
	}
	for i := range all {
		switch st := &all[i]; {
		case st.begins():
			st.nested = now != 0
			if now == 0 {
				number++
				now = number
			}
			st.transaction = now
		case st.ends():
			st.transaction = now
			st.nested = now == 0 || tool
			if !tool {
				now = 0
			}
		default:
			st.transaction = now
		}
	}
}

func (s statement) begins() bool {
	return s.kind == "TransactionStmt" && in(s.text("kind"), "TRANS_STMT_BEGIN TRANS_STMT_START")
}

func (s statement) ends() bool {
	return s.kind == "TransactionStmt" && in(s.text("kind"), "TRANS_STMT_COMMIT TRANS_STMT_ROLLBACK TRANS_STMT_PREPARE") && !s.is("chain")
}
