package lint

import (
	"maps"
	"slices"
	"strings"
)

// object is what Postgres's parser says of a piece of SQL, field by field. Fields of their zero value are absent.
type object map[string]any

// node is an object and what kind of thing it is: AlterTableStmt, ColumnRef.
type node struct {
	kind string
	object
}

func (o object) text(field string) string {
	s, _ := o[field].(string)
	return s
}

func (o object) is(field string) bool {
	b, _ := o[field].(bool)
	return b
}

func (o object) number(field string) int {
	f, _ := o[field].(float64)
	return int(f)
}

// at is where in the statement's text the object stands, in bytes; 0 where the parser does not say.
func (o object) at() int { return max(0, o.number("location")) }

// part is a field that holds one object of a known kind.
func (o object) part(field string) object {
	m, _ := o[field].(map[string]any)
	return m
}

// node is a field that holds an object of any kind.
func (o object) node(field string) node { return nodeOf(o[field]) }

// nodes is a field that holds a list.
func (o object) nodes(field string) []node {
	items, _ := o[field].([]any)
	all := make([]node, len(items))
	for i, item := range items {
		all[i] = nodeOf(item)
	}
	return all
}

// nodeOf reads {"Kind": {…}}; what is written otherwise has no kind. Kinds begin with a capital, fields do not.
func nodeOf(v any) node {
	m, _ := v.(map[string]any)
	if len(m) != 1 {
		return node{}
	}
	for kind, fields := range m {
		if inner, ok := fields.(map[string]any); ok && kind[0] >= 'A' && kind[0] <= 'Z' {
			return node{kind: kind, object: inner}
		}
	}
	return node{}
}

// walk shows every node of a tree, outer ones first, in an order that is the same each time. What visit is false for is not entered.
func walk(v any, visit func(node) bool) {
	switch v := v.(type) {
	case node:
		if v.kind == "" || visit(v) {
			walk(map[string]any(v.object), visit)
		}
	case object:
		walk(map[string]any(v), visit)
	case []any:
		for _, item := range v {
			walk(item, visit)
		}
	case map[string]any:
		if n := nodeOf(v); n.kind != "" {
			if visit(n) {
				walk(map[string]any(n.object), visit)
			}
			return
		}
		for _, field := range slices.Sorted(maps.Keys(v)) {
			walk(v[field], visit)
		}
	}
}

// has says whether a tree holds a node that fits.
func has(v any, fits func(node) bool) bool {
	found := false
	walk(v, func(n node) bool {
		found = found || fits(n)
		return !found
	})
	return found
}

// words are the texts of a list of names.
func words(list []node) []string {
	all := make([]string, len(list))
	for i, n := range list {
		all[i] = n.text("sval")
	}
	return all
}

// last is the last of a list of names: a name without its schema.
func last(list []node) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1].text("sval")
}

// table is the name of a relation as a file writes it; schema is empty where it does not say.
type table struct{ schema, name string }

func (t table) String() string {
	if t.schema == "" {
		return t.name
	}
	return t.schema + "." + t.name
}

// same says whether two names may be one relation's: a name without a schema may be in any.
func (t table) same(other table) bool {
	return t.name == other.name && (t.schema == other.schema || t.schema == "" || other.schema == "")
}

// relation reads a name in FROM, or after TABLE.
func relation(o object) table { return table{schema: o.text("schemaname"), name: o.text("relname")} }

// dotted reads a name that is a list of words.
func dotted(list []node) table {
	all := words(list)
	switch n := len(all); n {
	case 0:
		return table{}
	case 1:
		return table{name: all[0]}
	default:
		return table{schema: all[n-2], name: all[n-1]}
	}
}

// typeName is a type as people write it: numeric(12,2), text[].
type typeName struct {
	name  string
	mods  []int
	array bool
}

// typeOf reads a type. Names of Postgres's own grammar are as its catalog has them: integer is int4.
func typeOf(o object) typeName {
	t := typeName{name: last(o.nodes("names")), array: len(o.nodes("arrayBounds")) > 0}
	for _, m := range o.nodes("typmods") {
		t.mods = append(t.mods, m.part("ival").number("ival"))
	}
	return t
}

// in says whether a word is one of those that a text lists.
func in(word, list string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}
