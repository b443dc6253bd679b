package pipeline

import (
	"iter"

	"drawbridge/internal/strictyaml"
)

// Schema is the JSON Schema (draft 2020-12) of a document, for editors. It is generated from the tables that drive the
// parser; keys that are not carried out are not in it.
func Schema(d Document) ([]byte, error) { return strictyaml.JSONSchema(d.title(), d.shape()) }

// SchemaKey is one key of a document's schema.
type SchemaKey struct {
	Document Document
	// Path spells lists as [] and free keys as *: outputs[].checks[].row_count.min, canary.expect.changed.*
	Path string
	// Examples are valid values as YAML: two that differ, or one where the key takes no other; none for an object whose
	// keys follow.
	Examples []string
}

// SchemaKeys walks every key of a document's schema, so that a test can change each one and see that it matters.
func SchemaKeys(d Document) iter.Seq[SchemaKey] {
	return func(yield func(SchemaKey) bool) {
		for path, k := range d.shape().Walk() {
			if !yield(SchemaKey{Document: d, Path: path, Examples: k.Examples}) {
				return
			}
		}
	}
}
