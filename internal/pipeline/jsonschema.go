package pipeline

import (
	"encoding/json"
	"fmt"
	"iter"

	"github.com/goccy/go-yaml"
)

// Schema is the JSON Schema (draft 2020-12) of a document, for editors. It is generated from the tables that drive the
// parser; keys that are not carried out are not in it.
func Schema(d Document) ([]byte, error) {
	root, err := d.shape().jsonSchema()
	if err != nil {
		return nil, fmt.Errorf("generate the schema of %s: %w", d, err)
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = d.title()
	body, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("generate the schema of %s: %w", d, err)
	}
	return append(body, '\n'), nil
}

func (s shape) jsonSchema() (map[string]any, error) {
	if s.or == nil {
		return s.jsonForm()
	}
	one, err := s.jsonForm()
	if err != nil {
		return nil, err
	}
	other, err := s.or.jsonSchema()
	if err != nil {
		return nil, err
	}
	return map[string]any{"anyOf": []any{one, other}}, nil
}

// jsonForm is the schema of the shape itself, without its second form.
func (s shape) jsonForm() (map[string]any, error) {
	switch s.kind {
	case integer:
		return map[string]any{"type": "integer", "minimum": s.min}, nil
	case number:
		return map[string]any{"type": "number"}, nil
	case boolean:
		return map[string]any{"type": "boolean"}, nil
	case ratio:
		return map[string]any{"anyOf": []any{
			map[string]any{"type": "number", "minimum": 0, "maximum": 1},
			map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)? ?%$`},
		}}, nil
	case duration:
		return map[string]any{"type": "string", "pattern": durationPattern.String()}, nil
	case cell:
		return map[string]any{"type": []string{"string", "number", "boolean", "null"}}, nil
	case object:
		return s.jsonObject()
	case dict:
		elem, err := s.elem.jsonSchema()
		out := map[string]any{"type": "object", "additionalProperties": elem}
		if s.filled {
			out["minProperties"] = 1
		}
		return out, err
	case list:
		elem, err := s.elem.jsonSchema()
		out := map[string]any{"type": "array", "items": elem}
		if s.filled {
			out["minItems"] = 1
		}
		return out, err
	default:
		return s.jsonText(), nil
	}
}

func (s shape) jsonText() map[string]any {
	switch {
	case len(s.allowed) > 0:
		return map[string]any{"type": "string", "enum": s.allowed}
	case s.pattern == nil || s.pattern == filledPattern:
		// Text is read as it is written, so an unquoted number is text too.
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	default:
		return map[string]any{"type": "string", "pattern": s.pattern.String()}
	}
}

func (s shape) jsonObject() (map[string]any, error) {
	properties := map[string]any{}
	var required []string
	for _, k := range s.keys {
		if k.later {
			continue
		}
		property, err := k.jsonSchema()
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.name, err)
		}
		properties[k.name] = property
		if k.required {
			required = append(required, k.name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	if s.single {
		out["minProperties"], out["maxProperties"] = 1, 1
	}
	return out, nil
}

func (k key) jsonSchema() (map[string]any, error) {
	out, err := k.shape.jsonSchema()
	if err != nil {
		return nil, err
	}
	out["description"] = k.doc
	if k.preset != "" {
		if out["default"], err = jsonValue(k.preset); err != nil {
			return nil, err
		}
	}
	var examples []any
	for _, e := range k.examples {
		example, err := jsonValue(e)
		if err != nil {
			return nil, err
		}
		examples = append(examples, example)
	}
	if examples != nil {
		out["examples"] = examples
	}
	return out, nil
}

func jsonValue(text string) (any, error) {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("read %s: %w", text, err)
	}
	return v, nil
}

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
		d.shape().walk("", func(path string, k key) bool {
			return yield(SchemaKey{Document: d, Path: path, Examples: k.examples})
		})
	}
}

// walk visits the keys below a shape; it stops when visit says so, and tells whether it came to the end.
func (s shape) walk(path string, visit func(path string, k key) bool) bool {
	switch s.kind {
	case text, integer, number, ratio, duration, boolean, cell:
	case list:
		if !s.elem.walk(path+"[]", visit) {
			return false
		}
	case dict:
		if !s.elem.walk(join(path, "*"), visit) {
			return false
		}
	case object:
		for _, k := range s.keys {
			if k.later {
				continue
			}
			at := join(path, k.name)
			if !visit(at, k) || !k.shape.walk(at, visit) {
				return false
			}
		}
	}
	return s.or == nil || s.or.walk(path, visit)
}
