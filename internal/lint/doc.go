// Package lint looks for what is dangerous in SQL: in migrations of any tool, and in the SELECTs of outputs. It is pure: text in,
// findings out.
//
//	file ─→ section ─→ split ─→ depth ─→ parse ─→ frame ─→ each statement, in order ─→ Report
//	        (headers)  (sqltext)        (Postgres)  (which      rules look at it and at done,
//	                                                transaction) what those before it did
//
// The parser is Postgres's own, compiled to a module that runs in this process without cgo. It begins when the first statement is
// read, and not before, so that a program which links this package pays for it only then.
package lint
