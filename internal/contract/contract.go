// Package contract is what an output has promised to those who read it: its columns, and what its rows are held to. It comes out of a file of
// the Open Data Contract Standard.
package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Contract is the part of a data contract that is about one output.
type Contract struct {
	File    string   `json:"file"`
	ID      string   `json:"id"`
	Version string   `json:"version"`
	Columns []Column `json:"columns"`
	// Consumers are who reads the output, as the contract calls them.
	Consumers []string `json:"consumers,omitempty"`
	// Unchecked are rules of the contract that nothing here holds the output to, in words.
	Unchecked []string `json:"unchecked,omitempty"`
}

// Column is a column that readers rely on.
type Column struct {
	Name string `json:"name"`
	// Type is as the server writes it; empty: any of the kind.
	Type string `json:"type,omitempty"`
	Kind Kind   `json:"kind,omitempty"`
	// Required says that it is never null.
	Required bool `json:"required,omitempty"`
}

// Kind is a logical type of the standard; empty: none is promised.
type Kind string

// The kinds.
const (
	String    Kind = "string"
	Date      Kind = "date"
	Timestamp Kind = "timestamp"
	Time      Kind = "time"
	Number    Kind = "number"
	Integer   Kind = "integer"
	Object    Kind = "object"
	Array     Kind = "array"
	Boolean   Kind = "boolean"
)

// Kinds are all.
func Kinds() []Kind {
	return []Kind{String, Date, Timestamp, Time, Number, Integer, Object, Array, Boolean}
}

// Breaks says what the columns that an output returns, by name with their types as the server writes them, lack of what is promised.
// Columns that the contract does not name break nothing.
func (c Contract) Breaks(types map[string]string) []string {
	var broken []string
	for _, want := range c.Columns {
		have, returned := types[want.Name]
		promised := cmp.Or(want.Type, string(want.Kind), "a column")
		switch {
		case !returned:
			broken = append(broken, fmt.Sprintf("column %s is missing, and is promised as %s", want.Name, promised))
		case !want.takes(have):
			broken = append(broken, fmt.Sprintf("column %s is %s, and is promised as %s", want.Name, have, promised))
		}
	}
	return broken
}

// Text is the contract in a line, with what of it nothing here checks.
func (c Contract) Text() string {
	text := fmt.Sprintf("contract %s %s (%s), %s", c.ID, c.Version, c.File, c.Readers())
	if len(c.Unchecked) > 0 {
		text += "; not checked here: " + strings.Join(c.Unchecked, "; ")
	}
	return text
}

// Readers are the consumers as the end of a sentence.
func (c Contract) Readers() string {
	if len(c.Consumers) == 0 {
		return "the contract names nobody who reads it"
	}
	return "it is read by " + strings.Join(c.Consumers, ", ")
}

// takes says whether a type keeps the promise: a promised type without a length or a scale takes every one of them.
func (c Column) takes(have string) bool {
	if c.Type != "" {
		return have == c.Type || strings.HasPrefix(have, c.Type+"(")
	}
	return c.Kind == "" || c.Kind.takes(have)
}

func (k Kind) takes(have string) bool {
	base, modifiers, _ := strings.Cut(strings.TrimSuffix(have, " without time zone"), "(")
	base = strings.TrimSuffix(base, " with time zone")
	of := func(all ...string) bool { return slices.Contains(all, base) }
	if strings.HasSuffix(have, "[]") {
		return k == Array
	}
	switch k {
	case String:
		return of("text", "character varying", "character", "uuid", "xml", "inet", "cidr", "macaddr", "name")
	case Date:
		return of("date")
	case Timestamp:
		return of("timestamp")
	case Time:
		return of("time")
	case Number:
		return of("numeric", "real", "double precision", "smallint", "integer", "bigint")
	case Integer:
		return of("smallint", "integer", "bigint") || base == "numeric" && strings.HasSuffix(modifiers, ",0)")
	case Object:
		return of("json", "jsonb")
	case Boolean:
		return of("boolean")
	case Array:
	}
	return false
}
