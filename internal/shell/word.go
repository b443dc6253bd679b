// Package shell writes arguments as a person's shell reads them.
package shell

import (
	"regexp"
	"strings"
)

var plain = regexp.MustCompile(`^[A-Za-z0-9_./@:=,+-]+$`)

// Word is a text as one word of a command line: names come from others, and the lines are there to be copied.
func Word(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
