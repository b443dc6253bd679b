package lint

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// maxStatements bounds a file: the trees of its statements are kept until its end.
const maxStatements = 10_000

const dataHint = "load data in a step of its own; a migration changes tables"

// Migration looks at a file of statements that change a database, with the rules of Migrations. file names it in findings.
func Migration(file, text string, o Options) Report {
	src := newSource(file, strings.TrimPrefix(text, "\ufeff"))
	if p, ok := src.readable(); !ok {
		return Report{Problems: []Problem{p}}
	}
	s := sectionOf(src.text)
	all, problems := src.split(s.from, s.to)
	r := Report{Problems: problems}
	if len(all) > maxStatements {
		r.Problems = append(r.Problems, src.problem(all[maxStatements].start, fmt.Sprintf("the file has more than %d statements: nothing from here on was looked at", maxStatements), dataHint))
		all = all[:maxStatements]
	}
	read := all[:0]
	for _, st := range all {
		if st.sql != "" {
			n, err := parse(st.sql, st.tokens)
			if bad, ok := errors.AsType[*syntaxError](err); ok {
				r.Problems = append(r.Problems, src.problem(st.start+bad.offset, bad.reason, bad.hint))
			}
			st.node = n
		}
		read = append(read, st)
	}
	frame(read, s, o)
	rules := Rules()
	d := newDone()
	for i, st := range read {
		ignored := ignores(st)
		for _, rule := range rules {
			if rule.Of == Migrations && rule.find != nil && st.kind != "" {
				rule.find(&look{rule: rule, src: src, statement: st, done: d, all: read, index: i, found: func(f Finding) {
					if !silenced(ignored, rule) {
						r.Findings = append(r.Findings, f)
					}
				}})
			}
		}
		for _, ig := range ignored {
			r.Findings = append(r.Findings, ig.findings(src, st)...)
		}
		d.add(st)
	}
	r.sorted()
	return r
}

// ignore is a comment that silences a rule at the statement after it.
type ignore struct {
	rule, reason string
	at           int // in the file
	used         bool
}

const ignoreMark = "drawbridge:ignore"

// ignores reads the comments before a statement.
func ignores(s statement) []*ignore {
	var all []*ignore
	for _, c := range s.before {
		text, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(c.Text, "--")), ignoreMark)
		if !ok || !strings.HasPrefix(c.Text, "--") || text != "" && !unicode.IsSpace(rune(text[0])) {
			continue
		}
		rule, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
		all = append(all, &ignore{rule: rule, reason: strings.TrimSpace(reason), at: c.Start})
	}
	return all
}

// silenced says that one of the comments silences a rule, and marks it as needed.
func silenced(all []*ignore, r Rule) bool {
	silent := false
	for _, ig := range all {
		if ig.rule == r.Name || r.Alias != "" && ig.rule == r.Alias {
			ig.used = true
			silent = silent || ig.reason != ""
		}
	}
	return silent
}

// findings are what is wrong with a comment itself.
func (ig *ignore) findings(src *source, s statement) []Finding {
	var all []Finding
	say := func(rule, format string, args ...any) {
		r, _ := named(rule)
		s.start = ig.at
		(&look{rule: r, src: src, statement: s, found: func(f Finding) { all = append(all, f) }}).say(0, format, args...)
	}
	_, known := named(ig.rule)
	switch {
	case ig.rule == "":
		say(unusedIgnore, "the comment names no rule")
	case !known:
		say(unusedIgnore, "there is no rule %s", ig.rule)
	case !ig.used:
		say(unusedIgnore, "%s finds nothing in the statement below", ig.rule)
	case ig.reason == "":
		say(ignoreWithoutReason, "%s is to be silent, and nothing says why", ig.rule)
	}
	return all
}

const (
	unusedIgnore        = "unused-ignore"
	ignoreWithoutReason = "ignore-without-reason"
)

func ignoreRules() []Rule {
	return []Rule{
		{
			Name: unusedIgnore, Of: Migrations, Severity: Warning,
			Sees:    "a `-- drawbridge:ignore` that silences nothing",
			Why:     "Whoever reads it believes that something was looked at and found right.",
			Instead: "Take it out, or put it on the line before the statement: -- drawbridge:ignore RULE reason.",
		},
		{
			Name: ignoreWithoutReason, Of: Migrations, Severity: Warning,
			Sees:    "a `-- drawbridge:ignore RULE` without a reason; it silences nothing then",
			Why:     "Whoever reviews it has nothing to judge.",
			Instead: "Say why it is safe here: -- drawbridge:ignore RULE reason.",
		},
	}
}
