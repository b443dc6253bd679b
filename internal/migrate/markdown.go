package migrate

import (
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/markup"
)

// Markdown is the change document of a plan, to be put into a pull request: what and why, risks, every step with its lock and SQL, who
// is told what, the deprecation's timeline, the way back from every phase, and the point of no return.
func Markdown(p Plan, e Estimate) string {
	d := &document{plan: p}
	d.head(e)
	d.risks()
	d.sequence()
	d.timeline()
	d.told()
	d.rollback()
	return d.String()
}

// document writes Markdown.
type document struct {
	strings.Builder
	plan Plan
	now  time.Time
}

func (d *document) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *document) list(texts []string, none string) {
	if len(texts) == 0 {
		d.line("%s", none)
	}
	for _, t := range texts {
		d.line("- %s", markup.Text(oneLine(t)))
	}
	d.line("")
}

func (d *document) head(e Estimate) {
	p := d.plan
	d.line("# %s: %s in %s\n", markup.Text(p.Migration.Name), markup.Text(shown(p.Migration.Table)), markup.Text(p.Environment))
	d.line("## What and why\n")
	d.line("%s\n", markup.Text(oneLine(p.Migration.Why)))
	var changes []string
	for _, o := range p.Migration.Operations {
		changes = append(changes, p.change(o))
	}
	d.list(changes, "")
	d.line("| | |\n|---|---|")
	d.line("| table | %s |", markup.Cell(markup.Code(p.Schema+"."+p.Migration.Table)))
	d.line("| size | %s |", markup.Cell(sizeText(e)))
	d.line("| work | %s, beside what the steps wait for locks and for consumers |", tookText(e.Took))
	d.line("| release | %s, %s |", markup.Cell(markup.Text(p.Release.String())), markup.Cell(markup.Code(p.Release.Digest)))
	d.line("| plan | %s: approvals name it |\n", markup.Cell(markup.Code(Digest(p))))
}

func (d *document) risks() {
	d.line("## Risks\n")
	texts := append([]string(nil), d.plan.Warnings...)
	for _, r := range d.plan.Blocking {
		texts = append(texts, fmt.Sprintf("The %s %s of %s reads %s: contract waits until it does not.", r.Kind, shown(r.Name), shown(r.Owner), shown(r.Column)))
	}
	for _, s := range d.plan.Steps {
		if s.Risk != "" {
			texts = append(texts, fmt.Sprintf("%s (%s): %s", s.Title, s.Phase, s.Risk))
		}
	}
	d.list(texts, "None is known.")
}

func (d *document) sequence() {
	d.line("## Sequence\n")
	d.line("Each step is looked for, done, and looked for again. One that waits for a lock gives up after a moment and tries again, so that nobody waits behind it.\n")
	for _, phase := range Phases() {
		if d.plan.nothing(phase) {
			continue
		}
		d.line("### %s\n", phaseTitle(phase))
		d.line("%s\n", d.plan.phaseWords(phase))
		for _, s := range d.plan.Of(phase) {
			d.line("**%s** %s\n", markup.Text(s.ID), markup.Text(oneLine(s.Title)))
			d.line("%s\n", markup.Text(s.lockText()))
			if len(s.Act) > 0 {
				d.line("%s", markup.Block("sql", strings.Join(s.Act, ";\n")+";"))
			}
		}
		if rest := d.plan.otherLines(phase); len(rest) > 0 {
			d.list(rest, "")
		}
	}
}

func phaseTitle(phase Phase) string {
	words := strings.ReplaceAll(string(phase), "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

func (d *document) timeline() {
	d.line("## Deprecation\n")
	if len(d.plan.Of(Contract)) == 0 {
		d.line("Nothing is taken away: when it has switched, it is done.\n")
		return
	}
	wait := d.plan.Migration.Deprecate
	d.line("| when | what |\n|---|---|")
	d.line("| the migration begins | consumers are told |")
	d.line("| the switch | the new shape counts; the window begins |")
	if b := d.plan.Brownout; b != nil {
		d.line("| before contract, when those who must have acknowledged | a brownout: %s |", markup.Cell(markup.Text(b.Refuses())))
	}
	d.line("| %s after the switch, at the earliest | contract: approved by itself, when those who must have acknowledged and nobody is known to read what goes |\n", after(wait))
}

func after(d Deprecate) string {
	if d.Window == 0 {
		return "right"
	}
	return durationText(d.Window)
}

func (d *document) told() {
	d.line("## Who is told\n")
	consumers := d.plan.Migration.Consumers
	if len(consumers) == 0 {
		d.line("Nobody: the migration names no consumer.\n")
	}
	for _, c := range consumers {
		d.line("### %s\n", markup.Text(oneLine(c.Name)))
		d.notice(c, Standing{})
	}
}

// rollback says how it goes back from each phase: what was done is undone, last first.
func (d *document) rollback() {
	d.line("## Rollback\n")
	d.line("Whoever cancels goes back from where it is, step by step in the other order.\n")
	d.line("| in phase | what is undone first |\n|---|---|")
	undone := []Step{}
	for _, phase := range Phases() {
		if phase == Contract {
			break
		}
		undone = append(undone, d.plan.Of(phase)...)
		if d.plan.nothing(phase) {
			continue
		}
		last := "nothing was changed"
		if n := len(undone); n > 0 {
			last = fmt.Sprintf("%s, %d in all", undone[n-1].Title, n)
			if n == 1 {
				last = undone[0].Title
			}
		}
		d.line("| %s | %s |", strings.ReplaceAll(string(phase), "_", " "), markup.Cell(markup.Text(oneLine(last))))
	}
	d.line("")
	for _, s := range undone {
		d.line("%s", markup.Block("sql", "-- "+s.ID+"\n"+strings.Join(s.Undo, ";\n")+";"))
	}
	d.line("## Point of no return\n")
	if steps := d.plan.Of(Contract); len(steps) > 0 {
		d.line("The first step of contract: %s. It is approved by itself, and nothing is undone after it.", markup.Text(oneLine(steps[0].Title)))
		return
	}
	d.line("There is none: every step can be undone until the migration is done.")
}
