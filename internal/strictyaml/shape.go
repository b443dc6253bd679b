package strictyaml

import (
	"regexp"
	"slices"
)

// Kind is what a value in a file is read as.
type Kind int

// The kinds of values.
const (
	Text     Kind = iota // a string, a number or a date as written
	Integer              // int64
	Number               // float64
	Ratio                // float64: 0.5% is 0.005
	Duration             // time.Duration: 15m, 24h, 7d
	Boolean              // bool
	Object               // a mapping with the keys that it lists
	Dict                 // a mapping with free keys, each value of the shape Elem
	List                 // a sequence, each element of the shape Elem
	Cell                 // a value of a row: string, bool, int64, float64 or nil
	Any                  // whatever stands there: it is not looked at
)

// Shape says which values a key takes. The tables of shapes are the one definition of the files: they drive the strict
// parser, its proposals of near keys, and the published JSON Schemas.
type Shape struct {
	Kind    Kind
	Pattern *regexp.Regexp // of a text
	What    string         // what to write instead, where a text does not match
	Allowed []string       // the only values of a text
	Later   []string       // values of a text that the design has and this version does not carry out
	Min     int64          // of an integer
	Max     float64        // of a ratio; 0 is no bound
	Zero    bool           // a duration may be 0s
	Keys    []Key          // of an object
	Single  bool           // an object that has exactly one of its keys
	Filled  bool           // a list or dict that is not empty
	Elem    *Shape         // of a list or dict
	Or      *Shape         // a second form, of another YAML kind; of an integer, also of a scalar that is none
}

// Key is one key of an object.
type Key struct {
	Name     string
	Doc      string // what it does, for editors
	Shape    Shape
	Required bool
	Later    bool   // a key that the design has and this version does not carry out
	Preset   string // the value where the key is absent, as YAML
	// Examples are valid values as YAML. The first two differ; a key with one example takes no other value.
	Examples []string
}

var filledPattern = regexp.MustCompile(`\S`)

// Sentence is text that is not blank.
func Sentence() Shape { return Matching(filledPattern, "text that is not blank") }

// Matching is text of a pattern; what says in words what to write.
func Matching(p *regexp.Regexp, what string) Shape { return Shape{Kind: Text, Pattern: p, What: what} }

// ListOf is a list that is not empty.
func ListOf(elem Shape) Shape { return Shape{Kind: List, Elem: &elem, Filled: true} }

// DictOf is a mapping with free keys.
func DictOf(elem Shape) Shape { return Shape{Kind: Dict, Elem: &elem} }

// OneOf is one of these texts.
func OneOf(values ...string) Shape { return Shape{Kind: Text, Allowed: values} }

// ObjectOf is a mapping with these keys and no other.
func ObjectOf(keys ...Key) Shape { return Shape{Kind: Object, Keys: keys} }

// OrElse adds a second form, of another YAML kind; to an integer, also a scalar that is none.
func (s Shape) OrElse(other Shape) Shape {
	s.Or = &other
	return s
}

// AtLeastOne is the dict or list that is not empty.
func (s Shape) AtLeastOne() Shape {
	s.Filled = true
	return s
}

// UpTo bounds a ratio.
func (s Shape) UpTo(limit float64) Shape {
	s.Max = limit
	return s
}

// Except names values that are refused as not supported yet.
func (s Shape) Except(later ...string) Shape {
	s.Later = later
	return s
}

// Overrides is the object with every key optional and without presets: what an environment says over a pipeline.
func (s Shape) Overrides() Shape {
	keys := make([]Key, len(s.Keys))
	for i, k := range s.Keys {
		k.Required, k.Preset = false, ""
		keys[i] = k
	}
	s.Keys = keys
	return s
}

// With is the object with one key's shape replaced.
func (s Shape) With(name string, other Shape) Shape {
	keys := slices.Clone(s.Keys)
	for i := range keys {
		if keys[i].Name == name {
			keys[i].Shape = other
		}
	}
	s.Keys = keys
	return s
}

// Without is the object without a key.
func (s Shape) Without(name string) Shape {
	var keys []Key
	for _, k := range s.Keys {
		if k.Name != name {
			keys = append(keys, k)
		}
	}
	s.Keys = keys
	return s
}

// names are the keys that an author may write.
func (s Shape) names() []string {
	var names []string
	for _, k := range s.Keys {
		if !k.Later {
			names = append(names, k.Name)
		}
	}
	return names
}

func (s Shape) key(name string) (Key, bool) {
	for _, k := range s.Keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// is says in words what the shape takes.
func (s Shape) is() string {
	words := ""
	switch s.Kind {
	case Integer:
		words = "a whole number"
	case Number:
		words = "a number"
	case Ratio:
		words = "a percentage such as 0.5%"
	case Duration:
		words = "a duration such as 15m, 24h or 7d"
	case Boolean:
		words = "true or false"
	case Object, Dict:
		words = "a mapping"
	case List:
		words = "a list"
	case Cell:
		words = "a single value"
	case Any:
		words = "anything"
	case Text:
		words = "text"
		if s.What != "" {
			words = s.What
		} else if len(s.Allowed) > 0 {
			words = orList(s.Allowed)
		}
	}
	if s.Or != nil {
		words += ", or " + s.Or.is()
	}
	return words
}
