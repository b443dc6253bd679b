// Package markup writes text of others into Markdown so that it stays text: no link, no code, no HTML, no row of a table.
package markup

import "strings"

// Text writes a text so that Markdown takes it as text: no code, link, HTML or bold. Underscores within names are none.
func Text(text string) string {
	return strings.NewReplacer(
		`\`, `\\`, "`", "\\`", "*", `\*`, "<", "&lt;", "[", `\[`, "\n", " ", "\r", " ",
	).Replace(text)
}

// Code writes a name as a code span.
func Code(text string) string {
	return "`" + strings.NewReplacer("`", "'", "\n", " ", "\r", " ").Replace(text) + "`"
}

// Cell is text that is a cell of a table, and no markup of its own but code spans.
func Cell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "\n", " ", "\r", " ").Replace(text)
}

// Block writes a text as a block of code, which nothing in it ends.
func Block(language, text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}
