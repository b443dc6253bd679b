// Package console turns what is known into text for people: a Status into a screen, an error into two lines. It is pure:
// it writes nothing, and asks nobody.
//
//	names, reasons, messages ──→ escape ──→ ink ──→ page: lines, tables, bars, trees ──→ text
//	                             (one place)        (width and colour of the Screen)
//
// Every text comes from people or from servers, so a page escapes all of it: a control character would move the cursor of
// whoever approves, a bidirectional override would turn a sentence around. What a page writes as it is has the type ink,
// which only escape and the styles make.
package console
