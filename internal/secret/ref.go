package secret

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"drawbridge/internal/fault"
)

// The schemes of references.
const (
	SchemeEnv  = "env"
	SchemeFile = "file"
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Ref names a secret and where it is kept.
type Ref struct {
	Scheme string
	Name   string
}

// String returns the reference as it is written in a configuration.
func (r Ref) String() string { return "${" + r.Scheme + ":" + r.Name + "}" }

// Part is a piece of a value: literal text or a reference, never both.
type Part struct {
	Text string
	Ref  Ref
}

// IsRef reports whether the part is a reference.
func (p Part) IsRef() bool { return p.Ref != Ref{} }

// Parse splits a value into literal text and references, in order. A value without references is one literal,
// an empty one has no parts. What looks like a reference and is none is refused, without quoting the rest of
// the value, which may be secret.
func Parse(value string) ([]Part, error) {
	var parts []Part
	rest := value
	for rest != "" {
		text, after, found := strings.Cut(rest, "${")
		if text != "" {
			parts = append(parts, Part{Text: text})
		}
		if !found {
			break
		}
		body, tail, closed := strings.Cut(after, "}")
		if !closed {
			column := len(value) - len(after) - len("${") + 1
			return nil, invalidRef(fmt.Sprintf("at column %d", column), errors.New("the reference has no closing brace"))
		}
		ref, err := parseRef(body)
		if err != nil {
			return nil, err
		}
		parts = append(parts, Part{Ref: ref})
		rest = tail
	}
	return parts, nil
}

func parseRef(body string) (Ref, error) {
	scheme, name, found := strings.Cut(body, ":")
	ref := Ref{Scheme: scheme, Name: name}
	switch {
	case !found && envName.MatchString(body):
		return Ref{}, invalidRef("${"+body+"}", fmt.Errorf("the reference names no scheme; did you mean ${env:%s}?", body))
	case !found:
		return Ref{}, invalidRef("", errors.New("the reference names no scheme"))
	case scheme != SchemeEnv && scheme != SchemeFile:
		return Ref{}, invalidRef("", errors.New("the scheme of the reference is neither env nor file"))
	case name == "":
		return Ref{}, invalidRef(ref.String(), errors.New("the reference names nothing"))
	case scheme == SchemeEnv && !envName.MatchString(name):
		return Ref{}, invalidRef("", errors.New("the reference does not name an environment variable"))
	}
	return ref, nil
}

func invalidRef(object string, err error) error {
	return fault.New(fault.Invalid, "read secret reference", object,
		"write a reference as ${env:NAME} or ${file:/run/secrets/name}", err)
}
