package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// view is a workflow as status shows it.
type view struct {
	ID string `json:"id"`
	workflows.Status
	Started *time.Time `json:"started,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
}

// stageAbandoned is the stage of a workflow that was ended from outside before it was finished. No workflow reports it:
// it is what the server says when the workflow cannot speak any more.
const stageAbandoned workflows.Stage = "abandoned"

// screenEvents bounds the story on a screen; --json has all that the workflow keeps.
const screenEvents = 8

// lastEvents are those that a screen shows.
func lastEvents(s workflows.Status) []workflows.Event {
	return s.Events[max(0, len(s.Events)-screenEvents):]
}

// showStatus is the screen of one workflow: what it is and why in the first lines, then the crossings as a tree, the open
// gate with its evidence or else the events, and what to type next.
func (a *app) showStatus(id string, s workflows.Status, events []workflows.Event) {
	st := a.style(a.Stdout)
	head := fmt.Sprintf("%s   %s   %s", st.bold(id), title(s), st.stage(s.Stage))
	if s.Environment != "" {
		head += " in " + s.Environment
	}
	if s.Step != "" && !over(s.Stage) {
		head += ", step " + s.Step
	}
	if s.Plan != "" {
		head += "   plan " + gate.Short(s.Plan)
	}
	fmt.Fprintln(a.Stdout, head)
	if s.Sentence != "" {
		fmt.Fprintln(a.Stdout, s.Sentence)
	}
	fmt.Fprintln(a.Stdout)
	a.showCrossings(s)
	for _, line := range s.RefusedDecisions {
		fmt.Fprintf(a.Stdout, "decision refused: %s\n", line)
	}
	open := false
	for _, g := range s.Gates {
		if g.Decided == "" && !over(s.Stage) {
			open = true
			a.showGate(id, g)
		}
	}
	if len(events) > 0 && !open {
		for _, e := range events {
			fmt.Fprintf(a.Stdout, "%s\n", st.dim(fmt.Sprintf("%s  %-9s %s", a.clock(e.At, "01-02 15:04:05"), e.Environment, e.Text)))
		}
		fmt.Fprintln(a.Stdout)
	}
	if !open {
		a.next(nextAfter(id, s)...)
	}
}

// over says that a workflow takes no decision any more.
func over(stage workflows.Stage) bool { return stage.Finished() || stage == stageAbandoned }

// showCrossings draws the environments of a deployment with the verdicts of their gates.
func (a *app) showCrossings(s workflows.Status) {
	if len(s.Crossings) == 0 {
		return
	}
	st := a.style(a.Stdout)
	for i, c := range s.Crossings {
		branch, stem := "├──", "│  "
		if i == len(s.Crossings)-1 {
			branch, stem = "└──", "   "
		}
		fmt.Fprintf(a.Stdout, "%s %s %-10s %s\n", branch, crossingGlyph(st, c.State), c.Environment, crossingText(a.Now(), c))
		for j, v := range c.Verdicts {
			twig := "├──"
			if j == len(c.Verdicts)-1 {
				twig = "└──"
			}
			fmt.Fprintf(a.Stdout, "%s %s %s %s: %s\n", stem, twig, st.outcome(v.Verdict.Outcome), v.Gate, v.Verdict.Reason)
			if v.Verdict.Outcome != gate.Pass {
				a.showEvidence(stem+"       ", v.Verdict.Evidence)
			}
		}
	}
	fmt.Fprintln(a.Stdout)
}

func crossingGlyph(st style, state string) string {
	switch state {
	case "live":
		return st.green("✔")
	case "crossing", "watching":
		return st.bold("⟳")
	case "turned_back", "refused":
		return st.red("✘")
	}
	return "·"
}

func crossingText(now time.Time, c workflows.Crossing) string {
	text := strings.ReplaceAll(c.State, "_", " ")
	if c.Step != "" && c.State == "crossing" {
		text += ", step " + c.Step
	}
	if c.SlicesDone > 0 && c.SlicesDone < c.Slices {
		text += fmt.Sprintf(", %d of %d steps published", c.SlicesDone, c.Slices)
	}
	if c.State == "watching" && c.WatchUntil != nil {
		text += fmt.Sprintf(" for another %s", c.WatchUntil.Sub(now).Round(time.Second))
	}
	return text
}

// showEvidence lists what did not pass, with the limit that it was held against.
func (a *app) showEvidence(indent string, evidence []gate.Evidence) {
	w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
	for _, e := range evidence {
		if e.Outcome == gate.Pass {
			continue
		}
		limit := ""
		if e.Limit != "" {
			limit = "limit " + e.Limit
		}
		fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\n", indent, e.Name, e.Value, limit, e.Note)
	}
	_ = w.Flush() // the writer below is the terminal's: nothing can be done about it
}

// showGate shows an open gate, and how to decide it.
func (a *app) showGate(id string, g gate.Gate) {
	st := a.style(a.Stdout)
	fmt.Fprintf(a.Stdout, "%s gate %s asks: %s\n", st.yellow("☐"), st.bold(g.Name), g.Question)
	if g.Verdict.Reason != "" {
		fmt.Fprintf(a.Stdout, "  %s %s\n", st.outcome(g.Verdict.Outcome), g.Verdict.Reason)
	}
	a.showEvidence("    ", g.Verdict.Evidence)
	for _, x := range g.Answers {
		fmt.Fprintf(a.Stdout, "  %s by %s: %s\n", x.Choice, x.By, x.Reason)
	}
	if rule := a.ruleText(g); rule != "" {
		fmt.Fprintf(a.Stdout, "  %s\n", rule)
	}
	fmt.Fprintln(a.Stdout)
	a.next(decideLines(id, g)...)
}

// ruleText says who has to decide, and until when.
func (a *app) ruleText(g gate.Gate) string {
	var parts []string
	if g.Rule.Quorum > 1 {
		parts = append(parts, fmt.Sprintf("%d people have to agree", g.Rule.Quorum))
	}
	if len(g.Rule.Approvers) > 0 {
		parts = append(parts, "approvers: "+strings.Join(g.Rule.Approvers, ", "))
	}
	if g.Rule.FourEyes {
		parts = append(parts, g.Requester+" asked, so somebody else approves")
	}
	if !g.Endless {
		parts = append(parts, "expires "+a.clock(g.Deadline(), "2006-01-02 15:04"))
	}
	return strings.Join(parts, "; ")
}

// decideLines are the commands that decide a gate, one per choice.
func decideLines(id string, g gate.Gate) []string {
	target := strings.TrimPrefix(id, "deploy/")
	lines := make([]string, len(g.Choices))
	for i, c := range g.Choices {
		verb := "decide"
		choice := " --choice " + string(c)
		if c == gate.Approve || c == gate.Reject {
			verb, choice = string(c), ""
		}
		lines[i] = fmt.Sprintf("drawbridge %s %s --gate %s%s --reason TEXT", verb, target, g.Name, choice)
	}
	return lines
}

// nextAfter are the commands that make sense at a stage without an open gate.
func nextAfter(id string, s workflows.Status) []string {
	env := s.Environment
	if env == "" && len(s.Crossings) > 0 {
		env = s.Crossings[len(s.Crossings)-1].Environment
	}
	history := fmt.Sprintf("drawbridge history %s --env %s", s.Pipeline, env)
	if env == "" {
		history = "drawbridge status"
	}
	switch s.Stage {
	case workflows.StageDone:
		if env == "" {
			return []string{history}
		}
		return []string{history, fmt.Sprintf("drawbridge rollback %s --env %s --reason TEXT", s.Pipeline, env)}
	case workflows.StageRefused:
		if s.Kind == deploymentKind {
			return []string{"mend it, raise the version, then: drawbridge plan DIR --to " + orElse(env, "ENV")}
		}
		return []string{"drawbridge status"}
	case workflows.StageRolledBack, workflows.StageStuck:
		return []string{history}
	case stageAbandoned:
		return []string{"drawbridge recover " + id}
	case workflows.StagePlanning, workflows.StageValidating, workflows.StageCrossing, workflows.StageWaiting, workflows.StagePaused,
		workflows.StageWatching, workflows.StageCompensating:
	}
	return []string{"drawbridge status " + id + " --watch", "drawbridge cancel " + id}
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// showList is one line per workflow, the open ones first.
func (a *app) showList(views []view) {
	st := a.style(a.Stdout)
	if len(views) == 0 {
		fmt.Fprintln(a.Stdout, "Nothing is running, and nothing has run lately.")
		a.next("drawbridge init NAME")
		return
	}
	width := 0
	for _, v := range views {
		width = max(width, len(v.ID))
	}
	for _, v := range views {
		at := "just now"
		switch {
		case v.Ended != nil:
			at = "ended " + ago(a.Now(), *v.Ended)
		case v.Started != nil:
			at = "since " + a.clock(*v.Started, "01-02 15:04")
		}
		where := title(v.Status)
		if v.Environment != "" {
			where += " in " + v.Environment
		}
		// Colours have no width: the stage is padded by hand.
		pad := strings.Repeat(" ", max(0, 13-len(v.Stage)))
		fmt.Fprintf(a.Stdout, "%-*s  %s%s %-26s %-18s %s\n", width, v.ID, st.stage(v.Stage), pad, where, at, v.Sentence)
	}
	fmt.Fprintln(a.Stdout)
	for _, v := range views {
		if v.Stage == stageAbandoned {
			a.next("drawbridge recover " + v.ID)
			return
		}
		if v.Stage == workflows.StageWaiting {
			a.next("drawbridge inbox")
			return
		}
	}
	a.next("drawbridge status " + views[0].ID)
}
