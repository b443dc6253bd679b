package console

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/check"
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
	// Unsized are tables of which nobody could say how large they are, where that was asked.
	Unsized []string `json:"unsized,omitempty"`
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
	if more := l.Counts[lint.Error] + l.Counts[lint.Warning] + l.Counts[lint.Note] - len(l.Findings); more > 0 {
		p.line("%d more were found, and are not listed.", more)
	}
	if len(l.Findings)+len(l.Problems) == 0 {
		p.line("%s nothing was found in %s.", s.ok(true), counted(l.Files, "file"))
		return p.String()
	}
	if len(l.Unsized) > 0 {
		p.hang("", "", inkf("The schema of the warehouse has no table %s: what is found there is as grave as on a large one.", strings.Join(l.Unsized, ", ")))
	}
	unread := ""
	if n := len(l.Problems); n > 0 {
		unread = fmt.Sprintf("; %s not read", counted(n, "place"))
	}
	others := " and " + counted(l.Counts[lint.Warning], "warning")
	if n := l.Counts[lint.Note]; n > 0 {
		others = ", " + counted(l.Counts[lint.Warning], "warning") + " and " + counted(n, "note")
	}
	p.line("%s%s in %s%s.", counted(l.Counts[lint.Error], "error"), others, counted(l.Files, "file"), unread)
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
	switch f.Severity {
	case lint.Warning:
		severity = p.yellow(f.Severity)
	case lint.Note:
		severity = p.dim(f.Severity)
	case lint.Error:
	}
	p.line("%s %s %s", p.bold(place(f.File, f.Line, f.Column)), severity, f.Rule)
	p.hang("  ", "  ", inkf("%s", f.Text))
	if f.Weight != nil {
		p.hang("  ", "  ", inkf("%s", weight(*f.Weight)))
	}
	p.hang("  → ", "    ", inkf("%s", f.Instead))
}

// weight is how large a table is, and for how long others wait.
func weight(w lint.Weight) string {
	rows := ""
	if w.Rows >= 0 {
		rows = "about " + check.FormatCount(w.Rows) + " rows, "
	}
	const kilobyte, megabyte = 1_000, 1_000_000
	size := check.FormatCount((w.Bytes+kilobyte-1)/kilobyte) + " kB"
	if w.Bytes >= 10*megabyte {
		size = check.FormatCount(w.Bytes/megabyte) + " MB"
	}
	took := "less than half a second"
	switch {
	case w.Bytes <= lint.Small:
	case w.Seconds < 120:
		took = fmt.Sprintf("about %.0f seconds", max(1, w.Seconds))
	case w.Seconds < 2*60*60:
		took = fmt.Sprintf("about %.0f minutes", w.Seconds/60)
	default:
		took = fmt.Sprintf("about %.0f hours", w.Seconds/60/60)
	}
	return fmt.Sprintf("%s has %s%s: that takes %s.", w.Table, rows, size, took)
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
