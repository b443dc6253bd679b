package gate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Same says whether two names are of one person: case, the way in which Unicode spells a letter, spaces around it and what
// nobody sees make no other one.
func Same(a, b string) bool { return folded(a) == folded(b) }

// folded is a name as it is compared, never as it is shown.
func folded(name string) string {
	seen := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(name))
	return strings.Join(strings.Fields(norm.NFKC.String(cases.Fold().String(seen))), " ")
}

// isOneOf says whether a person is among names.
func isOneOf(names []string, person string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return Same(n, person) })
}

const (
	// byMax and reasonMax bound, in bytes, what a person may write into a workflow's state, which carries every answer.
	byMax     = 200
	reasonMax = 2000
)

// Unfit says why a name and a reason cannot be taken as they were written; empty when they can.
func Unfit(by, reason string) string {
	switch {
	case !plain(by) || !plain(reason):
		return "the name or the reason holds control characters"
	case len(by) > byMax:
		return fmt.Sprintf("the name is longer than %d bytes", byMax)
	case len(reason) > reasonMax:
		return fmt.Sprintf("the reason is longer than %d bytes", reasonMax)
	}
	return ""
}

// plain says that a text is fit for an approver's screen: no control characters, and nothing that turns the direction of
// what follows.
func plain(text string) bool {
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return false
		}
	}
	return true
}
