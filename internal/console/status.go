package console

import (
	"cmp"
	"strings"

	"drawbridge/internal/gate"
	"drawbridge/internal/release"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// screenEvents bounds the story on a screen; --json has all that the workflow keeps.
const screenEvents = 8

// Status is the screen of one workflow: what it is and why in the first lines, then the crossings as a tree, what is tried
// again, the open gates with their evidence or else the last events, and what to type next.
func (s Screen) Status(v view.View) string { return s.status(v, lastEvents(v.Status)) }

// Ending is the screen of a workflow whose story was just told.
func (s Screen) Ending(v view.View) string { return s.status(v, nil) }

// lastEvents are those that a screen shows.
func lastEvents(s workflows.Status) []workflows.Event {
	return s.Events[max(0, len(s.Events)-screenEvents):]
}

// BeforeLast is where the story begins for somebody who joins: the last events are told.
func BeforeLast(s workflows.Status) *workflows.Event {
	if n := len(s.Events); n > screenEvents {
		return &s.Events[n-screenEvents-1]
	}
	return nil
}

// Preview is the answer of a dry run: command is what carries it out.
func (s Screen) Preview(v view.View, command string) string {
	if !dryRun(v) {
		return s.Ending(v) // it would not be carried out
	}
	p := s.page()
	p.line("%s of %s   %s   nothing is changed", s.bold("dry run"), v.ID, view.Title(v.Status))
	p.line("%s", v.Sentence)
	p.blank()
	p.next(command)
	return p.String()
}

// dryRun says that a status tells what would happen.
func dryRun(v view.View) bool { return strings.HasPrefix(v.Sentence, "dry run") }

func (s Screen) status(v view.View, events []workflows.Event) string {
	p := s.page()
	head := inkf("%s   %s   %s", s.bold(v.ID), view.Title(v.Status), s.stage(v.Stage))
	if v.Environment != "" {
		head += inkf(" in %s", v.Environment)
	}
	if v.Step != "" && !view.Over(v.Stage) {
		head += inkf(", step %s", v.Step)
	}
	if v.Plan != "" {
		head += inkf("   plan %s", gate.Short(v.Plan))
	}
	p.line("%s", head)
	if v.Sentence != "" {
		p.line("%s", v.Sentence)
	}
	p.paused(v)
	p.hint("", v.Hint)
	p.blank()
	p.crossings(v.Status)
	p.backfill(v.Status)
	p.migration(v)
	p.retries(v.Retries)
	for _, line := range v.RefusedDecisions {
		p.line("decision refused: %s", line)
	}
	open := false
	for _, g := range v.Gates {
		if g.Decided == "" && !view.Over(v.Stage) {
			open = true
			p.gate(g, commandsOf(v, g))
		}
	}
	if len(events) > 0 && !open {
		for _, e := range events {
			p.line("%s", s.dim(inkf("%s  %-9s %s", s.clock(e.At, "01-02 15:04:05"), e.Environment, e.Text)))
		}
		p.blank()
	}
	if !open {
		p.next(nextAfter(v)...)
	}
	return p.String()
}

// nextAfter are the commands that make sense at a stage without an open gate.
func nextAfter(v view.View) []string {
	env := v.Environment
	if env == "" && len(v.Crossings) > 0 {
		env = v.Crossings[len(v.Crossings)-1].Environment
	}
	history := "drawbridge history " + word(v.Pipeline) + " --env " + word(env)
	if env == "" {
		history = "drawbridge status"
	}
	if next := nextOfMigration(v); next != nil {
		return next
	}
	switch v.Stage {
	case workflows.StageDone:
		return append([]string{history}, undoes(v, env)...)
	case workflows.StageRefused:
		if v.Kind != view.Deployment {
			return []string{"drawbridge status"}
		}
		raise := "raise the version, " // of a release: what is claimed does not change
		if _, _, try := release.CutTry(v.Release.Version); try || v.Release.Version == "" {
			raise = ""
		}
		return []string{"mend it, " + raise + "then: drawbridge plan DIR --to " + word(cmp.Or(env, "ENV"))}
	case workflows.StageRolledBack, workflows.StageStuck:
		return []string{history}
	case view.Abandoned:
		return abandoned(v)
	case workflows.StagePaused:
		return []string{"drawbridge resume " + word(typed(v.ID)), "drawbridge cancel " + word(v.ID)}
	case workflows.StagePlanning, workflows.StageValidating, workflows.StageCrossing, workflows.StageWaiting, workflows.StageWatching, workflows.StageCompensating:
	}
	return []string{"drawbridge status " + word(v.ID) + " --watch", "drawbridge cancel " + word(v.ID)}
}

// undoes is the command that takes back what a workflow has done, and no more than that; none where nothing was, or where that needs
// more than its screen knows.
func undoes(v view.View, env string) []string {
	switch {
	case env == "" || dryRun(v):
	case v.Kind == view.Deployment:
		return []string{"drawbridge rollback " + word(v.Pipeline) + " --env " + word(env) + " --reason TEXT"}
	case v.Backfill != nil && v.Backfill.Published > 0:
		return []string{"drawbridge backfill rollback " + word(v.ID) + " --reason TEXT"}
	}
	return nil
}

// abandoned are the commands that finish what somebody ended from outside.
func abandoned(v view.View) []string {
	if _, _, _, ok := workflows.Migrated(v.ID); ok {
		return []string{"drawbridge migrate rollback " + word(v.ID) + " --reason TEXT"}
	}
	return []string{"drawbridge recover " + word(v.ID)}
}

// List is one line per workflow, in the order given.
func (s Screen) List(views []view.View) string {
	p := s.page()
	if len(views) == 0 {
		p.line("Nothing is running, and nothing has run lately.")
		p.next("drawbridge init NAME")
		return p.String()
	}
	var rows [][]any
	for _, v := range views {
		at := "just now"
		switch {
		case v.Schedule != nil:
			at = s.scheduled(*v.Schedule)
		case v.Ended != nil:
			at = "ended " + s.ago(*v.Ended)
		case v.Started != nil:
			at = "since " + s.clock(*v.Started, "01-02 15:04")
		}
		where := view.Title(v.Status)
		if v.Environment != "" {
			where += " in " + v.Environment
		}
		rows = append(rows, []any{v.ID, s.stage(v.Stage), where, at, shorten(v.Sentence, listed)})
	}
	p.table("", rows...)
	p.blank()
	p.next(nextOf(views))
	return p.String()
}

// listed bounds a sentence in a list, in characters; its workflow's own screen has it all.
const listed = 200

// nextOf is the command for the first workflow of a list that needs somebody.
func nextOf(views []view.View) string {
	for _, v := range views {
		if v.Schedule != nil {
			continue
		}
		switch v.Stage {
		case view.Abandoned:
			return abandoned(v)[0]
		case workflows.StageWaiting:
			return "drawbridge inbox"
		case workflows.StagePaused:
			return "drawbridge resume " + word(typed(v.ID))
		default: // it goes on, or has ended
		}
	}
	if views[0].Schedule != nil {
		return "drawbridge schedule list"
	}
	return "drawbridge status " + word(views[0].ID)
}
