package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/generation"
	"drawbridge/internal/lint"
)

// Place is what a question is about: a pipeline in an environment, and of it perhaps one partition of an output.
type Place struct {
	Pipeline, Environment, Output, Partition string
}

func (pl Place) flags() string {
	text := word(pl.Pipeline) + " --env " + word(pl.Environment)
	if pl.Output != "" {
		text += " --output " + word(pl.Output)
	}
	if pl.Partition != "" {
		text += " --partition " + word(pl.Partition)
	}
	return text
}

// History is what readers of an environment saw change, newest first.
func (s Screen) History(at Place, h generation.History) string {
	p := s.page()
	active := "nothing is active"
	if h.Active != nil {
		active = fmt.Sprintf("%s is active, tenure %d", h.Active.Release.Version, h.Active.Number)
	}
	if h.Horizon != nil {
		active += "; it can go back until " + s.clock(*h.Horizon, "2006-01-02 15:04")
	}
	p.line("%s in %s: %s", s.bold(at.Pipeline), at.Environment, active)
	rows := make([][]any, len(h.Events))
	for i, x := range h.Events {
		rows[i] = []any{s.clock(x.At, "2006-01-02 15:04:05"), x.Kind, x.Release.Version, x.Text, x.Workflow, x.By}
	}
	p.table("", rows...)
	for _, b := range h.Pending {
		p.line("pending: batch %s was taken away with generation %d; run it again to append it", b, b.Generation)
	}
	p.blank()
	p.next("drawbridge rollback " + at.flags() + " --dry-run --reason TEXT")
	return p.String()
}

// Generations lists what was built for one partition, newest first.
func (s Screen) Generations(at Place, all []generation.Generation) string {
	p := s.page()
	p.line("%s[%s] of %s in %s", s.bold(at.Output), at.Partition, at.Pipeline, at.Environment)
	rows := [][]any{{"GENERATION", "STATE", "RELEASE", "ROWS", "SINCE", ""}}
	for _, g := range all {
		rows = append(rows, []any{g.ID, g.State, g.Release.Version, check.FormatCount(g.Rows), s.clock(g.At, "2006-01-02 15:04:05"), g.NotReattachable})
	}
	p.table("", rows...)
	p.blank()
	p.next("drawbridge diff "+at.flags(), backward(at, all))
	return p.String()
}

// backward is the command that turns one partition back, by a number, which goes to whatever is kept: to what was built last before
// what is live, else to what went back or was taken away, or to nothing where nothing else is kept.
func backward(at Place, all []generation.Generation) string {
	var live, older, newest int64
	for _, g := range all {
		kept := g.State == generation.Retired && g.NotReattachable == ""
		switch {
		case g.State == generation.Live:
			live = g.ID
		case kept && newest == 0:
			newest = g.ID
		}
		if kept && live != 0 && older == 0 {
			older = g.ID
		}
	}
	to := strconv.FormatInt(cmp.Or(older, newest), 10)
	if newest == 0 {
		at.Output, to = "", "nothing"
	}
	return "drawbridge rollback " + at.flags() + " --to " + to + " --reason TEXT"
}

// Diff is what lies between two generations: counts and metrics, never a row's values.
func (s Screen) Diff(at Place, d canary.Diff) string {
	p := s.page()
	p.line("%s[%s] of %s in %s, compared with the %s", s.bold(at.Output), at.Partition, at.Pipeline, at.Environment, d.Baseline)
	rows := [][]any{{"rows", check.FormatCount(d.BaselineRows), "→ " + check.FormatCount(d.CandidateRows)}}
	add := func(cells ...any) { rows = append(rows, cells) }
	switch {
	case d.Identical:
		add("content", "identical")
	case d.Mode == canary.Keyed:
		add("keys", check.FormatCount(d.RemovedKeys)+" removed", check.FormatCount(d.AddedKeys)+" added")
		add("rows of both", check.FormatCount(d.CommonRows), check.FormatCount(d.ChangedRows)+" changed")
	default:
		add("rows", check.FormatCount(d.RemovedKeys)+" removed", check.FormatCount(d.AddedKeys)+" added")
	}
	for _, c := range slices.Sorted(maps.Keys(d.Changed)) {
		if d.Changed[c] > 0 {
			add("column "+c, check.FormatCount(d.Changed[c])+" rows changed", check.FormatPercent(check.Share(d.Changed[c], d.CommonRows)))
		}
	}
	for _, c := range d.AddedColumns {
		add("column "+c, "added")
	}
	for _, c := range d.RemovedColumns {
		add("column "+c, "gone")
	}
	for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
		add("metric "+name, number(d.Metrics[name].Baseline), "→ "+number(d.Metrics[name].Candidate))
	}
	p.table("", rows...)
	if d.RepeatedKeys {
		p.line("%s", s.red("A key has several rows, so rows could not be paired: the counts mean nothing."))
	}
	p.blank()
	p.next("drawbridge history " + at.flags())
	return p.String()
}

func number(v *float64) string {
	if v == nil {
		return "none"
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

// Sum is the answer of checksum.
type Sum struct {
	Pipeline    string `json:"pipeline"`
	Environment string `json:"environment"`
	Output      string `json:"output"`
	Rows        int64  `json:"rows"`
	Checksum    string `json:"checksum"`
}

// Sum shows the rows and the checksum of a published table.
func (s Screen) Sum(sum Sum) string {
	p := s.page()
	p.line("%s in %s: %s rows, checksum %s", sum.Output, sum.Environment, check.FormatCount(sum.Rows), sum.Checksum)
	p.next("drawbridge history " + Place{Pipeline: sum.Pipeline, Environment: sum.Environment}.flags())
	return p.String()
}

// Diagnosis is a doctor's list: a line each, with its remedy.
func (s Screen) Diagnosis(lines []activities.Checked) string {
	p := s.page()
	width := 0
	for _, l := range lines {
		width = max(width, len([]rune(l.Subject)))
	}
	wrong := false
	for _, l := range lines {
		p.hang("", "  ", inkf("%s %-*s  %s", s.ok(l.OK), width, l.Subject, l.Text))
		if !l.OK {
			wrong = true
			p.hint("  ", l.Remedy)
		}
	}
	p.blank()
	if wrong {
		p.next("do what the arrows say, then: drawbridge doctor")
	} else {
		p.next("drawbridge status")
	}
	return p.String()
}

// Report is the answer of validate.
type Report struct {
	Environment string                  `json:"environment,omitempty"`
	Lines       []activities.Validation `json:"lines"`
	// Warnings are what is often wrong in the SELECTs of outputs, and no failure.
	Warnings  []lint.Finding `json:"warnings,omitempty"`
	Unchecked []string       `json:"unchecked,omitempty"`
}

// Failures counts the lines that are not right.
func (r Report) Failures() int { return activities.ValidateResult{Lines: r.Lines}.Failures() }

// Validation shows what was checked of a folder or a release, arg.
func (s Screen) Validation(arg string, r Report) string {
	p := s.page()
	for _, l := range r.Lines {
		p.hang("", "  ", inkf("%s %s: %s", s.ok(l.OK), l.Subject, cmp.Or(l.Text, "ok")))
		if l.Hint != "" {
			p.hint("  ", l.Hint)
		}
	}
	for _, f := range r.Warnings {
		p.hang("", "  ", inkf("%s %s: %s: %s", s.yellow("!"), place(f.File, f.Line, f.Column), f.Rule, f.Text))
		p.hint("  ", f.Instead)
	}
	for _, u := range r.Unchecked {
		p.line("%s not checked: %s", s.dim("–"), u)
	}
	p.blank()
	if len(r.Warnings) > 0 {
		p.line("%s. Where it is right as it is, the output says why: lint: {RULE: reason}.", counted(len(r.Warnings), "warning"))
	}
	switch failed := r.Failures(); {
	case failed > 0:
		p.line("%d of %d checks are not right.", failed, len(r.Lines))
		p.next("mend it, then: drawbridge validate " + word(arg))
	case len(r.Unchecked) > 0:
		p.next("drawbridge validate " + word(arg) + " --env dev")
	default:
		p.next("drawbridge plan " + word(arg) + " --to " + word(r.Environment))
	}
	return p.String()
}
