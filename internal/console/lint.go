package console

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/lint"
)

// Lint is the answer of lint-migration.
type Lint struct {
	Args     []string       `json:"-"` // what was asked for, also by flags
	Severity lint.Severity  `json:"-"` // what fails
	Files    int            `json:"files"`
	Findings []lint.Finding `json:"findings"`
	// Counts counts all that was found, also what is not listed.
	Counts   map[lint.Severity]int `json:"counts"`
	Problems []lint.Problem        `json:"problems,omitempty"`
}

// Fails says that something was found that is as grave as what fails, or graver.
func (l Lint) Fails() bool {
	return slices.ContainsFunc(lint.Severities(), func(found lint.Severity) bool { return l.Counts[found] > 0 && found.Reaches(l.Severity) })
}

// Lint shows what was found in migrations.
func (s Screen) Lint(l Lint) string {
	p := s.page()
	for _, x := range l.Problems {
		p.line("%s %s", s.bold(place(x.File, x.Line, x.Column)), s.red("not read"))
		p.hang("  ", "  ", inkf("%s", x.Text))
		p.hint("  ", x.Hint)
	}
	for _, f := range l.Findings {
		p.finding(f)
	}
	if len(l.Findings)+len(l.Problems) > 0 {
		p.blank()
	}
	if more := l.Counts[lint.Error] + l.Counts[lint.Warning] - len(l.Findings); more > 0 {
		p.line("%d more were found, and are not listed.", more)
	}
	if len(l.Findings)+len(l.Problems) == 0 {
		p.line("%s nothing was found in %s.", s.ok(true), counted(l.Files, "file"))
		return p.String()
	}
	unread := ""
	if n := len(l.Problems); n > 0 {
		unread = fmt.Sprintf("; %s not read", counted(n, "place"))
	}
	p.line("%s and %s in %s%s.", counted(l.Counts[lint.Error], "error"), counted(l.Counts[lint.Warning], "warning"), counted(l.Files, "file"), unread)
	args := make([]string, len(l.Args))
	for i, a := range l.Args {
		args[i] = word(a)
	}
	again := "drawbridge lint-migration " + strings.Join(args, " ")
	if l.Fails() || len(l.Problems) > 0 {
		p.next("mend it, then: " + again)
		return p.String()
	}
	p.line("Nothing fails: warnings may stay. Where one is right as it is, the line before it says why: -- drawbridge:ignore RULE reason.")
	p.next("where warnings are to fail: " + again + " --severity " + string(lint.Warning))
	return p.String()
}

// finding is a place, what stands there, and what to write.
func (p *page) finding(f lint.Finding) {
	severity := p.red(f.Severity)
	if f.Severity == lint.Warning {
		severity = p.yellow(f.Severity)
	}
	p.line("%s %s %s", p.bold(place(f.File, f.Line, f.Column)), severity, f.Rule)
	p.hang("  ", "  ", inkf("%s", f.Text))
	p.hang("  → ", "    ", inkf("%s", f.Instead))
}

// LintRules lists rules.
func (s Screen) LintRules(all []lint.Rule) string {
	p := s.page()
	for _, r := range all {
		about := ink("")
		if r.Alias != "" {
			about = s.dim(", strong_migrations: " + r.Alias)
		}
		p.line("%s (%s of a %s%s)", s.bold(r.Name), r.Severity, r.Of, about)
		p.hang("  ", "  ", inkf("%s", strings.ReplaceAll(r.Sees, "`", "")+". "+r.Why))
		p.hang("  → ", "    ", inkf("%s", r.Instead))
	}
	return p.String()
}

// place is where something stands in a file, as editors read it.
func place(file string, line, column int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d:%d", file, line, column)
}

// counted is how many of a thing there are.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
