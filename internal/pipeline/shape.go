package pipeline

import (
	"regexp"
	"slices"
)

// kind is what a value in a file is read as.
type kind int

const (
	text     kind = iota // a string, a number or a date as written
	integer              // int64
	number               // float64
	ratio                // float64: 0.5% is 0.005
	duration             // time.Duration: 15m, 24h, 7d
	boolean              // bool
	object               // a mapping with the keys that it lists
	dict                 // a mapping with free keys, each value of the shape elem
	list                 // a sequence, each element of the shape elem
	cell                 // a value of a row: string, bool, int64, float64 or nil
)

// shape says which values a key takes. The tables of shapes are the one definition of the files: they drive the strict
// parser, its proposals of near keys, and the published JSON Schemas.
type shape struct {
	kind    kind
	pattern *regexp.Regexp // of a text
	what    string         // what to write instead, where a text does not match
	allowed []string       // the only values of a text
	later   []string       // values of a text that the design has and this version does not carry out
	min     int64          // of an integer
	max     float64        // of a ratio; 0 is no bound
	zero    bool           // a duration may be 0s
	keys    []key          // of an object
	single  bool           // an object that has exactly one of its keys
	filled  bool           // a list or dict that is not empty
	elem    *shape         // of a list or dict
	or      *shape         // a second form, of another YAML kind
}

// key is one key of an object.
type key struct {
	name     string
	doc      string // what it does, for editors
	shape    shape
	required bool
	later    bool   // a key that the design has and this version does not carry out
	preset   string // the value where the key is absent, as YAML
	// examples are valid values as YAML. The first two differ; a key with one example takes no other value.
	examples []string
}

var (
	identifierPattern  = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)
	namePattern        = regexp.MustCompile(`^[a-z][a-z0-9]*([_-][a-z0-9]+)*$`)
	environmentPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)
	filePattern        = regexp.MustCompile(`^[^/\\\x00][^\\\x00]*$`)
	columnPattern      = regexp.MustCompile(`^[^\x00]{1,63}$`)
	typePattern        = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_ .]*(\( *[0-9]+( *, *[0-9]+)? *\))?[A-Za-z ]*(\[\])*$`)
	filledPattern      = regexp.MustCompile(`\S`)
	latestPattern      = regexp.MustCompile(`^latest [1-9][0-9]{0,5}$`)
	encodingPattern    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)
	delimiterPattern   = regexp.MustCompile(`^[^\n\r"a-zA-Z0-9.\\]$`)
	absolutePattern    = regexp.MustCompile(`^/.+`)
)

func matching(p *regexp.Regexp, what string) shape { return shape{kind: text, pattern: p, what: what} }

func listOf(elem shape) shape { return shape{kind: list, elem: &elem, filled: true} }

func dictOf(elem shape) shape { return shape{kind: dict, elem: &elem} }

func oneOf(values ...string) shape { return shape{kind: text, allowed: values} }

func objectOf(keys ...key) shape { return shape{kind: object, keys: keys} }

func (s shape) orElse(other shape) shape {
	s.or = &other
	return s
}

func (s shape) upTo(limit float64) shape {
	s.max = limit
	return s
}

func (s shape) except(later ...string) shape {
	s.later = later
	return s
}

// overrides is the object with every key optional and without presets: what an environment says over a pipeline.
func (s shape) overrides() shape {
	keys := make([]key, len(s.keys))
	for i, k := range s.keys {
		k.required, k.preset = false, ""
		keys[i] = k
	}
	s.keys = keys
	return s
}

// with is the object with one key's shape replaced.
func (s shape) with(name string, other shape) shape {
	keys := slices.Clone(s.keys)
	for i := range keys {
		if keys[i].name == name {
			keys[i].shape = other
		}
	}
	s.keys = keys
	return s
}

// without is the object without a key.
func (s shape) without(name string) shape {
	var keys []key
	for _, k := range s.keys {
		if k.name != name {
			keys = append(keys, k)
		}
	}
	s.keys = keys
	return s
}

// names are the keys that an author may write.
func (s shape) names() []string {
	var names []string
	for _, k := range s.keys {
		if !k.later {
			names = append(names, k.name)
		}
	}
	return names
}

func (s shape) key(name string) (key, bool) {
	for _, k := range s.keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// is says in words what the shape takes.
func (s shape) is() string {
	words := ""
	switch s.kind {
	case integer:
		words = "a whole number"
	case number:
		words = "a number"
	case ratio:
		words = "a percentage such as 0.5%"
	case duration:
		words = "a duration such as 15m, 24h or 7d"
	case boolean:
		words = "true or false"
	case object, dict:
		words = "a mapping"
	case list:
		words = "a list"
	case cell:
		words = "a single value"
	case text:
		words = "text"
		if s.what != "" {
			words = s.what
		} else if len(s.allowed) > 0 {
			words = orList(s.allowed)
		}
	}
	if s.or != nil {
		words += ", or " + s.or.is()
	}
	return words
}
