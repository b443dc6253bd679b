package strictyaml

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Value is a piece of a file that has been held against its shape. What was refused, and what is absent, has nil data
// and reads as the zero of its type: the problem is already recorded.
type Value struct {
	At   Place
	Data any // string, int64, float64, bool, time.Duration, []value or *mapping
}

// mapping keeps the order in which an author wrote the keys.
type mapping struct {
	names  []string
	values map[string]Value
	keyAt  map[string]Place
}

// Get is the value of a key; the zero Value where v is no mapping, or has no such key.
func (v Value) Get(name string) Value {
	if m, ok := v.Data.(*mapping); ok {
		return m.values[name]
	}
	return Value{}
}

// Names are the keys of a mapping as written, then those that were preset.
func (v Value) Names() []string {
	if m, ok := v.Data.(*mapping); ok {
		return m.names
	}
	return nil
}

// KeyAt is where a key stands, or the mapping itself where the key is absent.
func (v Value) KeyAt(name string) Place {
	if m, ok := v.Data.(*mapping); ok {
		if at, ok := m.keyAt[name]; ok {
			return at
		}
	}
	return v.At
}

// Items are the elements of a list.
func (v Value) Items() []Value {
	items, _ := v.Data.([]Value)
	return items
}

// OK says that a value was given and fits its shape.
func (v Value) OK() bool { return v.Data != nil }

// As is the value's data where it is a T, else the zero T.
func As[T any](v Value) T {
	data, _ := v.Data.(T)
	return data
}

// Pointer is nil where the value is absent.
func Pointer[T any](v Value) *T {
	if data, ok := v.Data.(T); ok {
		return &data
	}
	return nil
}

// Strings are the texts of a list, without elements that were refused.
func (v Value) Strings() []string {
	var out []string
	for _, item := range v.Items() {
		if s, ok := item.Data.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Read holds a file against its table.
func (f *Findings) Read(s Shape, file string, content []byte) Value {
	at := Place{File: file, Line: 1, Column: 1}
	tree, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.syntax(at, err)
		return Value{}
	}
	var bodies []ast.Node
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		f.Add(at, "the file is empty", "")
		return Value{}
	case 1:
		return f.hold(bodies[0], s, at)
	default:
		f.Add(placeOf(bodies[1], at), "a second document begins", "keep one document per file")
		return Value{}
	}
}

func (f *Findings) syntax(at Place, err error) {
	message := err.Error()
	if positioned, ok := errors.AsType[yaml.Error](err); ok {
		message = positioned.GetMessage()
		if token := positioned.GetToken(); token != nil && token.Position != nil {
			at.Line, at.Column = token.Position.Line, token.Position.Column
		}
	}
	f.Add(at, "no valid YAML: "+message, "")
}

// placeOf is where a node begins, under the path of at.
func placeOf(n ast.Node, at Place) Place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return placeOf(m.Values[0].Key, at)
	}
	if token := n.GetToken(); token != nil && token.Position != nil {
		at.Line, at.Column = token.Position.Line, token.Position.Column
	}
	return at
}

// hold reads a node as a shape and records what does not fit.
func (f *Findings) hold(n ast.Node, s Shape, at Place) Value {
	at = placeOf(n, at)
	if s.Kind == Any {
		return Value{At: at, Data: n}
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		f.Add(at, "anchors, aliases and tags are not read", "write the value out")
		return Value{At: at}
	}
	if _, whole := n.(*ast.IntegerNode); s.Or != nil && form(n) == s.Or.form() && (form(n) != s.form() || s.Kind == Integer && !whole) {
		s = *s.Or
	}
	v := Value{At: at}
	switch node := n.(type) {
	case *ast.MappingNode:
		if s.Kind == Object {
			return f.holdObject(node, s, at)
		}
		if s.Kind == Dict {
			return f.holdDict(node, s, at)
		}
	case *ast.SequenceNode:
		if s.Kind == List {
			return f.holdList(node, s, at)
		}
	default:
		if s.form() == scalarForm {
			data, reason, hint := scalar(n, s)
			if reason != "" {
				f.Add(at, reason, hint)
				return v
			}
			v.Data = data
			return v
		}
	}
	f.Add(at, "must be "+s.is(), "")
	return v
}

// forms of YAML nodes.
const (
	scalarForm = iota
	mappingForm
	sequenceForm
)

func (s Shape) form() int {
	switch s.Kind {
	case Object, Dict:
		return mappingForm
	case List:
		return sequenceForm
	default:
		return scalarForm
	}
}

func form(n ast.Node) int {
	switch n.(type) {
	case *ast.MappingNode:
		return mappingForm
	case *ast.SequenceNode:
		return sequenceForm
	default:
		return scalarForm
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// entries lists a mapping's keys once, refusing duplicates.
func (f *Findings) entries(node *ast.MappingNode, at Place, each func(name string, at Place, n ast.Node)) *mapping {
	m := &mapping{values: map[string]Value{}, keyAt: map[string]Place{}}
	for _, entry := range node.Values {
		name := entry.Key.GetToken().Value
		keyAt := placeOf(entry.Key, at)
		if _, plain := entry.Key.(ast.ScalarNode); !plain || entry.Key.IsMergeKey() {
			f.Add(keyAt, "merge keys and complex keys are not read", "write the keys out")
			continue
		}
		keyAt.Path = join(at.Path, name)
		if first, ok := m.keyAt[name]; ok {
			f.Add(keyAt, fmt.Sprintf("the key is already given on line %d", first.Line), "remove one of the two")
			continue
		}
		m.keyAt[name] = keyAt
		m.names = append(m.names, name)
		each(name, keyAt, entry.Value)
	}
	return m
}

// exemplify adds to what was just said of a key's value, and is no help by itself, how the value is written.
func (f *Findings) exemplify(k Key, at Place, said int) {
	for i := said; i < len(f.problems); i++ {
		if p := &f.problems[i]; p.Path == at.Path && p.Hint == "" {
			p.Hint = k.example()
		}
	}
}

// missing says what is to be written where a key is missing.
func (k Key) missing() string {
	doc, example := strings.TrimSpace(k.Doc), k.example()
	if doc == "" || example == "" {
		return doc + example
	}
	return strings.TrimSuffix(doc, ".") + ", " + example
}

// example is a line as it may be written; empty: none is known.
func (k Key) example() string {
	if len(k.Examples) == 0 {
		return ""
	}
	return "as in " + k.Name + ": " + k.Examples[0]
}

func (f *Findings) holdObject(node *ast.MappingNode, s Shape, at Place) Value {
	known := map[string]Value{}
	m := f.entries(node, at, func(name string, keyAt Place, n ast.Node) {
		k, ok := s.key(name)
		switch {
		case !ok:
			f.Add(keyAt, "unknown key", DidYouMean(name, s.names()))
		case k.Later:
			f.Add(keyAt, unsupported(name, k.Doc), "remove the key")
		default:
			before := len(f.problems)
			known[name] = f.hold(n, k.Shape, keyAt)
			f.exemplify(k, keyAt, before)
		}
	})
	m.values = known
	if s.Single {
		if len(m.names) != 1 {
			f.Add(at, "must have exactly one key", "use "+orList(s.names()))
		}
		return Value{At: at, Data: m}
	}
	for _, k := range s.Keys {
		if _, given := m.keyAt[k.Name]; given {
			continue
		}
		switch {
		case k.Required:
			f.Add(at, "the key "+strconv.Quote(k.Name)+" is missing", k.missing())
		case k.Preset != "":
			m.names = append(m.names, k.Name)
			m.values[k.Name] = f.preset(k, Place{File: at.File, Line: at.Line, Column: at.Column, Path: join(at.Path, k.Name)})
		}
	}
	return Value{At: at, Data: m}
}

// preset reads a key's default as if the author had written it where the object stands.
func (f *Findings) preset(k Key, at Place) Value {
	tree, err := parser.ParseBytes([]byte(k.Preset), 0)
	if err != nil {
		f.Add(at, "the default is no YAML: "+err.Error(), "")
		return Value{At: at}
	}
	before := len(f.problems)
	v := f.hold(tree.Docs[0].Body, k.Shape, at)
	for i := before; i < len(f.problems); i++ {
		f.problems[i].Line, f.problems[i].Column = at.Line, at.Column
	}
	return v
}

func (f *Findings) holdDict(node *ast.MappingNode, s Shape, at Place) Value {
	values := map[string]Value{}
	m := f.entries(node, at, func(name string, keyAt Place, n ast.Node) {
		if strings.TrimSpace(name) == "" {
			f.Add(keyAt, "a name is blank", "")
			return
		}
		values[name] = f.hold(n, *s.Elem, keyAt)
	})
	m.values = values
	if s.Filled && len(m.names) == 0 {
		f.Add(at, "must not be empty", "")
	}
	return Value{At: at, Data: m}
}

func (f *Findings) holdList(node *ast.SequenceNode, s Shape, at Place) Value {
	items := make([]Value, len(node.Values))
	for i, n := range node.Values {
		elemAt := at
		elemAt.Path = at.Path + "[" + strconv.Itoa(i) + "]"
		items[i] = f.hold(n, *s.Elem, elemAt)
	}
	if s.Filled && len(items) == 0 {
		f.Add(at, "must not be empty", "")
	}
	return Value{At: at, Data: items}
}
