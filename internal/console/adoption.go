package console

import (
	"fmt"
	"strings"

	"drawbridge/activities"
	"drawbridge/internal/check"
)

// Adopted is the answer of adopt and of release-table.
type Adopted struct {
	Environment string `json:"environment"`
	activities.Adopted
	// Again is the command that does what was planned, or goes on with it.
	Again string `json:"again,omitempty"`
}

// adoptedShown bounds how many things of a kind a screen names; --json has all of them.
const adoptedShown = 12

// Adopted says what is done with a table, what keeps it from being done, and what became of it.
func (s Screen) Adopted(a Adopted) string {
	p, plan := s.page(), a.Plan
	name := s.bold(plan.Schema + "." + plan.Output)
	p.line("%s in %s: %s", name, a.Environment, a.headline())
	list := func(label ink, texts []string) {
		for i, text := range texts {
			if i == adoptedShown {
				p.line("  and %d more; --json has all", len(texts)-i)
				return
			}
			p.line("  %s %s", label, text)
		}
	}
	for _, r := range plan.Refusals[:min(len(plan.Refusals), adoptedShown)] {
		p.line("%s %s", s.red("✘"), r.Text)
		p.hint("  ", r.Remedy)
	}
	if len(plan.Refusals) == 0 && !plan.Adopted {
		for i, step := range plan.Steps {
			p.line("%d. %s (%s)", i+1, step.Text, step.Lock)
		}
		list("reads it:", plan.Views)
		list("stays with these rows, and nothing has it that is built later:", plan.Stays)
	}
	for _, b := range a.Result.Blocked {
		p.line("%s %s holds it: %s", s.yellow("!"), b.Name(), b.State)
	}
	if a.Result.Done {
		p.line("%s done: readers waited for %.0f ms at most; %s", s.green("✔"), a.Result.HoldMS, viewsRead(a.Result.Views))
	}
	p.blank()
	if a.Again != "" {
		p.next(a.Again)
	}
	return p.String()
}

func viewsRead(n int) string {
	if n == 1 {
		return "1 view reads what has its name now"
	}
	return fmt.Sprintf("%d views read what has its name now", n)
}

// headline is what it is about, in a sentence.
func (a Adopted) headline() string {
	plan := a.Plan
	size := fmt.Sprintf("about %s rows, %s", check.FormatCount(plan.Rows), check.FormatBytes(plan.Bytes))
	var is string
	switch {
	case len(plan.Refusals) > 0:
		return "refused, as it is"
	case plan.Adopted:
		is = "adopted already"
	case plan.Release && a.Result.Done:
		return "given back, as a plain table"
	case plan.Release:
		return "is given back: " + size
	case a.Result.Done:
		is = "adopted"
	default:
		is = "is adopted: " + size
	}
	if plan.First != "" {
		is += "; built from " + string(plan.First) + " on, and what is before that is one legacy partition"
	}
	return strings.TrimSpace(is)
}
