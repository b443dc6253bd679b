package backfill

import (
	"fmt"
	"strings"

	"drawbridge/internal/markup"
)

// Markdown is the change document of a plan: what is built, how much that is, what it is above, who reads it, and the way back. id is the
// workflow that does it.
func Markdown(s Summary, pipeline, environment, id string) string {
	var d strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&d, format+"\n", args...) }
	list := func(title string, lines []string, none string) {
		say("\n## %s\n", title)
		if len(lines) == 0 {
			say("%s", none)
		}
		for _, line := range lines {
			say("- %s", markup.Cell(line))
		}
	}
	say("# Backfill of %s in %s: %s to %s\n", markup.Cell(pipeline), markup.Cell(environment), s.From, s.To)
	say("| | |\n|---|---|")
	row := func(name string, format string, args ...any) {
		say("| %s | %s |", name, markup.Cell(fmt.Sprintf(format, args...)))
	}
	row("release", "%s", s.Release)
	row("plan", "`%s`", s.Digest)
	row("partitions to build", "%d, in %d slices of at most %d", s.Partitions, s.Slices, s.Slice)
	row("current already", "%d", s.Current)
	row("without load files", "%d", s.Missing)
	row("estimate", "%s", s.Estimate)
	row("lanes", "%d", s.Lanes)
	how := "each partition as it is built"
	if s.Transactions > 0 {
		how = fmt.Sprintf("all of it, in %d transactions, when all is built", s.Transactions)
	}
	row("becomes visible", "%s", how)
	row("holds and asks when more fail than", "%d", s.MaxFailures)
	list("What happens", s.Lines, "Nothing: all of it is current.")
	list("Above the limits", s.Over, "Nothing: nobody is asked.")
	if len(s.Over) > 0 {
		say("\nIt waits for an approval of this plan, by the rule of %s.", markup.Cell(environment))
	}
	say("\n## Who reads it\n")
	if len(s.Downstream) == 0 {
		say("No other pipeline of this schema, as far as its builds have shown.")
	} else {
		say("| pipeline | reads | partitions | then |\n|---|---|---|---|")
		for _, r := range s.Downstream {
			say("| %s | %s | %s | `%s` |", markup.Cell(r.Pipeline), markup.Cell(strings.Join(r.Reads, ", ")), markup.Cell(spansText(r.Partitions)), code(r.Commands))
		}
	}
	say("\n## While it runs\n")
	say("- `drawbridge backfill status %s --watch`", id)
	say("- `drawbridge pause %s --reason TEXT`, `drawbridge resume %s`", id, id)
	say("- `drawbridge cancel %s`: what is published stays", id)
	say("\n## Way back\n")
	say("`drawbridge backfill rollback %s --reason TEXT`: every partition returns to what was live before, for as long as retired data is kept.", id)
	return d.String()
}

// code are commands in a cell of a table.
func code(commands []string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ").Replace(strings.Join(commands, "`, `"))
}
