package strictyaml

import (
	"encoding/json"
	"fmt"
	"iter"

	"github.com/goccy/go-yaml"
)

// JSONSchema is the JSON Schema (draft 2020-12) of a document, for editors. Keys that are not carried out are not in it.
func JSONSchema(title string, s Shape) ([]byte, error) {
	root, err := s.jsonSchema()
	if err != nil {
		return nil, fmt.Errorf("generate the schema of %s: %w", title, err)
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = title
	body, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("generate the schema of %s: %w", title, err)
	}
	return append(body, '\n'), nil
}

func (s Shape) jsonSchema() (map[string]any, error) {
	if s.Or == nil {
		return s.jsonForm()
	}
	one, err := s.jsonForm()
	if err != nil {
		return nil, err
	}
	other, err := s.Or.jsonSchema()
	if err != nil {
		return nil, err
	}
	return map[string]any{"anyOf": []any{one, other}}, nil
}

// jsonForm is the schema of the shape itself, without its second form.
func (s Shape) jsonForm() (map[string]any, error) {
	switch s.Kind {
	case Integer:
		return map[string]any{"type": "integer", "minimum": s.Min}, nil
	case Number:
		return map[string]any{"type": "number"}, nil
	case Boolean:
		return map[string]any{"type": "boolean"}, nil
	case Ratio:
		return map[string]any{"anyOf": []any{
			map[string]any{"type": "number", "minimum": 0, "maximum": 1},
			map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)? ?%$`},
		}}, nil
	case Duration:
		return map[string]any{"type": "string", "pattern": durationPattern.String()}, nil
	case Any:
		return map[string]any{}, nil
	case Cell:
		return map[string]any{"type": []string{"string", "number", "boolean", "null"}}, nil
	case Object:
		return s.jsonObject()
	case Dict:
		elem, err := s.Elem.jsonSchema()
		out := map[string]any{"type": "object", "additionalProperties": elem}
		if s.Filled {
			out["minProperties"] = 1
		}
		return out, err
	case List:
		elem, err := s.Elem.jsonSchema()
		out := map[string]any{"type": "array", "items": elem}
		if s.Filled {
			out["minItems"] = 1
		}
		return out, err
	default:
		return s.jsonText(), nil
	}
}

func (s Shape) jsonText() map[string]any {
	switch {
	case len(s.Allowed) > 0:
		return map[string]any{"type": "string", "enum": s.Allowed}
	case s.Pattern == nil || s.Pattern == filledPattern:
		// Text is read as it is written, so an unquoted number is text too.
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	case s.Pattern.MatchString("100"):
		return map[string]any{"type": []string{"string", "number"}, "pattern": s.Pattern.String()}
	default:
		return map[string]any{"type": "string", "pattern": s.Pattern.String()}
	}
}

func (s Shape) jsonObject() (map[string]any, error) {
	properties := map[string]any{}
	var required []string
	for _, k := range s.Keys {
		if k.Later {
			continue
		}
		property, err := k.jsonSchema()
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Name, err)
		}
		properties[k.Name] = property
		if k.Required {
			required = append(required, k.Name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	if s.Single {
		out["minProperties"], out["maxProperties"] = 1, 1
	}
	return out, nil
}

func (k Key) jsonSchema() (map[string]any, error) {
	out, err := k.Shape.jsonSchema()
	if err != nil {
		return nil, err
	}
	out["description"] = k.Doc
	if k.Preset != "" {
		if out["default"], err = jsonValue(k.Preset); err != nil {
			return nil, err
		}
	}
	var examples []any
	for _, e := range k.Examples {
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

// Walk visits every key below a shape with its path, which spells lists as [] and free keys as *. Keys that are not carried
// out are left out.
func (s Shape) Walk() iter.Seq2[string, Key] {
	return func(yield func(string, Key) bool) { s.walk("", yield) }
}

// walk visits the keys below a shape; it stops when visit says so, and tells whether it came to the end.
func (s Shape) walk(path string, visit func(path string, k Key) bool) bool {
	switch s.Kind {
	case Text, Integer, Number, Ratio, Duration, Boolean, Cell, Any:
	case List:
		if !s.Elem.walk(path+"[]", visit) {
			return false
		}
	case Dict:
		if !s.Elem.walk(join(path, "*"), visit) {
			return false
		}
	case Object:
		for _, k := range s.Keys {
			if k.Later {
				continue
			}
			at := join(path, k.Name)
			if !visit(at, k) || !k.Shape.walk(at, visit) {
				return false
			}
		}
	}
	return s.Or == nil || s.Or.walk(path, visit)
}
