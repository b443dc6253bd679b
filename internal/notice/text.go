package notice

import (
	"fmt"
	"strings"
	"time"
)

// Subject is the event in one line.
func (e Event) Subject() string {
	about := e.Release
	if about == "" {
		about = e.Pipeline
	}
	text := e.Kind.words() + " in " + e.Environment
	if e.Gate != "" {
		text += ", " + e.Gate
	}
	if e.Consumer != "" {
		text += ", " + e.Consumer
	}
	if about != "" {
		text += ": " + about
	}
	return text
}

// Slack is the event as chats read it that take Slack's markup: what is not ours is text there, and calls nobody.
func (e Event) Slack() string {
	plain := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return e.text(plain.Replace, func(subject string) string { return "*" + string(e.Severity) + "*: " + subject }, func(command string) string { return "`" + command + "`" })
}

// Mail is the event as plain text.
func (e Event) Mail() string {
	same := func(text string) string { return text }
	return e.text(same, func(subject string) string { return string(e.Severity) + ": " + subject }, func(command string) string { return "  " + command })
}

func (e Event) text(plain, subject, command func(string) string) string {
	lines := []string{subject(plain(e.Subject())), plain(e.What)}
	if e.Why != "" {
		lines = append(lines, plain(e.Why))
	}
	for _, n := range e.Numbers {
		lines = append(lines, plain("• "+n.String()))
	}
	if e.By != "" {
		lines = append(lines, plain("asked by "+e.By))
	}
	if e.Deadline != nil {
		open := "open until "
		if e.Consumer != "" {
			open = "both shapes are kept until "
		}
		lines = append(lines, open+e.Deadline.UTC().Format("2006-01-02 15:04 MST"))
	}
	if e.Reminder > 0 {
		lines = append(lines, fmt.Sprintf("reminder %d, open since %s", e.Reminder, e.At.UTC().Format("2006-01-02 15:04 MST")))
	}
	if e.Runbook != "" {
		lines = append(lines, "runbook: "+plain(e.Runbook))
	}
	for _, c := range e.Commands {
		lines = append(lines, command(plain(c)))
	}
	if e.Notice != "" {
		lines = append(lines, "", plain(strings.TrimSpace(e.Notice)))
	}
	return strings.Join(lines, "\n")
}

// String is the number as people read it.
func (n Number) String() string {
	text := strings.TrimSuffix(n.Name+": "+n.Value, ": ")
	if n.Limit != "" {
		text += " (limit " + n.Limit + ")"
	}
	if n.Outcome != "" {
		text += ": " + n.Outcome
	}
	return text
}

// Later is what is owed of an open gate later: after each rest that it is open still, and once, some time before nobody can
// decide it any more, that it is about to expire. opened is its event.
func Later(opened Event, rest, before time.Duration) []Owed {
	var later []Owed
	if rest > 0 {
		later = append(later, Owed{Event: opened.Again(1), Due: opened.At.Add(rest)})
	}
	if d := opened.Deadline; d != nil && before > 0 && d.Sub(opened.At) > before {
		later = append(later, Owed{Event: opened.as(GateExpiring, "expiring"), Due: d.Add(-before)})
	}
	return later
}

// Again is the reminder of a gate with a number.
func (e Event) Again(n int) Event {
	base := e
	if e.Kind == GateReminded {
		base.ID = strings.TrimSuffix(e.ID, fmt.Sprintf("/reminder-%d", e.Reminder))
	}
	again := base.as(GateReminded, fmt.Sprintf("reminder-%d", n))
	again.Reminder = n
	return again
}

func (e Event) as(kind Kind, suffix string) Event {
	e.ID, e.Kind, e.Severity = e.ID+"/"+suffix, kind, kind.Severity()
	return e
}
