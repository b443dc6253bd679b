// Package reject is what is known of a row of a file that could not be read and was left out.
package reject

import "strings"

// longest bounds, in bytes, what is kept of a row.
const longest = 1000

// Row is one that was left out. It stays in the warehouse: it holds what the file has.
type Row struct {
	File   string
	Line   int    // its first
	Column string // empty: the row as a whole
	Reason string // holds no value
	Text   string // as the file has it, cut
}

// Cut is as much of a row's text as is kept.
func Cut(text []byte) string {
	if len(text) > longest {
		text = text[:longest]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(text), "\ufffd"), "\x00", "\ufffd")
}
