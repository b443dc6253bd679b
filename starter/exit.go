package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// exit is the exit code of a command.
type exit int

// The exit codes, for scripts and CI.
const (
	exitDone       exit = 0
	exitInvalid    exit = 1   // usage, an input that can never work, or a server that does not answer
	exitRefused    exit = 2   // a rule, a check, a gate or a moved world said no
	exitRolledBack exit = 3   // it was visible, and was turned back
	exitWaiting    exit = 4   // a person has to decide
	exitStuck      exit = 5   // it was turned back in part; what is left is named
	exitInterrupt  exit = 130 // Ctrl-C while following: what was started goes on
)

// exitError ends a command that has already said on its screen why it ends so.
type exitError struct{ code exit }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e.code)) }

// brokenOffError is why a workflow could not be followed to an ending of its own: it failed, or nobody could be asked.
type brokenOffError struct {
	id string
	error
}

func (b brokenOffError) Unwrap() error { return b.error }

// err is nil for a command that is done.
func (e exit) err() error {
	if e == exitDone {
		return nil
	}
	return exitError{code: e}
}

// exitOf is the exit code of a workflow as it stands. A recovery has done its work when everything is turned back.
func exitOf(s workflows.Status) exit {
	switch s.Stage {
	case workflows.StageDone:
		return exitDone
	case workflows.StageRolledBack:
		if s.Kind == view.Recovery {
			return exitDone
		}
		return exitRolledBack
	case workflows.StageWaiting, workflows.StagePaused:
		return exitWaiting
	case workflows.StageRefused:
		return exitRefused
	case workflows.StageStuck:
		return exitStuck
	case workflows.StagePlanning, workflows.StageValidating, workflows.StageCrossing, workflows.StageWatching,
		workflows.StageCompensating:
		return exitDone
	}
	return exitRefused
}

// problem is an error as people and programs read it.
type problem struct {
	Text  string `json:"error"`
	Class string `json:"class"` // invalid, refused, conflict, ambiguous or transient
	Hint  string `json:"hint,omitempty"`
	ID    string `json:"id,omitempty"` // of the workflow that was followed
}

// transient is the class of what a retry may mend.
const transient = "transient"

// describe reads a fault of our own, one that a worker sent, or an error of Temporal.
func describe(err error) problem {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return problem{Text: err.Error(), Class: className(f.Class), Hint: fault.HintOf(f)}
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		p := problem{Text: app.Message(), Class: className(fault.Class(app.Type()))}
		var detail activities.Fault
		if app.HasDetails() && app.Details(&detail) == nil {
			p.Hint = detail.Hint
		}
		return p
	}
	p := problem{Text: err.Error(), Class: transient}
	if dispatch.Unreachable(err) {
		p.Hint = "look what is missing: drawbridge doctor"
	}
	return p
}

// className is a class in the words of JSON output. What is no class of ours may be mended by a retry.
func className(class fault.Class) string {
	for _, c := range fault.Classes() {
		if c == class {
			return strings.ToLower(strings.TrimPrefix(string(c), "drawbridge."))
		}
	}
	return transient
}

func (p problem) exit() exit {
	switch p.Class {
	case className(fault.Refused), className(fault.Conflict), className(fault.Ambiguous):
		return exitRefused
	}
	return exitInvalid
}

// finish says what went wrong, on stderr, and returns the exit code.
func (m *Main) finish(ctx context.Context, err error, asJSON bool) exit {
	if err == nil {
		return exitDone
	}
	if said, ok := errors.AsType[exitError](err); ok {
		return said.code
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return exitInterrupt
	}
	p := describe(err)
	if b, ok := errors.AsType[brokenOffError](err); ok {
		p.ID = b.id
	}
	if asJSON {
		if line, encodeErr := console.Line(p); encodeErr == nil {
			fmt.Fprint(m.Stderr, line)
			return p.exit()
		}
	}
	m.say(func(s console.Screen) string { return s.Failed(p.Text, p.Hint, p.ID) })
	return p.exit()
}
