package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/gate"
	"drawbridge/internal/markup"
)

// MaxMarkdown bounds MarkdownBounded: what the Web UI shows of a workflow's details, and a comment of a code review.
const MaxMarkdown = 20_000

// Markdown renders the change document for reviewers: what and why, impact, risks, sequence, smoke, canary, monitoring,
// rollback and approvals.
func Markdown(p Plan) string { return markdown(p, math.MaxInt, math.MaxInt) }

// MarkdownBounded is Markdown within MaxMarkdown bytes: long lists and texts are cut short, and show it.
func MarkdownBounded(p Plan) string {
	text := markdown(p, math.MaxInt, math.MaxInt)
	for _, entries := range []int{50, 20, 8, 3, 1} {
		if len(text) <= MaxMarkdown {
			return text
		}
		text = markdown(p, entries, boundedText)
	}
	if len(text) <= MaxMarkdown {
		return text
	}
	note := fmt.Sprintf("\n_Cut short. All of it: %s_\n", markup.Code(cut(planCommand(p), boundedText)+" --format md"))
	text = cut(text, MaxMarkdown-len(note))
	return text[:strings.LastIndexByte(text, '\n')+1] + note
}

// boundedText is how many bytes one text of a bounded document may have.
const boundedText = 400

// document writes Markdown whose lists and texts are bounded.
type document struct {
	strings.Builder
	plan    Plan
	entries int // of a list
	bytes   int // of an entry, and of the description
}

func markdown(p Plan, entries, bytes int) string {
	d := &document{plan: p, entries: entries, bytes: bytes}
	d.head()
	d.impact()
	d.risks()
	d.sequence()
	d.trials()
	d.monitoring()
	d.rollback()
	d.approvals()
	return d.String()
}

func (d *document) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// list writes a list, and under it how many entries it leaves out.
func (d *document) list(texts []string, none string) {
	if len(texts) == 0 {
		texts = []string{none}
	}
	for i, t := range texts {
		if i == d.entries {
			d.line("- … and %s more", check.FormatCount(int64(len(texts)-i)))
			break
		}
		d.line("- %s", cut(t, d.bytes))
	}
}

// table writes a table with a row for each environment.
func (d *document) table(columns []string, row func(Environment) []string) {
	d.line("| %s |", strings.Join(columns, " | "))
	d.line("|%s", strings.Repeat(" --- |", len(columns)))
	for _, e := range d.plan.Environments {
		cells := row(e)
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		d.line("| %s |", strings.Join(cells, " | "))
	}
	d.line("")
}

func (d *document) head() {
	p := d.plan
	names := make([]string, len(p.Environments))
	for i, e := range p.Environments {
		names[i] = markup.Text(e.Name)
	}
	d.line("# %s %s: %s\n", markup.Text(p.Release.Pipeline), markup.Text(p.Release.Version), strings.Join(names, " → "))
	if n := len(p.Blocking()); n > 0 {
		d.line("**This plan cannot be deployed: %s.** They are under Risks.\n", verb(n, "problem", "refuses it", "refuse it"))
	}
	d.line("## What and why\n")
	if p.Description != "" {
		d.line("%s\n", cut(markup.Text(p.Description), d.bytes))
	}
	d.line("- Plan: %s. Approvals and deployments name this digest.", markup.Code(p.Digest))
	d.line("- Release: %s %s, %s", markup.Text(p.Release.Pipeline), markup.Text(p.Release.Version), markup.Code(p.Release.Digest))
	d.line("- Owner: %s", cut(markup.Text(p.Owner), d.bytes))
	d.line("- Scope: rebuild %s, and always the canary partitions and those without a live generation\n", rebuildText(p.Rebuild))
}

func (d *document) impact() {
	d.line("## Impact\n")
	d.table([]string{"Environment", "Release", "Schema", "Builds", "Estimate", "Readers and runs"}, func(e Environment) []string {
		return []string{
			markup.Text(e.Name), markup.Text(versionText(e.Active)) + " → " + markup.Text(d.plan.Release.Version), markup.Code(e.Schema),
			fmt.Sprintf("%s in %s", count(Partitions(e.Slices), "partition"), count(transactions(e), "transaction")),
			estimateText(e.Shown) + pauseText(e.Shown), markup.Text(impactText(e)),
		}
	})
	for _, e := range d.plan.Environments {
		if text := writeText(e); text != "" {
			d.line("Rows in %s: %s.\n", markup.Text(e.Name), markup.Text(text))
		}
		d.line("Schema in %s:\n", markup.Text(e.Name))
		var texts []string
		for _, c := range e.Changes {
			texts = append(texts, fmt.Sprintf("%s: %s", markup.Code(c.Table), markup.Text(changeText(c))))
		}
		d.list(texts, "no output")
		d.line("")
	}
}

func (d *document) risks() {
	d.line("## Risks\n")
	var texts []string
	for _, e := range d.plan.Environments {
		for _, p := range blockingFirst(e.Problems) {
			weight := "risk"
			if p.Blocking {
				weight = "**refused**"
			}
			texts = append(texts, fmt.Sprintf("%s, %s, %s (%s): %s. To do: %s",
				weight, markup.Text(e.Name), markup.Code(p.Object), markup.Text(p.Rule), markup.Text(p.Text), markup.Text(p.Remedy)))
		}
	}
	d.list(texts, "Preflight found no problem. What is not found before publishing is what smoke, canary and watch are for.")
	d.line("")
}

func (d *document) sequence() {
	d.line("## Sequence\n")
	d.line("A failed step, a breach, a rejection or an abort turns back what the deployment did in that environment.\n")
	for _, e := range d.plan.Environments {
		d.line("### %s\n", markup.Text(e.Name))
		for i, s := range e.Steps {
			d.line("%d. **%s**: %s", i+1, s.ID, markup.Text(s.Title))
		}
		d.line("")
		if len(e.Slices) == 0 {
			continue
		}
		each := "transaction"
		if len(e.Cutover.Slices) > 0 {
			each = "slice"
		}
		d.line("<details><summary>Partitions of each %s</summary>\n", each)
		var texts []string
		for i, s := range e.Slices {
			from := ""
			if s.Reused {
				from = ", the canary's"
			}
			texts = append(texts, fmt.Sprintf("%d%s: %s", i+1, from, markup.Text(sliceText(s))))
		}
		d.list(texts, "")
		d.line("\n</details>\n")
	}
}

func (d *document) trials() {
	d.line("## Smoke\n")
	d.line("Built and audited aside; nothing is published unless the checks pass, here and in every later build.\n")
	d.table([]string{"Environment", "Partitions", "Within"}, func(e Environment) []string {
		return []string{markup.Text(e.Name), markup.Text(keysText(e.Smoke)), durationText(e.SmokeMax)}
	})
	d.perEnvironment("Checks", func(e Environment) []string { return e.Checks }, "no check: the gate will be inconclusive, and ask")
	d.line("## Canary\n")
	d.line("The candidate is compared with the live generation of the same partition, within the budgets.\n")
	d.table([]string{"Environment", "Partitions"}, func(e Environment) []string {
		return []string{markup.Text(e.Name), markup.Text(keysText(e.Canary))}
	})
	d.perEnvironment("Budgets", func(e Environment) []string { return e.Budgets }, "no budget")
}

func (d *document) monitoring() {
	d.line("## Monitoring\n")
	d.table([]string{"Environment", "Watched for", "Every", "Late after", "On a breach"}, func(e Environment) []string {
		if e.Watch.For == 0 {
			return []string{markup.Text(e.Name), "not watched", "", "", ""}
		}
		late := "not watched"
		if e.Watch.Freshness > 0 {
			late = durationText(e.Watch.Freshness) + " (alerts and asks)"
		}
		return []string{markup.Text(e.Name), durationText(e.Watch.For), durationText(e.Watch.Every), late, breachText(e.Watch.OnBreach)}
	})
	d.perEnvironment("Watch checks", func(e Environment) []string { return e.Watch.Checks }, "no check over the published tables")
	if slices.ContainsFunc(d.plan.Environments, func(e Environment) bool { return len(schedulesText(e)) > 0 }) {
		d.perEnvironment("Schedule", schedulesText, scheduleText(""))
	}
}

func (d *document) rollback() {
	d.line("## Rollback\n")
	d.table([]string{"Environment", "Back to", "Until", "By hand"}, func(e Environment) []string {
		return []string{
			markup.Text(e.Name), markup.Text(versionText(e.Rollback.To)), durationText(e.Rollback.Horizon) + " after the publish",
			markup.Code(fmt.Sprintf("drawbridge rollback %s --env %s --reason TEXT", d.plan.Release.Pipeline, e.Name)),
		}
	})
	d.perEnvironment("Steps", func(e Environment) []string { return e.Rollback.Steps }, "")
}

func (d *document) approvals() {
	d.line("## Approvals\n")
	d.table([]string{"Environment", "Rule", "Needs first"}, func(e Environment) []string {
		rule := "none"
		if e.Approval.Required {
			rule = approvalText(e.Approval)
		}
		needs := "nothing"
		if len(e.Requires) > 0 {
			needs = "passed " + strings.Join(e.Requires, ", ")
		}
		return []string{markup.Text(e.Name), markup.Text(rule), markup.Text(needs)}
	})
	d.line("Each approval names plan %s.", markup.Code(gate.Short(d.plan.Digest)))
}

// perEnvironment writes one list where all environments have the same, and one for each where they differ.
func (d *document) perEnvironment(title string, of func(Environment) []string, none string) {
	environments := d.plan.Environments
	same := !slices.ContainsFunc(environments, func(e Environment) bool { return !slices.Equal(of(e), of(environments[0])) })
	for i, e := range environments {
		switch {
		case !same:
			d.line("%s in %s:\n", title, markup.Text(e.Name))
		case i == 0:
			d.line("%s:\n", title)
		default:
			return
		}
		texts := slices.Clone(of(e))
		for j := range texts {
			texts[j] = markup.Text(texts[j])
		}
		d.list(texts, none)
		d.line("")
	}
}
