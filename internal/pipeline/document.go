package pipeline

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// value is a piece of a file that has been held against its shape. What was refused, and what is absent, has nil data
// and reads as the zero of its type: the problem is already recorded.
type value struct {
	at   place
	data any // string, int64, float64, bool, time.Duration, []value or *mapping
}

// mapping keeps the order in which an author wrote the keys.
type mapping struct {
	names  []string
	values map[string]value
	keyAt  map[string]place
}

func (v value) get(name string) value {
	if m, ok := v.data.(*mapping); ok {
		return m.values[name]
	}
	return value{}
}

// names are the keys of a mapping as written, then those that were preset.
func (v value) names() []string {
	if m, ok := v.data.(*mapping); ok {
		return m.names
	}
	return nil
}

// keyAt is where a key stands, or the mapping itself where the key is absent.
func (v value) keyAt(name string) place {
	if m, ok := v.data.(*mapping); ok {
		if at, ok := m.keyAt[name]; ok {
			return at
		}
	}
	return v.at
}

func (v value) items() []value {
	items, _ := v.data.([]value)
	return items
}

func (v value) ok() bool { return v.data != nil }

// as is the value's data where it is a T, else the zero T.
func as[T any](v value) T {
	data, _ := v.data.(T)
	return data
}

// pointer is nil where the value is absent.
func pointer[T any](v value) *T {
	if data, ok := v.data.(T); ok {
		return &data
	}
	return nil
}

func (v value) strings() []string {
	var out []string
	for _, item := range v.items() {
		if s, ok := item.data.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// read holds a file against its table.
func (f *findings) read(d Document, file string, content []byte) value {
	at := place{file: file, line: 1, column: 1}
	tree, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.syntax(at, err)
		return value{}
	}
	var bodies []ast.Node
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		f.add(at, "the file is empty", "")
		return value{}
	case 1:
		return f.hold(bodies[0], d.shape(), at)
	default:
		f.add(placeOf(bodies[1], at), "a second document begins", "keep one document per file")
		return value{}
	}
}

func (f *findings) syntax(at place, err error) {
	message := err.Error()
	if positioned, ok := errors.AsType[yaml.Error](err); ok {
		message = positioned.GetMessage()
		if token := positioned.GetToken(); token != nil && token.Position != nil {
			at.line, at.column = token.Position.Line, token.Position.Column
		}
	}
	f.add(at, "no valid YAML: "+message, "")
}

// placeOf is where a node begins, under the path of at.
func placeOf(n ast.Node, at place) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return placeOf(m.Values[0].Key, at)
	}
	if token := n.GetToken(); token != nil && token.Position != nil {
		at.line, at.column = token.Position.Line, token.Position.Column
	}
	return at
}

// hold reads a node as a shape and records what does not fit.
func (f *findings) hold(n ast.Node, s shape, at place) value {
	at = placeOf(n, at)
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		f.add(at, "anchors, aliases and tags are not read", "write the value out")
		return value{at: at}
	}
	if s.or != nil && form(n) == s.or.form() && form(n) != s.form() {
		s = *s.or
	}
	v := value{at: at}
	switch node := n.(type) {
	case *ast.MappingNode:
		if s.kind == object {
			return f.holdObject(node, s, at)
		}
		if s.kind == dict {
			return f.holdDict(node, s, at)
		}
	case *ast.SequenceNode:
		if s.kind == list {
			return f.holdList(node, s, at)
		}
	default:
		if s.form() == scalarForm {
			data, reason, hint := scalar(n, s)
			if reason != "" {
				f.add(at, reason, hint)
				return v
			}
			v.data = data
			return v
		}
	}
	f.add(at, "must be "+s.is(), "")
	return v
}

// forms of YAML nodes.
const (
	scalarForm = iota
	mappingForm
	sequenceForm
)

func (s shape) form() int {
	switch s.kind {
	case object, dict:
		return mappingForm
	case list:
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
func (f *findings) entries(node *ast.MappingNode, at place, each func(name string, at place, n ast.Node)) *mapping {
	m := &mapping{values: map[string]value{}, keyAt: map[string]place{}}
	for _, entry := range node.Values {
		name := entry.Key.GetToken().Value
		keyAt := placeOf(entry.Key, at)
		if _, plain := entry.Key.(ast.ScalarNode); !plain || entry.Key.IsMergeKey() {
			f.add(keyAt, "merge keys and complex keys are not read", "write the keys out")
			continue
		}
		keyAt.path = join(at.path, name)
		if first, ok := m.keyAt[name]; ok {
			f.add(keyAt, fmt.Sprintf("the key is already given on line %d", first.line), "remove one of the two")
			continue
		}
		m.keyAt[name] = keyAt
		m.names = append(m.names, name)
		each(name, keyAt, entry.Value)
	}
	return m
}

func (f *findings) holdObject(node *ast.MappingNode, s shape, at place) value {
	known := map[string]value{}
	m := f.entries(node, at, func(name string, keyAt place, n ast.Node) {
		k, ok := s.key(name)
		switch {
		case !ok:
			f.add(keyAt, "unknown key", didYouMean(name, s.names()))
		case k.later:
			f.add(keyAt, "not supported yet: "+name, "remove the key")
		default:
			known[name] = f.hold(n, k.shape, keyAt)
		}
	})
	m.values = known
	if s.single {
		if len(m.names) != 1 {
			f.add(at, "must have exactly one key", "use "+orList(s.names()))
		}
		return value{at: at, data: m}
	}
	for _, k := range s.keys {
		if _, given := m.keyAt[k.name]; given {
			continue
		}
		switch {
		case k.required:
			f.add(at, "the key "+k.name+" is missing", strings.TrimSpace(k.doc))
		case k.preset != "":
			m.names = append(m.names, k.name)
			m.values[k.name] = f.preset(k, place{file: at.file, line: at.line, column: at.column, path: join(at.path, k.name)})
		}
	}
	return value{at: at, data: m}
}

// preset reads a key's default as if the author had written it where the object stands.
func (f *findings) preset(k key, at place) value {
	tree, err := parser.ParseBytes([]byte(k.preset), 0)
	if err != nil {
		f.add(at, "the default is no YAML: "+err.Error(), "")
		return value{at: at}
	}
	before := len(f.problems)
	v := f.hold(tree.Docs[0].Body, k.shape, at)
	for i := before; i < len(f.problems); i++ {
		f.problems[i].Line, f.problems[i].Column = at.line, at.column
	}
	return v
}

func (f *findings) holdDict(node *ast.MappingNode, s shape, at place) value {
	values := map[string]value{}
	m := f.entries(node, at, func(name string, keyAt place, n ast.Node) {
		if strings.TrimSpace(name) == "" {
			f.add(keyAt, "a name is blank", "")
			return
		}
		values[name] = f.hold(n, *s.elem, keyAt)
	})
	m.values = values
	if s.filled && len(m.names) == 0 {
		f.add(at, "must not be empty", "")
	}
	return value{at: at, data: m}
}

func (f *findings) holdList(node *ast.SequenceNode, s shape, at place) value {
	items := make([]value, len(node.Values))
	for i, n := range node.Values {
		elemAt := at
		elemAt.path = at.path + "[" + strconv.Itoa(i) + "]"
		items[i] = f.hold(n, *s.elem, elemAt)
	}
	if s.filled && len(items) == 0 {
		f.add(at, "must not be empty", "")
	}
	return value{at: at, data: items}
}
