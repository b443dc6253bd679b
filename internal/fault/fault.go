// Package fault is Drawbridge's closed list of errors that a retry cannot mend.
//
// Everything that is not a fault is transient: Temporal tries it again. Each boundary translates into a
// fault once: SQLSTATEs in internal/postgres, faults into Temporal application errors in activities,
// application errors into an exit code and a hint in the CLI.
package fault

import (
	"errors"
	"strings"
)

// Class says what is known about a failure, and so who acts on it. The strings are wire contract:
// they are the types of Temporal application errors.
type Class string

const (
	// Invalid is an input or a plan that can never work; its author mends it.
	Invalid Class = "drawbridge.Invalid"
	// Refused is a rule, a check or a gate that says no; its author mends it, or a person approves.
	Refused Class = "drawbridge.Refused"
	// Conflict is a world that differs from the plan; plan again.
	Conflict Class = "drawbridge.Conflict"
	// Ambiguous is an effect that may or may not have happened; an operator looks, by the printed check.
	Ambiguous Class = "drawbridge.Ambiguous"
)

// Classes lists every class, for retry policies and exhaustive tests.
func Classes() []Class { return []Class{Invalid, Refused, Conflict, Ambiguous} }

// Error is a fault: what was being done (Op, a verb phrase), to what (Object), why it cannot be (Err),
// and what a person does next (Hint, a sentence or a command). It never holds a secret or a row's values.
type Error struct {
	Class  Class
	Op     string
	Object string
	Hint   string
	Err    error
}

// New builds a fault. err says why in lower case; hint says what to do next.
func New(class Class, op, object, hint string, err error) *Error {
	return &Error{Class: class, Op: Bound(op), Object: Bound(object), Hint: Bound(hint), Err: err}
}

// Newf is New with the reason given as text.
func Newf(class Class, op, object, hint, reason string) *Error {
	return New(class, op, object, hint, errors.New(reason))
}

// Error reads "op object: reason", within MaxText and without the hint: the screen that shows it puts the hint on its own
// line.
func (e *Error) Error() string {
	parts := make([]string, 0, 2)
	if head := strings.TrimSpace(e.Op + " " + e.Object); head != "" {
		parts = append(parts, head)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return Bound(strings.Join(parts, ": "))
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of the outermost fault in err's chain, or "" for a transient error.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ""
}

// HintOf returns the outermost hint in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// Unreachable is a transient error: a server does not answer, and says why as far as that is known. What has begun waits for
// it to come back; what has not begun says so at once.
type Unreachable string //nolint:errname // read as fault.Unreachable

// Away is Unreachable of a server that is not the environment's warehouse.
//
//nolint:errname // read as fault.Away
type Away struct {
	Server string // what people call it
	Reason Unreachable
}

// Error says which server, and why.
func (a *Away) Error() string { return a.Server + ": " + string(a.Reason) }

// Unwrap is the reason.
func (a *Away) Unwrap() error { return a.Reason }

// Error is the sentence.
func (u Unreachable) Error() string { return string(u) }
