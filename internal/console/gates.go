package console

import (
	"cmp"
	"fmt"
	"strings"

	"drawbridge/internal/gate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// Question is an open gate with the workflow that waits at it.
type Question struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Gate     gate.Gate `json:"gate"`
	Commands []string  `json:"commands"`
}

// Questions are the open gates of workflows, and the workflows of which none can be read, because no worker answers.
func Questions(views []view.View) (open []Question, mute []view.View) {
	open = []Question{}
	for _, v := range views {
		if _, ok := v.Open(); !ok {
			mute = append(mute, v)
		}
		for _, g := range v.Gates {
			if g.Decided == "" {
				open = append(open, Question{ID: v.ID, Title: view.Title(v.Status), Gate: g, Commands: commandsOf(v, g)})
			}
		}
	}
	return open, mute
}

// Inbox shows every open gate with the commands that decide it. startWorkers are the commands that let mute workflows answer.
func (s Screen) Inbox(open []Question, mute []view.View, startWorkers []string) string {
	p := s.page()
	if len(open) == 0 && len(mute) == 0 {
		p.line("No gate is open.")
		p.next("drawbridge status")
		return p.String()
	}
	for i, q := range open {
		if i > 0 {
			p.blank()
		}
		p.line("%s   %s   asked by %s %s", s.bold(q.ID), q.Title, cmp.Or(q.Gate.Requester, "nobody"), s.ago(q.Gate.OpenedAt))
		p.gate(q.Gate, q.Commands)
	}
	for _, v := range mute {
		p.line("%s   %s   %s: no worker answers, so its gate cannot be read", s.bold(v.ID), view.Title(v.Status), s.yellow("waiting"))
		p.next(startWorkers...)
	}
	return p.String()
}

// commandsOf are the command lines that decide an open gate, and before them those that are due first.
func commandsOf(v view.View, g gate.Gate) []string {
	return append(acksDue(v, g), g.Commands(typed(v.ID))...)
}

// gate shows an open gate, and what to type at it.
func (p *page) gate(g gate.Gate, commands []string) {
	p.line("%s gate %s asks: %s", p.yellow("☐"), p.bold(g.Name), g.Question)
	if g.Verdict.Reason != "" {
		p.hang("  ", "    ", inkf("%s %s", p.outcome(g.Verdict.Outcome), g.Verdict.Reason))
	}
	p.evidence("    ", g.Verdict.Evidence)
	for _, x := range g.Answers {
		p.hang("  ", "    ", inkf("%s by %s: %s", x.Choice, x.By, x.Reason))
	}
	if rule := p.rule(g); rule != "" {
		p.hang("  ", "    ", inkf("%s", rule))
	}
	p.blank()
	p.next(commands...)
}

// rule says who has to decide, and until when.
func (s Screen) rule(g gate.Gate) string {
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
		parts = append(parts, "expires "+s.clock(g.Deadline(), "2006-01-02 15:04"))
	}
	return strings.Join(parts, "; ")
}

// typed is a workflow as people type it: a deployment by its release.
func typed(id string) string {
	if pipeline, version, ok := workflows.Deployed(id); ok {
		return pipeline + "@" + version
	}
	return id
}

// Decided is the answer of approve, reject and decide.
type Decided struct {
	ID       string        `json:"id"`
	Delivery string        `json:"delivery"` // applied, or recorded for the worker that comes next
	Decision gate.Decision `json:"decision"`
	Gate     *gate.Gate    `json:"gate,omitempty"` // as it is now; nil where no worker answered
}

// Decided shows what became of a decision. startWorker is the command that has a recorded one applied.
func (s Screen) Decided(d Decided, startWorker string) string {
	p := s.page()
	about := ink("")
	if d.Decision.Plan != "" {
		about = inkf(" of plan %s", gate.Short(d.Decision.Plan))
	}
	p.line("%s by %s at gate %s%s", d.Decision.Choice, d.Decision.By, d.Decision.Gate, about)
	switch {
	case d.Gate == nil:
		p.line("No worker answered: recorded, will be applied when a worker returns (%s).", startWorker)
	case d.Gate.Decided == "":
		p.line("Counted; the gate waits for more: %d of %d have answered so.", len(d.Gate.Answers), max(1, d.Gate.Rule.Quorum))
	default:
		p.line("The gate is closed: %s", d.Gate.Why)
	}
	return p.String()
}

// LookAgain is the command that follows a workflow.
func (s Screen) LookAgain(id string) string {
	p := s.page()
	p.next("drawbridge status " + word(id) + " --watch")
	return p.String()
}
