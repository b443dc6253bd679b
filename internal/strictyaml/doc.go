// Package strictyaml reads the YAML files that people write against tables of shapes: every key is carried out or refused by
// name, with file, line and column, and all problems are returned at once. The same tables give the JSON Schemas.
//
//	table (Shape, Key) ──┬── Findings.Read(shape, file, content) → Value
//	                     │        what does not fit is a Problem, and reads as the zero of its type
//	                     ├── JSONSchema → for editors
//	                     └── Walk       → every key, for tests that show that each one matters
//	Findings.Add         ── what fits its shape, and still makes no sense, in the words of the file's owner
//	Findings.Err         ── nil, or one fault.Invalid with all Problems
//
// It knows the files of no package: those keep their tables and what the values mean.
package strictyaml
