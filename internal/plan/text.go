package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// screenList bounds what a screen names of one kind; the Markdown names all.
const screenList = 6

// Text renders the plan for a terminal: for each environment what it touches, builds, checks and does, and how it is
// turned back. It ends with the next command to type.
func Text(p Plan) string {
	var s screen
	names := make([]string, len(p.Environments))
	for i, e := range p.Environments {
		names[i] = e.Name
	}
	fmt.Fprintf(&s, "%s@%s   %s   plan %s\n", p.Release.Pipeline, p.Release.Version, strings.Join(names, " → "), gate.Short(p.Digest))
	for _, e := range p.Environments {
		s.environment(p, e)
	}
	s.WriteString("\n")
	if n := len(p.Blocking()); n > 0 {
		fmt.Fprintf(&s, "This plan cannot be deployed: %s.\n", verb(n, "problem", "refuses it", "refuse it"))
		s.field("Next", "mend what is listed as REFUSED, then: "+planCommand(p))
	} else {
		s.field("Next", fmt.Sprintf("drawbridge deploy %s", gate.Short(p.Digest)))
	}
	return s.String()
}

// screen writes labelled lines.
type screen struct{ strings.Builder }

// field writes a label once, and lines under one another.
func (s *screen) field(label string, lines ...string) {
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(s, "%-9s %s\n", label, line)
	}
}

func (s *screen) environment(p Plan, e Environment) {
	fmt.Fprintf(s, "\n%s: %s → %s, schema %s\n", e.Name, versionText(e.Active), p.Release.Version, e.Schema)
	s.field("IMPACT", impactText(e))
	var schema []string
	for _, c := range e.Changes {
		schema = append(schema, fmt.Sprintf("%-16s %s", c.Table, changeText(c)))
	}
	s.field("SCHEMA", schema...)
	s.field("WORK", workTexts(p.Rebuild, e)...)
	s.field("CHECKS", named(e.Checks, "no check")...)
	s.field("BUDGET", strings.Join(e.Budgets, "; "))
	var steps []string
	for i, step := range e.Steps {
		steps = append(steps, fmt.Sprintf("%2d %-15s %s", i+1, step.ID, step.Title))
	}
	s.field("STEPS", steps...)
	s.field("SCHEDULE", schedulesText(e)...)
	s.field("ROLLBACK", rollbackText(e.Rollback))
	for _, problem := range blockingFirst(e.Problems) {
		label := "RISK"
		if problem.Blocking {
			label = "REFUSED"
		}
		s.field(label, fmt.Sprintf("%s (%s): %s", problem.Object, problem.Rule, problem.Text), "→ "+problem.Remedy)
	}
}

// named lists what fits on a screen, and says how many it does not show.
func named(texts []string, none string) []string {
	switch {
	case len(texts) == 0:
		return []string{none}
	case len(texts) <= screenList:
		return texts
	}
	shown := append([]string{}, texts[:screenList]...)
	return append(shown, fmt.Sprintf("and %s more", check.FormatCount(int64(len(texts)-screenList))))
}

func impactText(e Environment) string {
	outputs := count(len(e.Changes), "output")
	if e.Shown.Live == nil {
		return outputs
	}
	readers := "no reader in the database"
	if len(e.Shown.Dependents) > 0 {
		readers = fmt.Sprintf("%s kept: %s", count(len(e.Shown.Dependents), "reader"), strings.Join(named(e.Shown.Dependents, ""), ", "))
	}
	runs := "no open run"
	if len(e.Shown.OpenRuns) > 0 {
		runs = fmt.Sprintf("%s: %s", count(len(e.Shown.OpenRuns), "open run"), strings.Join(named(e.Shown.OpenRuns, ""), ", "))
	}
	return strings.Join([]string{outputs, readers, runs}, "; ")
}

// changeText says what happens to one output's columns.
func changeText(c SchemaChange) string {
	left := ""
	if len(c.LeftOut) > 0 {
		left = fmt.Sprintf("; left out, and NULL: %s", strings.Join(c.LeftOut, ", "))
	}
	switch c.Class {
	case SchemaCreate:
		return "create: " + strings.Join(columnTexts(c.Added), ", ")
	case SchemaAdditive:
		return "add: " + strings.Join(columnTexts(c.Added), ", ") + " (nullable)" + left
	case SchemaDestructive:
		return "refused: " + strings.Join(c.Conflicts, "; ")
	case SchemaSame:
	}
	return "unchanged" + left
}

func workTexts(r Rebuild, e Environment) []string {
	build := fmt.Sprintf("build %s in %s (rebuild %s)", count(Partitions(e.Slices), "partition"), count(transactions(e), "transaction"), rebuildText(r))
	written := writeText(e)
	if e.Shown.Live == nil {
		return slices.DeleteFunc([]string{build, written}, func(line string) bool { return line == "" })
	}
	var live []string
	for _, c := range e.Changes {
		live = append(live, fmt.Sprintf("%s %s", c.Table, check.FormatCount(int64(e.Shown.Live[c.Table]))))
	}
	lines := []string{build, fmt.Sprintf("%s%s; live now: %s", estimateText(e.Shown), pauseText(e.Shown), strings.Join(live, ", "))}
	if stays := staysText(e.Shown); stays != "" {
		lines = append(lines, stays)
	}
	if written != "" {
		lines = append(lines, written)
	}
	return lines
}

// staysText says what readers go on reading of other releases.
func staysText(s Shown) string {
	versions := slices.Sorted(maps.Keys(s.Stays))
	sum, of := 0, make([]string, len(versions))
	for i, v := range versions {
		sum += s.Stays[v]
		of[i] = fmt.Sprintf("%s of %s", check.FormatCount(int64(s.Stays[v])), v)
	}
	switch sum {
	case 0:
		return ""
	case 1:
		return "1 live generation stays as another release built it: " + of[0]
	}
	return fmt.Sprintf("%s live generations stay as other releases built them: %s", check.FormatCount(int64(sum)), strings.Join(named(of, ""), ", "))
}

func rebuildText(r Rebuild) string {
	switch r.Mode {
	case RebuildLast:
		return fmt.Sprintf("last %d", r.Last)
	case RebuildSince:
		return "since " + string(r.Since)
	case RebuildNone, RebuildAll:
	}
	return string(r.Mode)
}

func estimateText(s Shown) string {
	switch {
	case s.Rows == 0:
		return "no estimate"
	case s.Duration == 0:
		return fmt.Sprintf("about %s rows", check.FormatCount(s.Rows))
	}
	return fmt.Sprintf("about %s rows, %s", check.FormatCount(s.Rows), durationText(s.Duration))
}

func rollbackText(r Rollback) string {
	if r.To == nil {
		return "nothing was active before: only a person takes a first release away, while it is under way"
	}
	return fmt.Sprintf("to %s, for %s after the publish; generations are swapped, whatever their size", r.To.Version, durationText(r.Horizon))
}

func versionText(r *release.Release) string {
	if r == nil {
		return "nothing"
	}
	return r.Version
}

// sliceText names what one transaction publishes.
func sliceText(s Slice) string {
	var keys []partition.Key
	outputs := map[partition.Key][]string{}
	for _, item := range s.Items {
		if outputs[item.Partition] == nil {
			keys = append(keys, item.Partition)
		}
		outputs[item.Partition] = append(outputs[item.Partition], item.Output)
	}
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = fmt.Sprintf("%s (%s)", k, strings.Join(outputs[k], ", "))
	}
	return strings.Join(texts, ", ")
}

func planCommand(p Plan) string {
	what := p.Release.Pipeline + "@" + p.Release.Version
	if _, _, try := release.CutTry(p.Release.Version); try { // what is mended is its folder
		what = "DIR"
	}
	to := "ENV"
	if n := len(p.Environments); n > 0 {
		to = p.Environments[n-1].Name
	}
	return "drawbridge plan " + what + " --to " + to
}

// verb is a count with the verb that agrees with it.
func verb(n int, noun, one, many string) string {
	if n == 1 {
		return count(n, noun) + " " + one
	}
	return count(n, noun) + " " + many
}
