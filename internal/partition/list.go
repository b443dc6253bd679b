package partition

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const (
	// maxValues bounds a list: its partitions hang beside one another, and what a swap costs grows with them.
	maxValues = 500
	// shownValues is how many names of a list are shown.
	shownValues = 8
)

// NullKey is what the partition of the rows without a value is called where its author gives it no name.
const NullKey Key = "null"

// Value is one partition of a list: the rows whose column has the value, or is NULL.
type Value struct {
	Key  Key
	Text string // as the column's type reads it
	Null bool
}

// Values are the values of a list, in declared order, in a form that may be compared by ==: a line for each, after a line break, with its
// name, =, and the quoted value, or nothing for NULL. No name has a line break or an =.
type Values string

// NewValues makes the values of a list.
func NewValues(all ...Value) Values {
	var b strings.Builder
	for _, v := range all {
		fmt.Fprintf(&b, "\n%s=", v.Key)
		if !v.Null {
			b.WriteString(strconv.Quote(v.Text))
		}
	}
	return Values(b.String())
}

// All are the values in declared order.
func (l Values) All() []Value {
	var all []Value
	for line := range strings.SplitSeq(strings.TrimPrefix(string(l), "\n"), "\n") {
		name, quoted, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		text, err := strconv.Unquote(quoted)
		all = append(all, Value{Key: Key(name), Text: text, Null: err != nil})
	}
	return all
}

// Value is what a partition of a list holds.
func (s Scheme) Value(k Key) (Value, error) {
	for _, v := range s.Values.All() {
		if v.Key == k {
			return v, nil
		}
	}
	return Value{}, s.keyFault(string(k), errUndeclared)
}

var errUndeclared = errors.New("the list does not declare it")

// at is where a partition stands in the list; -1: it does not.
func (l Values) at(k Key) int {
	if strings.ContainsAny(string(k), "\n=") {
		return -1
	}
	return strings.Index(string(l), "\n"+string(k)+"=")
}

// agree says that no name has two values in two lists, and no value two names.
func (l Values) agree(other Values) bool {
	type held struct {
		text string
		null bool
	}
	named, holding := map[Key]held{}, map[held]Key{}
	for _, v := range l.All() {
		h := held{v.Text, v.Null}
		named[v.Key], holding[h] = h, v.Key
	}
	for _, v := range other.All() {
		h := held{v.Text, v.Null}
		if was, ok := named[v.Key]; ok && was != h {
			return false
		}
		if was, ok := holding[h]; ok && was != v.Key {
			return false
		}
	}
	return true
}

// text names the partitions of a list, the first of many.
func (l Values) text() string {
	var names []string
	all := l.All()
	for _, v := range all[:min(len(all), shownValues)] {
		names = append(names, string(v.Key))
	}
	text := strings.Join(names, ", ")
	if more := len(all) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// namePattern is how the partition of a value may be called: names go into names of files, IDs and commands.
var namePattern = regexp.MustCompile(`^(-?[0-9]{1,23}|[A-Za-z0-9][A-Za-z0-9_-]{0,23})$`)

// valid refuses a list of which two partitions would be one, or a name could be mistaken.
func (l Values) valid() error {
	all := l.All()
	if len(all) == 0 {
		return errors.New("the list is empty")
	}
	if len(all) > maxValues {
		return fmt.Errorf("the list has %d values, and %d are the most", len(all), maxValues)
	}
	named, held := map[string]bool{}, map[string]bool{}
	null := false
	for i, v := range all {
		folded := strings.ToLower(string(v.Key))
		switch {
		case !namePattern.MatchString(string(v.Key)):
			return fmt.Errorf("value %d of the list needs a name of at most %d letters, digits, - and _", i+1, longestKey)
		case folded == string(AllKey):
			return errors.New(`no partition of a list may be called "all"`)
		case named[folded]:
			return fmt.Errorf("two partitions of the list are called %s", v.Key)
		case v.Null && null, !v.Null && held[v.Text]:
			return fmt.Errorf("the value of %s is in the list twice", v.Key)
		}
		named[folded] = true
		if v.Null {
			null = true
		} else {
			held[v.Text] = true
		}
	}
	return nil
}

// values is the grid of a list: places in declared order.
type values struct{ of Values }

func (g values) parse(k Key) (point, error) {
	for i, v := range g.of.All() {
		if v.Key == k {
			return point{place: i}, nil
		}
	}
	return point{}, errUndeclared
}

func (g values) key(p point) Key { return g.of.All()[p.place].Key }

func (g values) step(p point, n int) (point, error) {
	next := p.place + n
	if next < 0 || next >= len(g.of.All()) {
		return point{}, errors.New("the list ends there")
	}
	return point{place: next}, nil
}

func (values) bounds(point) Bounds { return Bounds{} }

func (values) compare(a, b point) int { return a.place - b.place }
