package migrate

import (
	"slices"
	"strings"
)

// keyed looks at the columns of a key.
func (c *checker) keyed(o Operation, what string, columns []string) {
	if len(columns) == 0 {
		c.say("name its columns", "%s %s has no %s", o.Kind, shown(o.Name), what)
	}
	for i, name := range columns {
		if why := badName(name); why != "" {
			c.say("write the column as it is", "one of the %s of %s %s", what, shown(o.Name), why)
		}
		if slices.Contains(columns[:i], name) {
			c.say("name it once", "%s %s names %s twice", o.Kind, shown(o.Name), shown(name))
		}
	}
}

// oneOf looks at a word that may be left out.
func (c *checker) oneOf(o Operation, what, word string, words []string) {
	if word != "" && !slices.Contains(words, word) {
		c.say("use "+strings.Join(words, ", "), "%s %s: %s is no %s", o.Kind, shown(o.Name), shown(word), what)
	}
}

func (c *checker) addForeignKey(o Operation) {
	c.keyed(o, "columns", o.Columns)
	c.keyed(o, "key", o.Key)
	if len(o.Columns) != len(o.Key) {
		c.say("name as many in key as in columns", "the foreign key %s has %d columns, and leads to %d", shown(o.Name), len(o.Columns), len(o.Key))
	}
	c.oneOf(o, "on_delete", o.OnDelete, Actions())
	c.oneOf(o, "on_update", o.OnUpdate, Actions())
	c.oneOf(o, "match", o.Match, Matches())
	c.oneOf(o, "deferrable", o.Deferrable, Deferrals())
}

func (c *checker) addEnumValue(o Operation) {
	for _, value := range []string{o.Value, o.Before, o.After} {
		if len(value) > maxValue {
			c.say("write a shorter one", "the value %s has %d bytes, and Postgres keeps %d", shownSQL(value), len(value), maxValue)
		}
	}
	switch {
	case o.Value == "":
		c.say("write value", "%s of %s has no value", o.Kind, shown(o.Type))
	case o.Before != "" && o.After != "":
		c.say("keep one of the two", "%s of %s says before and after", o.Kind, shown(o.Type))
	case o.Value == o.Before || o.Value == o.After:
		c.say("name another one", "%s of %s puts %s beside itself", o.Kind, shown(o.Type), shown(o.Value))
	}
}
