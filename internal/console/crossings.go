package console

import (
	"regexp"
	"strings"
	"time"

	"drawbridge/internal/gate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// crossings draws the environments of a deployment with the verdicts of their gates. The slices of an environment are one
// line with a bar; of their verdicts those are shown that did not pass.
func (p *page) crossings(s workflows.Status) {
	if len(s.Crossings) == 0 {
		return
	}
	for i, c := range s.Crossings {
		branch, stem := ink("├── "), ink("│   ")
		if i == len(s.Crossings)-1 {
			branch, stem = "└── ", "    "
		}
		p.hang(branch, stem, inkf("%s %-10s %s", p.crossingGlyph(c.State), c.Environment, p.crossingText(c, s.Lanes)))
		twigs := p.twigs(c)
		if c.Throttled != "" {
			twigs = append(twigs, twig{text: inkf("%s %s", p.yellow("throttled:"), c.Throttled)})
		}
		for j, t := range twigs {
			twig, below := ink("├── "), ink("│   ")
			if j == len(twigs)-1 {
				twig, below = "└── ", "    "
			}
			p.hang(stem+twig, stem+below, t.text)
			p.evidence(stem+below+"  ", t.evidence)
		}
	}
	p.blank()
}

// twig is a line below an environment.
type twig struct {
	text     ink
	evidence []gate.Evidence
}

var sliceGate = regexp.MustCompile(`^slice-[0-9]+$`)

func (p *page) twigs(c workflows.Crossing) []twig {
	var all []twig
	published := false
	for _, v := range c.Verdicts {
		slice := sliceGate.MatchString(v.Gate)
		if !published && (slice || v.Gate == "watch") {
			all, published = append(all, p.slices(c)...), true
		}
		if slice && v.Verdict.Outcome == gate.Pass {
			continue
		}
		t := twig{text: inkf("%s %s: %s", p.outcome(v.Verdict.Outcome), v.Gate, v.Verdict.Reason)}
		if v.Times > 1 {
			t.text += inkf(" (%d times in a row)", v.Times)
		}
		if v.Verdict.Outcome != gate.Pass {
			t.evidence = v.Verdict.Evidence
		}
		all = append(all, t)
	}
	if !published {
		all = append(all, p.slices(c)...)
	}
	return all
}

// slices is how far publishing has come; nothing where it has not begun.
func (p *page) slices(c workflows.Crossing) []twig {
	if c.Slices == 0 || c.SlicesDone == 0 {
		return nil
	}
	glyph := p.bold("⟳")
	switch {
	case c.SlicesDone >= c.Slices:
		glyph = p.green("✔")
	case c.State == "turned_back" || c.State == "refused":
		glyph = p.red("✘")
	}
	verb := "publish"
	if c.Transactions > 0 {
		verb = "build"
	}
	return []twig{{text: inkf("%s %s %s %s", glyph, verb, p.bar(c.SlicesDone, c.Slices), slicesText(c))}}
}

func slicesText(c workflows.Crossing) ink {
	return inkf("%d of %d slices", c.SlicesDone, c.Slices)
}

func (p *page) crossingGlyph(state string) ink {
	switch state {
	case "live":
		return p.green("✔")
	case "crossing", "watching":
		return p.bold("⟳")
	case "turned_back", "refused":
		return p.red("✘")
	}
	return "·"
}

func (p *page) crossingText(c workflows.Crossing, set int) ink {
	text := inkf("%s", strings.ReplaceAll(c.State, "_", " "))
	if c.Step != "" && c.State == "crossing" {
		text += inkf(", step %s", c.Step) + lanesOf(c, set)
	}
	if c.State == "watching" && c.WatchUntil != nil {
		text += inkf(" for another %s", c.WatchUntil.Sub(p.Now).Round(time.Second))
	}
	return text
}

// evidence lists what did not pass, with the limit that it was held against.
func (p *page) evidence(indent ink, evidence []gate.Evidence) {
	var rows [][]any
	for _, e := range evidence {
		if e.Outcome == gate.Pass {
			continue
		}
		limit := ""
		if e.Limit != "" {
			limit = "limit " + e.Limit
		}
		rows = append(rows, []any{e.Name, e.Value, limit, e.Note})
	}
	p.table(indent, rows...)
}

// retries lists the activities that failed and are tried again, with the error of the last attempt.
func (p *page) retries(all []view.Retry) {
	for _, r := range all {
		p.line("%s", p.retryText(r))
	}
	if len(all) > 0 {
		p.blank()
	}
}

func (s Screen) retryText(r view.Retry) ink {
	text := inkf("%s %s is tried again: attempt %d", s.yellow("↻"), r.Activity, r.Attempt)
	if r.Attempts > 0 {
		text += inkf(" of %d", r.Attempts)
	}
	if r.Next != nil && r.Next.After(s.Now) {
		text += inkf(", in %s", r.Next.Sub(s.Now).Round(time.Second))
	}
	return text + inkf("; the last one said: %s", r.Error)
}
