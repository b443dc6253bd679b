package console

import (
	"cmp"
	"strings"

	"drawbridge/internal/backfill"
	"drawbridge/internal/check"
	"drawbridge/internal/partition"
)

// Gaps is the answer of gaps.
type Gaps struct {
	Pipeline    string `json:"pipeline"`
	Environment string `json:"environment"`
	backfill.Gaps
	// Commands are the backfills that build what can be built.
	Commands []string `json:"commands"`
}

// Fill are the backfills that build some spans.
func Fill(pipeline, environment string, spans []backfill.Span) []string {
	commands := []string{}
	for _, span := range spans {
		commands = append(commands, "drawbridge backfill "+word(pipeline)+" --env "+word(environment)+
			" --from "+word(string(span.First))+" --to "+word(string(span.Last))+" --reason TEXT")
	}
	return commands
}

// gapsShown bounds how many spans and commands a screen names; --json has all of them.
const gapsShown = 8

// Gaps is what is missing of a pipeline in an environment.
func (s Screen) Gaps(g Gaps) string {
	p := s.page()
	where := ink("nothing is live")
	switch {
	case g.First == g.Last && g.Live > 0:
		where = inkf("%s is live", g.First)
	case g.Live > 0:
		where = inkf("%s partitions are live, %s to %s", check.FormatCount(int64(g.Live)), g.First, g.Last)
	}
	p.line("%s in %s: %s", s.bold(g.Pipeline), g.Environment, where)
	for _, kind := range []struct {
		what  string
		spans []backfill.Span
	}{
		{"files, and no partition", g.Unbuilt},
		{"older than a file of theirs", g.Older},
		{"no partition, and no file", g.Holes},
		{"due, and no file yet", g.Late},
	} {
		if len(kind.spans) > 0 {
			p.line("%s %s: %s", s.yellow("missing:"), kind.what, spansText(kind.spans))
		}
	}
	if len(g.Whole) > 0 {
		p.line("%s older than a file, as one partition: %s", s.yellow("missing:"), strings.Join(g.Whole, ", "))
	}
	if g.None() {
		p.line("%s nothing is missing", s.green("✔"))
	}
	p.blank()
	commands := g.Commands
	if more := len(commands) - gapsShown; more > 0 {
		p.line("The first %d of %d backfills; --json has all:", gapsShown, len(commands))
		commands = commands[:gapsShown]
	}
	if len(g.Whole) > 0 && len(commands) == 0 {
		commands = append(commands, "drawbridge run "+word(g.Pipeline)+" --env "+word(g.Environment)+" --partition "+word(string(cmp.Or(g.Last, partition.AllKey))))
	}
	if len(commands) == 0 {
		commands = append(commands, "drawbridge history "+word(g.Pipeline)+" --env "+word(g.Environment))
	}
	p.next(commands...)
	return p.String()
}

func spansText(spans []backfill.Span) string {
	var texts []string
	for _, span := range spans[:min(len(spans), gapsShown)] {
		texts = append(texts, span.String())
	}
	if more := len(spans) - gapsShown; more > 0 {
		texts = append(texts, "and "+check.FormatCount(int64(more))+" more")
	}
	return strings.Join(texts, ", ")
}
