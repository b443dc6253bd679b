package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/generation"
)

// showHistory is what readers of an environment saw change, newest first.
func (a *app) showHistory(pipeline, env string, h activities.History) {
	st := a.style(a.Stdout)
	active := "nothing is active"
	if h.Active != nil {
		active = h.Active.Version + " is active"
	}
	fmt.Fprintf(a.Stdout, "%s in %s: %s", st.bold(pipeline), env, active)
	if h.Horizon != nil {
		fmt.Fprintf(a.Stdout, "; it can go back until %s", a.clock(*h.Horizon, "2006-01-02 15:04"))
	}
	fmt.Fprintln(a.Stdout)
	w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
	for _, p := range h.Publications {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.clock(p.At, "2006-01-02 15:04:05"), p.Kind, p.Release.Version, p.Text, p.Workflow)
	}
	_ = w.Flush() // the writer below is the terminal's: nothing can be done about it
	fmt.Fprintln(a.Stdout)
	a.next(fmt.Sprintf("drawbridge rollback %s --env %s --dry-run --reason TEXT", pipeline, env))
}

// showGenerations lists what was built for one partition, newest first.
func (a *app) showGenerations(pipeline, env string, in activities.InspectInput, all []generation.Generation) {
	fmt.Fprintf(a.Stdout, "%s[%s] of %s in %s\n", a.style(a.Stdout).bold(in.Output), in.Partition, pipeline, env)
	w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "GENERATION\tSTATE\tRELEASE\tROWS\tSINCE\t")
	for _, g := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", g.ID, g.State, g.Release.Version, check.FormatCount(g.Rows),
			a.clock(g.At, "2006-01-02 15:04:05"), g.NotReattachable)
	}
	_ = w.Flush() // the writer below is the terminal's: nothing can be done about it
	fmt.Fprintln(a.Stdout)
	where := fmt.Sprintf("%s --env %s --output %s --partition %s", pipeline, env, in.Output, in.Partition)
	a.next("drawbridge diff "+where, "drawbridge rollback "+where+" --to last-good --reason TEXT")
}

// showDiff is what lies between two generations: counts and metrics, never a row's values.
func (a *app) showDiff(pipeline, env string, in activities.InspectInput, d canary.Diff) {
	st := a.style(a.Stdout)
	fmt.Fprintf(a.Stdout, "%s[%s] of %s in %s, compared with the %s\n", st.bold(in.Output), in.Partition, pipeline, env, d.Baseline)
	w := tabwriter.NewWriter(a.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "rows\t%s\t→ %s\n", check.FormatCount(d.BaselineRows), check.FormatCount(d.CandidateRows))
	switch {
	case d.Identical:
		fmt.Fprintln(w, "content\tidentical\t")
	case d.Mode == canary.Keyed:
		fmt.Fprintf(w, "keys\t%s removed\t%s added\n", check.FormatCount(d.RemovedKeys), check.FormatCount(d.AddedKeys))
		fmt.Fprintf(w, "rows of both\t%s\t%s changed\n", check.FormatCount(d.CommonRows), check.FormatCount(d.ChangedRows))
	default:
		fmt.Fprintf(w, "rows\t%s removed\t%s added\n", check.FormatCount(d.RemovedKeys), check.FormatCount(d.AddedKeys))
	}
	for _, c := range slices.Sorted(maps.Keys(d.Changed)) {
		if d.Changed[c] > 0 {
			fmt.Fprintf(w, "column %s\t%s rows changed\t%s\n", c, check.FormatCount(d.Changed[c]), check.FormatPercent(check.Share(d.Changed[c], d.CommonRows)))
		}
	}
	for _, c := range d.AddedColumns {
		fmt.Fprintf(w, "column %s\tadded\t\n", c)
	}
	for _, c := range d.RemovedColumns {
		fmt.Fprintf(w, "column %s\tgone\t\n", c)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
		m := d.Metrics[name]
		fmt.Fprintf(w, "metric %s\t%s\t→ %s\n", name, number(m.Baseline), number(m.Candidate))
	}
	_ = w.Flush() // the writer below is the terminal's: nothing can be done about it
	if d.RepeatedKeys {
		fmt.Fprintln(a.Stdout, st.red("A key has several rows, so rows could not be paired: the counts mean nothing."))
	}
	fmt.Fprintln(a.Stdout)
	a.next(fmt.Sprintf("drawbridge history %s --env %s --output %s --partition %s", pipeline, env, in.Output, in.Partition))
}

func number(v *float64) string {
	if v == nil {
		return "none"
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

// showChecked is a doctor's list: a line each, with its remedy.
func (a *app) showChecked(lines []activities.Checked) {
	st := a.style(a.Stdout)
	width := 0
	for _, l := range lines {
		width = max(width, len(l.Subject))
	}
	for _, l := range lines {
		glyph := st.green("✔")
		if !l.OK {
			glyph = st.red("✘")
		}
		fmt.Fprintf(a.Stdout, "%s %-*s  %s\n", glyph, width, l.Subject, l.Text)
		if !l.OK && l.Remedy != "" {
			fmt.Fprintf(a.Stdout, "  → %s\n", l.Remedy)
		}
	}
}
