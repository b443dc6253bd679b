package workflows

import (
	"fmt"
	"strings"

	"drawbridge/internal/gate"
)

// detailsLimit is the Web UI's limit of current details, with room for an encrypting codec's growth.
const detailsLimit = 15_000

// details is the live page of a workflow in the Web UI: where it is, the gates with verdict and reason, and, for an open
// gate, the JSON that a person can send from there; then the plan.
func details(s Status, document string) string {
	lines := []string{fmt.Sprintf("**%s** %s: %s", s.Stage, s.Environment, s.Sentence), ""}
	if g, ok := s.Open(); ok {
		lines = append(lines,
			fmt.Sprintf("### Gate `%s` is open until %s", g.Name, deadline(g)), g.Question, "", g.Verdict.Reason, "",
			fmt.Sprintf("Decide: `drawbridge decide %s --gate %s --choice %s --reason …`, or send the signal `%s` with", s.Pipeline, g.Name, g.Choices[0], Decide),
			"```json",
			fmt.Sprintf("{\"gate\": %q, \"plan\": %q, \"choice\": %q, \"by\": \"your name\", \"reason\": \"why\"}", g.Name, gate.Short(g.Plan), g.Choices[0]),
			"```", "choices: "+choices(g.Choices), "")
	}
	lines = append(lines, "| environment | gate | verdict | why |", "|---|---|---|---|")
	for _, x := range s.Crossings {
		for _, v := range x.Verdicts {
			lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s |", x.Environment, v.Gate, v.Verdict.Outcome, cell(v.Verdict.Reason)))
		}
	}
	for _, g := range s.Gates {
		if g.Decided != "" {
			lines = append(lines, fmt.Sprintf("| | %s | %s | %s |", g.Name, g.Decided, cell(g.Why)))
		}
	}
	for _, line := range s.RefusedDecisions {
		lines = append(lines, "", "refused: "+line)
	}
	return cut(strings.Join(append(lines, "", document), "\n"), detailsLimit)
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

// cellLimit keeps a table readable; the whole reason is in status.
const cellLimit = 300

// cell makes text fit a Markdown table.
func cell(text string) string {
	return cut(strings.NewReplacer("|", "\\|", "\n", " ").Replace(text), cellLimit)
}

// cut shortens text to at most limit bytes and leaves whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// count is a number of things, in words that fit one and many.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
