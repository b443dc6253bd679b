package conduct

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/gate"
)

// The story in a status is bounded; the whole of it is the workflow's history.
const (
	eventLimit     = 200
	eventText      = 500 // bytes
	carriedEvents  = 60  // across continue-as-new
	refusedLimit   = 20
	detailsLimit   = 15_000 // the Web UI's, with room for an encrypting codec's growth
	cellLimit      = 300    // keeps a table readable; the whole reason is in status
	sentenceLimit  = reasonLimit
	decisionSample = "your name"
)

// At moves the work to a stage and a place, and tells why.
func (c *Conductor) At(ctx workflow.Context, stage Stage, at Scope, sentence string) {
	c.head.Stage, c.head.Environment, c.head.Step, c.head.Sentence = stage, at.Environment, at.Step, cut(sentence, sentenceLimit)
	c.Tell(ctx, at, sentence)
}

// Tell adds a line to the story and shows the status.
func (c *Conductor) Tell(ctx workflow.Context, at Scope, text string) {
	text = cut(text, eventText)
	c.head.Events = append(c.head.Events, Event{
		At: workflow.Now(ctx), Environment: at.Environment, Step: at.Step, Lane: at.Lane, Text: text,
	})
	c.head.Events = c.head.Events[max(0, len(c.head.Events)-eventLimit):]
	workflow.GetLogger(ctx).Info(text, "correlation_id", workflow.GetInfo(ctx).WorkflowExecution.ID,
		"environment", at.Environment, "step", at.Step, "lane", at.Lane)
	c.show(ctx)
}

// refuse records a signal that could not count.
func (c *Conductor) refuse(ctx workflow.Context, line string) {
	line = cut(line, eventText)
	c.head.RefusedDecisions = append(c.head.RefusedDecisions, line)
	c.head.RefusedDecisions = c.head.RefusedDecisions[max(0, len(c.head.RefusedDecisions)-refusedLimit):]
	c.Tell(ctx, Scope{Environment: c.head.Environment, Step: c.head.Step}, "decision refused: "+line)
}

// show brings search attributes and the Web UI's current details up to the status.
func (c *Conductor) show(ctx workflow.Context) {
	h := c.Header()
	workflow.SetCurrentDetails(ctx, details(h, workflow.GetInfo(ctx).WorkflowExecution.ID, c.face.Details()))
	if !c.attributes {
		return
	}
	g, _ := h.Open()
	now := [4]string{string(h.Stage), h.Environment, h.Release.Version, g.Name}
	if now == c.shown {
		return
	}
	c.shown = now
	var updates []temporal.SearchAttributeUpdate
	for i, name := range []string{StageAttribute, EnvironmentAttribute, ReleaseAttribute, GateAttribute} {
		updates = append(updates, temporal.NewSearchAttributeKeyKeyword(name).ValueSet(now[i]))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes were not updated", "error", err)
	}
}

// details is the live page of a workflow in the Web UI: where it is, the open gates with verdict and reason and the JSON that
// a person can send from there, the decided ones, and what the kind of workflow adds.
func details(h Header, id string, more []string) string {
	lines := append([]string{fmt.Sprintf("**%s** %s: %s", h.Stage, h.Environment, h.Sentence), ""}, held(h, id)...)
	var decided []string
	for _, g := range h.Gates {
		if g.Decided != "" {
			decided = append(decided, fmt.Sprintf("| %s | %s | %s |", g.Name, g.Decided, Cell(g.Why)))
			continue
		}
		lines = append(lines,
			fmt.Sprintf("### Gate `%s` is open until %s", g.Name, deadline(g)), g.Question, "", g.Verdict.Reason, "",
			fmt.Sprintf("Decide: `drawbridge decide %s --gate %s --choice %s --reason TEXT`, or send the signal `%s` with", id, g.Name, g.Choices[0], Decide),
			"```json",
			fmt.Sprintf("{\"gate\": %q, \"plan\": %q, \"choice\": %q, \"by\": %q, \"reason\": \"why\"}", g.Name, gate.Short(g.Plan), g.Choices[0], decisionSample),
			"```", "choices: "+choices(g.Choices), "")
	}
	if len(decided) > 0 {
		lines = append(append(lines, "| gate | decided | why |", "|---|---|---|"), append(decided, "")...)
	}
	for _, line := range h.RefusedDecisions {
		lines = append(lines, "refused: "+line, "")
	}
	return Page(append(lines, more...))
}

// held is who paused a workflow and why, whether the pause holds, and how to go on.
func held(h Header, id string) []string {
	var lines []string
	if h.Lanes > 0 {
		lines = append(lines, fmt.Sprintf("A person set %d lanes.", h.Lanes), "")
	}
	p := h.Paused
	if p == nil {
		return lines
	}
	since := "It does not hold yet: what has begun goes on to its edge."
	if p.Held != nil {
		since = fmt.Sprintf("It holds since %s, %s after it was asked for.", p.Held.UTC().Format("15:04:05 MST"), p.Held.Sub(p.At).Round(time.Second))
	}
	return append(lines,
		fmt.Sprintf("### Paused by %s at %s", p.By, p.At.UTC().Format("2006-01-02 15:04:05 MST")), p.Reason, "", since, "",
		fmt.Sprintf("Go on: `drawbridge resume %s`, or send the signal `%s` with", id, Steer),
		"```json", fmt.Sprintf("{\"command\": %q, \"by\": %q}", Resume, decisionSample), "```", "")
}

func deadline(g gate.Gate) string {
	if g.Endless {
		return "it is decided"
	}
	return g.Deadline().UTC().Format("2006-01-02 15:04 MST")
}

func choices(cs []gate.Choice) string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

// Page makes lines of Markdown fit the live page of a workflow.
func Page(lines []string) string { return cut(strings.Join(lines, "\n"), detailsLimit) }

// Cell makes text fit a Markdown table.
func Cell(text string) string {
	return cut(strings.NewReplacer("|", "\\|", "\n", " ").Replace(text), cellLimit)
}
