package migrate

import "slices"

// Kind names an operation, as it is written in a file.
type Kind string

// The operations.
const (
	AddColumn    Kind = "add_column"
	RenameColumn Kind = "rename_column"
	ChangeType   Kind = "change_type"
	DropColumn   Kind = "drop_column"
	SetNotNull   Kind = "set_not_null"
	DropNotNull  Kind = "drop_not_null"
	SetDefault   Kind = "set_default"
	DropDefault  Kind = "drop_default"
	AddCheck     Kind = "add_check"
	DropCheck    Kind = "drop_check"
	CreateIndex  Kind = "create_index"
	DropIndex    Kind = "drop_index"
	SetComment   Kind = "set_comment"

	AddForeignKey  Kind = "add_foreign_key"
	DropForeignKey Kind = "drop_foreign_key"
	AddUnique      Kind = "add_unique"
	DropUnique     Kind = "drop_unique"
	AddPrimaryKey  Kind = "add_primary_key"
	AddEnumValue   Kind = "add_enum_value"

	CreateView  Kind = "create_view"
	CreateTable Kind = "create_table"
	RenameTable Kind = "rename_table"
	DropTable   Kind = "drop_table"
	SQL         Kind = "sql"
)

// Operation is one change, as it is written in a file: Kind says which of the fields it has.
type Operation struct {
	Kind   Kind   `json:"kind"`
	Column string `json:"column,omitempty"`
	// To is the new name of what is renamed, or the new type of what changes its type.
	To string `json:"to,omitempty"`
	// Type is that of a new column, or the name of the enum that gets a value.
	Type string `json:"type,omitempty"`
	// Required says that a new column is never null, from the switch on.
	Required bool `json:"required,omitempty"`
	// Default is an expression, as Postgres writes it.
	Default string `json:"default,omitempty"`
	// Up is an expression over the columns of a row as it is before the migration, that gives the new value; Down the way back.
	Up   string `json:"up,omitempty"`
	Down string `json:"down,omitempty"`
	// Name is that of an index or a constraint.
	Name string `json:"name,omitempty"`
	// Check is a condition that every row meets.
	Check string `json:"check,omitempty"`
	// Columns are those of an index, each a column's name with what Postgres allows after it: "amount DESC NULLS LAST". Those of a view are
	// columns of the table, each with the name that it has there, where that is another one: "amount AS total". Those of a key are names.
	Columns []string `json:"columns,omitempty"`
	Unique  bool     `json:"unique,omitempty"`
	Include []string `json:"include,omitempty"`
	Where   string   `json:"where,omitempty"`
	Method  string   `json:"method,omitempty"` // of an index; empty: btree
	Comment string   `json:"comment,omitempty"`
	// References is the table that a foreign key leads to, and Key its columns there, one for each of Columns. Of a table that is made, Key
	// are the columns of its primary key, in order.
	References string   `json:"references,omitempty"`
	Key        []string `json:"key,omitempty"`
	// OnDelete and OnUpdate are what becomes of a row when the one that it leads to goes, or gets another key: one of Actions; empty: no action.
	OnDelete string `json:"on_delete,omitempty"`
	OnUpdate string `json:"on_update,omitempty"`
	// Match is simple or full; empty: simple.
	Match string `json:"match,omitempty"`
	// Deferrable is when a key that may wait is looked at: immediate or deferred; empty: it never waits.
	Deferrable string `json:"deferrable,omitempty"`
	// NullsEqual says that two nulls are the same to a unique constraint.
	NullsEqual bool `json:"nulls_equal,omitempty"`
	// Value is a new one of an enum; it comes Before or After another, or last.
	Value  string `json:"value,omitempty"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Act are statements of the author's own, Undo those that take them back, and Probe is a query of one boolean: whether they have been done. Placed
	// says what stands in them for the table. Locks is the strongest lock that they take on it, in the words of Postgres.
	Act   []string `json:"act,omitempty"`
	Undo  []string `json:"undo,omitempty"`
	Probe string   `json:"probe,omitempty"`
	Locks string   `json:"locks,omitempty"`
	// Made are the columns of a table that is made.
	Made []MadeColumn `json:"made,omitempty"`
}

// MadeColumn is a column of a table that is made.
type MadeColumn struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required,omitempty"` // never null
}

// texts are everything that an author wrote of an operation.
func (o Operation) texts() []string {
	all := slices.Concat([]string{
		string(o.Kind), o.Column, o.To, o.Type, o.Default, o.Up, o.Down, o.Name, o.Check, o.Where, o.Method, o.Comment,
		o.References, o.OnDelete, o.OnUpdate, o.Match, o.Deferrable, o.Value, o.Before, o.After, o.Probe, o.Locks,
	}, o.Columns, o.Include, o.Key, o.Act, o.Undo)
	for _, c := range o.Made {
		all = append(all, c.Name, c.Type)
	}
	return all
}

// rests are the columns of the table that an operation is over, as far as names say.
func (o Operation) rests() []string {
	rests := slices.Clone(o.Include)
	for _, item := range o.Columns {
		switch o.Kind {
		case CreateIndex:
			if column, err := ParseIndexColumn(item); err == nil {
				rests = append(rests, column.Name)
			}
		case CreateView:
			if column, err := ParseViewColumn(item); err == nil {
				rests = append(rests, column.Of)
			}
		default:
			rests = append(rests, item)
		}
	}
	return rests
}
