package migrate

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mistake is something that the author of a migration has to write otherwise, whatever the table is like.
type Mistake struct {
	// Operation is the one that it is about, from 0; -1: the migration as a whole.
	Operation int
	Reason    string
	Hint      string
}

// Mistakes are all that a migration says that can never be done.
func Mistakes(m Migration) []Mistake {
	c := checker{at: -1}
	c.whole(m)
	seen := map[string]Kind{}
	names := map[string]Kind{}
	values := map[[2]string]bool{}
	keys := 0
	for i, o := range m.Operations {
		c.at = i
		c.operation(o)
		if len(m.Operations) > 1 && (o.Kind == CreateTable || o.Kind == DropTable || o.Kind == RenameTable) {
			c.say("write it in a migration of its own", "%s is about all of %s, and nothing else is changed with it", o.Kind, shown(m.Table))
		}
		if m.Deprecate.Brownout > 0 && (o.Kind == DropTable || o.Kind == RenameTable) {
			c.say("leave deprecate.brownout out", "%s has no brownout: a table that goes is hidden for all of the window, and one that is renamed has both names", o.Kind)
		}
		if o.Kind == RenameTable && o.To == m.Table {
			c.say("choose another name", "the table is called %s already", shown(o.To))
		}
		if o.Column != "" {
			if first, twice := seen[o.Column]; twice {
				c.say("write the second one in a migration of its own, after this one", "%s and %s are both about %s", first, o.Kind, shown(o.Column))
			}
			seen[o.Column] = o.Kind
		}
		if o.Name != "" {
			if first, twice := names[o.Name]; twice {
				c.say("choose another name", "%s and %s are both about %s", first, o.Kind, shown(o.Name))
			}
			names[o.Name] = o.Kind
		}
		if value := [2]string{o.Type, o.Value}; o.Kind == AddEnumValue {
			if values[value] {
				c.say("write it once", "two operations give %s the value %s", shown(o.Type), shown(o.Value))
			}
			values[value] = true
		}
		if o.Kind == AddPrimaryKey {
			if keys++; keys == 2 {
				c.say("keep one of them, and make the other one unique", "a table has one primary key")
			}
		}
	}
	return c.mistakes
}

type checker struct {
	at       int
	mistakes []Mistake
}

func (c *checker) say(hint, format string, args ...any) {
	c.mistakes = append(c.mistakes, Mistake{Operation: c.at, Reason: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) whole(m Migration) {
	if !ValidName(m.Name) {
		c.say("call the file as in 0007_channel.yaml", "%s is no name of a migration: four digits, and lower-case words joined by _", shown(m.Name))
	}
	if why := badName(m.Table); why != "" {
		c.say("name the table", "the table's name %s", why)
	}
	if strings.TrimSpace(m.Why) == "" {
		c.say("write why, for those who approve it", "it does not say why")
	}
	if len(m.Operations) == 0 {
		c.say("write what is to change", "it has no operation")
	}
	if m.Deprecate.Brownout > 0 && m.Deprecate.Brownout >= m.Deprecate.Window {
		c.say("make the window longer", "the brownout is not shorter than the window")
	}
	seen := map[string]bool{}
	for _, consumer := range m.Consumers {
		if strings.TrimSpace(consumer.Name) == "" {
			c.say("give it a name", "a consumer has no name")
		}
		if seen[consumer.Name] {
			c.say("name each once", "two consumers are called %s", shown(consumer.Name))
		}
		seen[consumer.Name] = true
		for _, role := range consumer.Roles {
			if why := badName(role); why != "" {
				c.say("write the login as it is", "a role of %s %s", shown(consumer.Name), why)
			}
		}
	}
}

func (c *checker) operation(o Operation) {
	if _, known := RecipeOf(o.Kind); !known {
		c.say("docs/migrations.md lists them", "there is no operation %s", shown(string(o.Kind)))
		return
	}
	for _, text := range o.texts() {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			c.say("write text", "%s holds bytes that are no text", o.Kind)
			return
		}
	}
	for _, expression := range []string{o.Default, o.Up, o.Down, o.Check, o.Where} {
		if why := BadExpression(expression); expression != "" && why != "" {
			c.say("write one expression over the columns of a row", "the expression %s of %s %s", shownSQL(expression), o.Kind, why)
		}
	}
	c.named(o)
	switch o.Kind {
	case AddColumn:
		c.addColumn(o)
	case ChangeType:
		if _, known := typeName(o.To); !known {
			c.say(typeHint, "%s of %s: %s is no type that columns are changed to", o.Kind, shown(o.Column), shownSQL(o.To))
		}
		if (o.Up == "") != (o.Down == "") {
			c.say("write both; down may lose something", "%s of %s needs up and down: rows are written in both types until contract", o.Kind, shown(o.Column))
		}
	case SetDefault:
		if o.Default == "" {
			c.say("write default", "%s of %s has none", o.Kind, shown(o.Column))
		}
	case AddCheck:
		if o.Check == "" {
			c.say("write check", "%s %s has no condition", o.Kind, shown(o.Name))
		}
	case CreateIndex:
		c.createIndex(o)
	case AddForeignKey:
		c.addForeignKey(o)
	case AddUnique, AddPrimaryKey:
		c.keyed(o, "columns", o.Columns)
		c.oneOf(o, "deferrable", o.Deferrable, Deferrals())
	case AddEnumValue:
		c.addEnumValue(o)
	case CreateView:
		c.createView(o)
	case CreateTable:
		c.createTable(o)
	case SQL:
		c.own(o)
	default: // says nothing more
	}
}

// named looks at the names that an operation has to have.
func (c *checker) named(o Operation) {
	about := map[string]string{"column": o.Column}
	switch o.Kind {
	case RenameColumn:
		about["to"] = o.To
	case RenameTable:
		about = map[string]string{"to": o.To}
	case AddCheck, DropCheck, CreateIndex, DropIndex, DropForeignKey, AddUnique, DropUnique, AddPrimaryKey, CreateView, SQL:
		about = map[string]string{"name": o.Name}
	case AddForeignKey:
		about = map[string]string{"name": o.Name, "references": o.References}
	case AddEnumValue:
		about = map[string]string{"type": o.Type}
	case CreateTable, DropTable:
		about = nil
	default: // is about a column
	}
	for _, key := range []string{"column", "to", "name", "references", "type"} {
		if name, has := about[key]; has {
			if why := badName(name); why != "" {
				c.say("choose another name", "%s of %s %s", key, o.Kind, why)
			}
		}
	}
}

func (c *checker) addColumn(o Operation) {
	if _, known := typeName(o.Type); !known {
		c.say(typeHint, "%s of %s: %s is no type that columns are added with", o.Kind, shown(o.Column), shownSQL(o.Type))
	}
	switch {
	case o.Up != "" && !o.Required:
		c.say("write required: true, or leave up out", "%s of %s has up, which is for a required column", o.Kind, shown(o.Column))
	case o.Up != "" && o.Default != "":
		c.say("keep one of the two", "%s of %s has up and a default: where the default gives a value, up never would", o.Kind, shown(o.Column))
	case o.Required && o.Up == "" && o.Default == "":
		c.say("write up, an expression over the row, or a default", "%s of %s is required, and nothing gives rows that are there a value", o.Kind, shown(o.Column))
	}
}

func (c *checker) createIndex(o Operation) {
	if len(o.Columns) == 0 {
		c.say("name its columns", "the index %s has no column", shown(o.Name))
	}
	if o.Method != "" && !slices.Contains(Methods(), o.Method) {
		c.say("use "+strings.Join(Methods(), ", "), "there is no kind of index %s", shown(o.Method))
		return
	}
	ordered := o.Method == "" || o.Method == "btree"
	if o.Unique && !ordered {
		c.say("leave method out", "an index of kind %s is never unique", o.Method)
	}
	seen := map[string]bool{}
	once := func(name string) {
		if seen[name] {
			c.say("name it once", "the index %s names %s twice", shown(o.Name), shown(name))
		}
		seen[name] = true
	}
	for _, text := range o.Columns {
		column, err := ParseIndexColumn(text)
		if err != nil {
			c.say("write it as in: amount DESC NULLS LAST", "the column %s of the index %s %s", shownSQL(text), shown(o.Name), err)
			continue
		}
		if !ordered && (column.Descending || column.NullsFirst) {
			c.say("leave it out", "an index of kind %s has no order", o.Method)
		}
		once(column.Name)
	}
	for _, name := range o.Include {
		once(name)
	}
}

func (c *checker) createView(o Operation) {
	if len(o.Columns) == 0 {
		c.say("name its columns", "the view %s has no column", shown(o.Name))
	}
	seen := map[string]bool{}
	for _, text := range o.Columns {
		column, err := ParseViewColumn(text)
		if err != nil {
			c.say("write it as in: amount AS total", "the column %s of the view %s %s", shownSQL(text), shown(o.Name), err)
			continue
		}
		if why := badName(column.Name); why != "" {
			c.say("choose another name", "a column's name in the view %s %s", shown(o.Name), why)
		}
		if seen[column.Name] {
			c.say("name it once", "the view %s has two columns %s", shown(o.Name), shown(column.Name))
		}
		seen[column.Name] = true
	}
}

func (c *checker) own(o Operation) {
	if len(o.Act) == 0 || len(o.Undo) == 0 || strings.TrimSpace(o.Probe) == "" {
		c.say("write act, undo and probe", "sql %s has to say what it does, how that is undone, and how it is seen that it was done", shown(o.Name))
		return
	}
	for _, sql := range slices.Concat(o.Act, o.Undo, []string{o.Probe}) {
		if _, err := Placed(sql, "schema", "table"); err != nil {
			c.say("write SQL, with @schema, @table, @schema_oid and @table_oid in the place of names", "the SQL %s of %s cannot be read: %s", shownSQL(sql), shown(o.Name), err)
		}
	}
	class := OwnClass(o.Act)
	if undo := OwnClass(o.Undo); (class == Concurrent) != (undo == Concurrent) {
		c.say("write both with CONCURRENTLY, or neither", "sql %s does one of act and undo in a transaction, and the other in none", shown(o.Name))
	}
	if class == Concurrent && (len(o.Act) > 1 || len(o.Undo) > 1) {
		c.say("write one statement", "sql %s has several statements, and what is done concurrently is done alone", shown(o.Name))
	}
	switch {
	case o.Locks != "" && !slices.Contains(OwnLocks(), o.Locks):
		c.say("use "+strings.Join(OwnLocks(), ", "), "sql %s says that it locks %s", shown(o.Name), shownSQL(o.Locks))
	case o.Locks != "" && o.Locks != string(ShareUpdateExclusive) && class != Instant:
		c.say("leave locks out, or do it by itself", "sql %s reads the whole table, and nobody may wait for that", shown(o.Name))
	}
}

func (c *checker) createTable(o Operation) {
	if len(o.Made) == 0 {
		c.say("name its columns", "create_table has no column")
	}
	seen := map[string]bool{}
	for _, column := range o.Made {
		if why := badName(column.Name); why != "" {
			c.say("choose another name", "a column's name of create_table %s", why)
		}
		if slices.Contains(systemColumns(), column.Name) {
			c.say("choose another name", "%s is a name of the server's own", shown(column.Name))
		}
		if seen[column.Name] {
			c.say("name it once", "create_table has two columns %s", shown(column.Name))
		}
		seen[column.Name] = true
		if _, known := typeName(column.Type); !known {
			c.say(typeHint, "create_table of %s: %s is no type that columns are made with", shown(column.Name), shownSQL(column.Type))
		}
	}
	for i, name := range o.Key {
		if !seen[name] || slices.Contains(o.Key[:i], name) {
			c.say("name each column of the key once", "the key of create_table names %s, which is none of its columns, or is named before", shown(name))
		}
	}
}
