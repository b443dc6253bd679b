package migrate

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/gate"
)

// Text renders a plan for a terminal: what becomes of the table, the steps phase by phase with their locks, and what is in the way.
func Text(p Plan, e Estimate) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	field := func(label string, lines ...string) {
		for i, line := range lines {
			if i > 0 {
				label = ""
			}
			say("%-9s %s", label, line)
		}
	}
	m := p.Migration
	say("%s   %s.%s in %s   plan %s", m.Name, shown(p.Schema), shown(m.Table), oneLine(p.Environment), gate.Short(Digest(p)))
	field("WHY", oneLine(m.Why))
	field("RELEASE", oneLine(p.Release.String()))
	var changes []string
	for _, o := range m.Operations {
		changes = append(changes, p.change(o))
	}
	field("CHANGES", changes...)
	field("SIZE", sizeText(e)+"; "+tookText(e.Took)+" of work")
	for _, phase := range Phases() {
		lines := append(p.stepLines(phase), p.otherLines(phase)...)
		if len(lines) == 0 {
			continue
		}
		say("\n%s   %s", strings.ReplaceAll(string(phase), "_", " "), p.phaseWords(phase))
		for _, line := range lines {
			say("  %s", line)
		}
	}
	b.WriteString("\n")
	field("WARNINGS", p.Warnings...)
	field("RISKS", p.riskLines()...)
	var blocking []string
	for _, r := range p.Blocking {
		line := fmt.Sprintf("%s %s of %s reads %s", r.Kind, shown(r.Name), shown(r.Owner), shown(r.Column))
		if to := m.Instead(r.Column); to != "" {
			line += ": make it anew over " + shown(to) + " after the switch"
		}
		blocking = append(blocking, line)
	}
	field("BLOCKS", blocking...)
	field("UNDO", "until contract every step is taken back, in the other order")
	if len(p.Of(Contract)) > 0 {
		field("NO WAY", "back from the first step of contract on; it asks before")
	}
	return b.String()
}

// riskLines are what could go wrong, or who may notice, phase by phase; each of them once.
func (p Plan) riskLines() []string {
	var lines []string
	for _, s := range p.Steps {
		line := strings.ReplaceAll(string(s.Phase), "_", " ") + ": " + s.Risk
		if s.Risk != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// stepLines are the steps of a phase, in order. What is done to one partition after the other is one line.
func (p Plan) stepLines(phase Phase) []string {
	var lines []string
	line := map[string]int{} // of the first of those that do the same
	more := map[int]int{}
	for _, s := range p.Of(phase) {
		if s.Only != "" && s.Only != p.Migration.Table {
			same := strings.TrimSuffix(s.ID, slug(s.Only)) + " " + s.lockText()
			if first, again := line[same]; again {
				more[first]++
				continue
			}
			line[same] = len(lines)
		}
		lines = append(lines, fmt.Sprintf("%-34s %s [%s]", s.ID, s.Title, s.lockText()))
	}
	for i, n := range more {
		lines[i] += fmt.Sprintf("; and so for %s", countText(n, "more partition"))
	}
	return lines
}

func countText(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// nothing says that there is nothing to do in a phase.
func (p Plan) nothing(phase Phase) bool { return len(p.Of(phase))+len(p.otherLines(phase)) == 0 }

// otherLines are what is done in a phase beside its steps.
func (p Plan) otherLines(phase Phase) []string {
	lines := p.releaseLines(phase)
	switch phase {
	case Backfill:
		if p.Filling != nil {
			for _, a := range p.Filling.Set {
				lines = append(lines, fmt.Sprintf("%s = %s", shown(a.Column), oneLine(a.Expression)))
			}
		}
	case Verify:
		for _, proof := range p.Proofs {
			lines = append(lines, oneLine(proof.Name))
		}
	case Deprecating:
		lines = append(lines, p.waitLines()...)
	default: // has steps only
	}
	return lines
}

// waitLines are what contract waits for.
func (p Plan) waitLines() []string {
	if len(p.Of(Contract)) == 0 {
		return nil
	}
	d := p.Migration.Deprecate
	lines := []string{"at the least: " + durationText(d.Window)}
	if b := p.Brownout; b != nil {
		lines = append(lines, "a brownout: "+b.Refuses())
	}
	for _, c := range p.Migration.Consumers {
		if c.MustAck {
			lines = append(lines, oneLine(c.Name)+" has to acknowledge")
		}
	}
	return lines
}

func shownAll(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = shown(name)
	}
	return strings.Join(all, ", ")
}
