package gate

import (
	"strings"

	"drawbridge/internal/shell"
)

// Commands are the command lines that decide a gate, one per choice. who is its workflow as people type it. They name the plan that
// is shown, so that a line that is kept decides no other one.
func (g Gate) Commands(who string) []string {
	about := shell.Word(who) + " --gate " + shell.Word(g.Name)
	if g.Plan != "" {
		about += " --plan " + shell.Word(Short(g.Plan))
	}
	lines := make([]string, 0, len(g.Choices)+1)
	for _, c := range g.Choices {
		verb, choice := "decide", " --choice "+shell.Word(string(c))
		if c == Approve || c == Reject {
			verb, choice = string(c), ""
		}
		line := "drawbridge " + verb + " " + about + choice
		lines = append(lines, line+" --reason TEXT")
		if (c == Reject || c == Rollback) && len(g.Earlier) > 0 {
			lines = append(lines, line+" --compensate all --reason TEXT  # takes back "+shell.Word(strings.Join(g.Earlier, " "))+" too")
		}
	}
	return lines
}
