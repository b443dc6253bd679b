package lint

import (
	"fmt"
	"slices"
)

// Severity is how much a finding matters.
type Severity string

// The severities, the gravest first.
const (
	Error   Severity = "error"   // it fails, stops others, or loses what they rely on
	Warning Severity = "warning" // it may
	// Note is what would be grave if the table were not small. It never fails.
	Note Severity = "note"
)

// Severities lists those that may fail a file, the gravest first.
func Severities() []Severity { return []Severity{Error, Warning} }

// Reaches says that something is as grave as least, or graver.
func (s Severity) Reaches(least Severity) bool {
	return slices.Index(Severities(), s) <= slices.Index(Severities(), least)
}

// Subject is what a rule reads.
type Subject string

// The subjects.
const (
	Migrations Subject = "migration" // statements that change a database, a file of them
	Queries    Subject = "query"     // the SELECT of an output
)

// Rule is one thing that is looked for.
type Rule struct {
	// Name is Squawk's where it has such a rule.
	Name string `json:"name"`
	// Alias is the name of the same check of strong_migrations, where it has one.
	Alias    string   `json:"alias,omitempty"`
	Of       Subject  `json:"of"`
	Severity Severity `json:"severity"`
	// Cost is what takes longer the larger the table is, where nothing else is dangerous about it.
	Cost Cost `json:"cost,omitempty"`
	// Sees is what it finds, as the object of a sentence.
	Sees string `json:"sees"`
	// Why is a sentence: which lock is taken and who waits for it, or what is lost.
	Why string `json:"why"`
	// Instead is what to write, as a sentence or several.
	Instead string `json:"instead"`

	find func(*look)
}

// Rules is the registry, in the order in which people read it.
func Rules() []Rule {
	return slices.Concat(columnRules(), constraintRules(), indexRules(), storageRules(), nameRules(), removalRules(), transactionRules(), queryRules(), ignoreRules())
}

// Finding is a rule that a place breaks. Texts hold names of the file, never rows.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`    // what stands there, and why it is dangerous
	Instead  string   `json:"instead"` // what to write
	// Table is the one whose size says how grave it is, and Schema where the file says that it is; else both are empty.
	Schema string `json:"schema,omitempty"`
	Table  string `json:"table,omitempty"`
	// Weight is how large that is, where it was asked.
	Weight *Weight `json:"weight,omitempty"`
}

// Report is what was found in a file.
type Report struct {
	Findings []Finding `json:"findings"` // the first maxFindings
	// Counts counts all that was found.
	Counts map[Severity]int `json:"counts"`
	// Problems are what was not looked at, and why.
	Problems []Problem `json:"problems,omitempty"`
}

// maxFindings bounds what one file is told.
const maxFindings = 500

// look is a rule that looks at one statement.
type look struct {
	rule Rule
	src  *source
	statement
	done  *done       // what the statements before it did
	all   []statement // of the file
	index int         // of the statement in all
	// found takes what is found.
	found func(Finding)
}

// say records a finding at a place of the statement.
func (l *look) say(at int, format string, args ...any) {
	l.sayOf(table{}, at, format, args...)
}

// sayOf records a finding that is as grave as the table is large.
func (l *look) sayOf(of table, at int, format string, args ...any) {
	if of.name != "" && l.done.moves(of) {
		of = table{}
	}
	f := Finding{Schema: of.schema, Table: of.name, File: l.src.file, Rule: l.rule.Name, Severity: l.rule.Severity, Instead: l.rule.Instead}
	f.Line, f.Column = l.src.place(min(l.start+at, len(l.src.text)))
	f.Text = fmt.Sprintf(format, args...) + ". " + l.rule.Why
	l.found(f)
}

// sorted puts findings into the order of the file, and bounds their number.
func (r *Report) sorted() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	r.Counts = map[Severity]int{}
	for _, f := range r.Findings {
		r.Counts[f.Severity]++
	}
	r.Findings = r.Findings[:min(len(r.Findings), maxFindings)]
}

// named finds a rule by its name or its alias.
func named(name string) (Rule, bool) {
	all := Rules()
	i := slices.IndexFunc(all, func(r Rule) bool { return r.Name == name || r.Alias != "" && r.Alias == name })
	if i < 0 {
		return Rule{}, false
	}
	return all[i], true
}
