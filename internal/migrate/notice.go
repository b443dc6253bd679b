package migrate

import (
	"slices"
	"strings"
	"time"

	"drawbridge/internal/markup"
	"drawbridge/internal/shell"
)

// Notice is what a consumer is told, in Markdown: what changes for it, from when on, what it does instead, what happens if it does
// nothing, and how it says that it is ready. Its dates are those of how the migration stands now; of the zero Standing it has not begun.
func Notice(p Plan, c Consumer, at Standing, now time.Time) string {
	d := &document{plan: p, now: now}
	d.notice(c, at)
	return d.String()
}

// Until is when the deprecation window is over; zero: it has not begun.
func (s Standing) Until(window time.Duration) time.Time {
	if s.Phase != Deprecating || s.PhaseSince.IsZero() {
		return time.Time{}
	}
	return s.PhaseSince.Add(window)
}

// AckCommand is the line by which a consumer of a migration that has begun says that it is ready.
func AckCommand(workflow, consumer string) string {
	return "drawbridge migrate ack " + shell.Word(workflow) + " --consumer " + shell.Word(consumer) + " --as NAME --reason TEXT"
}

func (d *document) notice(c Consumer, at Standing) {
	m := d.plan.Migration
	to := oneLine(c.Name)
	if c.Contact != "" {
		to += " (" + oneLine(c.Contact) + ")"
	}
	d.line("To %s: the table %s in %s changes.\n", markup.Text(to), markup.Code(d.plan.Schema+"."+m.Table), markup.Text(d.plan.Environment))
	d.line("Why: %s\n", markup.Text(oneLine(m.Why)))
	var texts []string
	for _, o := range m.Operations {
		if text := d.plan.concern(o); text != "" {
			texts = append(texts, text)
		}
	}
	d.list(texts, "There is nothing for you to do.")
	d.instead()
	for _, r := range d.plan.Blocking {
		for _, role := range c.Roles {
			if r.Owner == role {
				d.line("Your %s %s reads %s: let it read something else before contract.\n", r.Kind, markup.Code(r.Name), markup.Code(r.Column))
			}
		}
	}
	d.dates(c, at)
	d.line("Questions: ask whoever answers for the pipeline %s%s.\n", markup.Code(oneLine(d.plan.Release.Pipeline)), markup.Text(begunBy(at)))
}

func begunBy(at Standing) string {
	if at.By == "" {
		return ""
	}
	return ", or " + oneLine(at.By) + ", who has begun it"
}

// instead shows queries that go on working, before and after contract.
func (d *document) instead() {
	var lines []string
	table := qualified(d.plan.Schema, d.plan.Migration.Table)
	for _, o := range d.plan.Migration.Operations {
		switch {
		case o.Kind == RenameColumn:
			lines = append(lines, "-- instead of SELECT "+quote(o.Column)+" …", "SELECT "+quote(o.To)+" FROM "+table+";")
		case o.Kind == ChangeType && o.Down != "":
			lines = append(lines, "-- "+oneLine(o.Column)+" as it was, where you need it so; from the switch on", "SELECT "+oneLine(o.Down)+" AS "+quote(o.Column)+" FROM "+table+";")
		case o.Kind == AddColumn:
			lines = append(lines, "-- the new column", "SELECT "+quote(o.Column)+" FROM "+table+";")
		}
	}
	if len(lines) > 0 {
		d.line("For example:\n")
		d.line("%s", markup.Block("sql", strings.Join(lines, "\n")))
	}
}

// dates say from when on it counts, until when there is time, and what happens then.
func (d *document) dates(c Consumer, at Standing) {
	m := d.plan.Migration
	takes := len(d.plan.Of(Contract)) > 0
	until := at.Until(m.Deprecate.Window)
	switch {
	case at.Ended == RolledBack:
		d.line("It was undone: the table is as it was, and there is nothing for you to do.\n")
		return
	case at.Ended == Done, at.Phase == Contract:
		d.line("It is done: what is new is there, and what was to go is gone.\n")
		return
	case !takes:
		d.line("Nothing is taken away.\n")
		return
	case !until.IsZero() && !until.After(d.now):
		d.line("The new shape counts since %s. The time for which the old one is kept at the least was over at %s: it goes as soon as nobody is in the way, and people have approved it.\n", d.day(at.PhaseSince), d.day(until))
	case !until.IsZero():
		d.line("The new shape counts since %s. The old one is kept until %s, at the least.\n", d.day(at.PhaseSince), d.day(until))
	default:
		if !at.Since.IsZero() {
			d.line("It has begun at %s. %s. You are told when the new shape counts.\n", d.day(at.Since), markup.Text(d.beside(at.Phase)))
		}
		d.line("The old shape is kept for %s after the switch, at the least.\n", windowText(m.Deprecate))
	}
	if b := d.plan.Brownout; b != nil {
		d.line("Before that it is tried: %s. Whoever gets an error then is not ready, and says so at once.\n", markup.Text(b.Refuses()))
	}
	if len(d.plan.Old) > 0 {
		d.line("Whoever still names %s after contract gets an error, and nothing brings it back.\n", markup.Text(shownAll(d.plan.Old)))
	}
	if len(c.Roles) > 0 && len(d.plan.Old) > 0 {
		d.line("It is not taken away either while statements of %s are seen to name it, where the server counts these.\n", markup.Text(shownAll(c.Roles)))
	}
	d.ready(c, at)
}

// beside says what is different for readers and writers before the new shape counts.
func (d *document) beside(phase Phase) string {
	var added []string
	for _, o := range d.plan.Migration.Operations {
		if o.Kind == AddColumn {
			added = append(added, o.Column)
		}
	}
	for _, r := range Replacements(d.plan.Migration) {
		added = append(added, r.Added)
	}
	text := "What you read and write is as it was"
	switch {
	case len(added) > 0 && phase == Expand:
		text = "Added now beside what is there: " + listed(added) + ". Queries of all columns (SELECT *) see that"
	case len(added) > 0:
		text = "Beside what is there is now: " + listed(added) + ". Queries of all columns (SELECT *) see that"
	}
	if Expand.Before(phase) && len(d.plan.Of(DualWrite)) > 0 {
		text += ". Every write is kept in both shapes"
	}
	return text
}

// ready says how a consumer says that it is ready.
func (d *document) ready(c Consumer, at Standing) {
	if said := slices.IndexFunc(at.Acks, func(a Ack) bool { return a.Consumer == c.Name }); said >= 0 {
		d.line("%s said at %s that you are ready: there is nothing left for you to do.\n", markup.Text(oneLine(at.Acks[said].By)), d.day(at.Acks[said].At))
		return
	}
	if c.MustAck {
		d.line("It is not taken away before you have acknowledged that you are ready.\n")
	}
	if at.Owner != "" {
		d.line("When you are ready, say so:\n")
		d.line("%s", markup.Block("sh", AckCommand(at.Owner.Workflow(), c.Name)))
	}
}

// day is a time to the minute, or to the second where both shapes are kept for less than an hour.
func (d *document) day(t time.Time) string {
	layout := "2006-01-02 15:04 MST"
	if d.plan.Migration.Deprecate.Window < time.Hour {
		layout = "2006-01-02 15:04:05 MST"
	}
	return t.UTC().Format(layout)
}

func windowText(d Deprecate) string {
	if d.Window == 0 {
		return "no time"
	}
	return durationText(d.Window)
}
