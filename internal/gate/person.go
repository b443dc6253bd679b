package gate

import (
	"slices"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Same says whether two names are of one person: case and the way in which Unicode spells a letter make no other one.
func Same(a, b string) bool { return folded(a) == folded(b) }

// folded is a name as it is compared, never as it is shown.
func folded(name string) string { return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name))) }

// isOneOf says whether a person is among names.
func isOneOf(names []string, person string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return Same(n, person) })
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
