package console

import (
	"strings"

	"drawbridge/internal/gate"
)

// Scaffold is the answer of init.
type Scaffold struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
}

// Scaffold lists the files of a new pipeline.
func (s Screen) Scaffold(x Scaffold) string {
	p := s.page()
	p.line("Made %s:", x.Dir)
	for _, file := range x.Files {
		p.line("  %s", file)
	}
	p.blank()
	p.next("drawbridge validate "+word(x.Dir)+" --offline", "drawbridge deploy "+word(x.Dir)+" --to dev")
	return p.String()
}

// Built is the answer of build.
type Built struct {
	Pipeline string    `json:"pipeline"`
	Version  string    `json:"version"`
	Digest   string    `json:"digest"`
	Store    string    `json:"store"`
	Created  bool      `json:"created"`
	Files    []Packed  `json:"files"`
	Skipped  []Skipped `json:"skipped"`
}

// Packed is a file of a release.
type Packed struct {
	Path  string `json:"path"`
	Bytes int    `json:"bytes"`
}

// Skipped is a file that is no part of a release, and why.
type Skipped struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Built lists what is in a release.
func (s Screen) Built(b Built) string {
	p := s.page()
	for _, f := range b.Files {
		p.line("  %8d  %s", f.Bytes, f.Path)
	}
	for _, x := range b.Skipped {
		p.line("%s", s.dim(inkf("  not packed  %s (%s)", x.Path, x.Reason)))
	}
	state := "stored"
	if !b.Created {
		state = "was there already, with the same content"
	}
	p.blank()
	p.line("%s %s in %s", s.bold(b.Pipeline+"@"+b.Version), state, b.Store)
	p.line("%s", b.Digest)
	p.blank()
	p.next("drawbridge plan " + word(b.Pipeline+"@"+b.Version) + " --to dev")
	return p.String()
}

// Started is the answer of a command that returns when its workflow has started.
type Started struct {
	ID   string `json:"id"`
	Run  string `json:"run"`
	Plan string `json:"plan,omitempty"`
}

// Started says that a workflow has started.
func (s Screen) Started(x Started) string {
	p := s.page()
	about := ink("")
	if x.Plan != "" {
		about = inkf(" with plan %s", gate.Short(x.Plan))
	}
	p.line("Started %s%s", x.ID, about)
	p.next("drawbridge status " + word(x.ID) + " --watch")
	return p.String()
}

// Asked says that a workflow was asked to stop.
func (s Screen) Asked(id string) string {
	p := s.page()
	what := "What it published is turned back first."
	switch kind, _, _ := strings.Cut(id, "/"); kind {
	case "backfill":
		what = "What it published stays, whole."
	case "migrate":
		what = "What it has done is undone first, step by step."
	case "run", "scheduled":
		what = "Where it is published by then it stays, and its end says so."
	case "rollback", "recover":
		what = "What it has turned back stays so, and the same command finishes it."
	}
	p.line("Asked %s to stop. %s", id, what)
	p.next("drawbridge status " + word(id) + " --watch")
	return p.String()
}

// Left says that a person stopped following a workflow, and the workflow goes on.
func (s Screen) Left(id string) string {
	p := s.page()
	p.blank()
	p.line("%s goes on without you.", id)
	p.hint("", "look again: drawbridge status "+word(id)+" --watch")
	p.hint("", "stop it: drawbridge cancel "+word(id))
	return p.String()
}

// Missing says on which task queues no worker answers; start are the commands that mend it.
func (s Screen) Missing(queues, start []string) string {
	p := s.page()
	p.line("%s no worker answers on %s: nothing goes on there until one does", s.yellow("waiting:"), strings.Join(queues, ", "))
	p.hint("", "start one: "+strings.Join(start, " and "))
	return p.String()
}

// Back says that the workers are back.
func (s Screen) Back() string { return "workers are back\n" }

// Unregistered says that the server does not know our search attributes; register is the command that mends it.
func (s Screen) Unregistered(register string) string {
	p := s.page()
	p.line("%s search attributes are not registered; going on without them (the inbox is slower)", s.yellow("note:"))
	p.hint("", register)
	return p.String()
}

// Failed is an error and what to do about it. An error may have several lines, such as one per problem of a file; those
// after the first are indented, so that none passes for a line of ours.
func (s Screen) Failed(text, hint, id string) string {
	p := s.page()
	first, rest, more := strings.Cut(strings.TrimRight(text, "\n"), "\n")
	p.line("%s %s", s.red("error:"), first)
	if more {
		for line := range strings.SplitSeq(rest, "\n") {
			p.hang("  ", "    ", inkf("%s", line))
		}
	}
	p.hint("", hint)
	if id != "" {
		p.next("drawbridge status " + word(id))
	}
	return p.String()
}

// Document is a text that has its own lines, such as a plan.
func (s Screen) Document(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		body, ended := strings.CutSuffix(line, "\n")
		for i, part := range strings.Split(body, "\t") {
			if i > 0 {
				b.WriteString("\t")
			}
			b.WriteString(string(escapeUpTo(part, len(part))))
		}
		if ended {
			b.WriteString("\n")
		}
	}
	return b.String()
}
