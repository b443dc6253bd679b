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
	CreateView   Kind = "create_view"
	CreateTable  Kind = "create_table"
	RenameTable  Kind = "rename_table"
	DropTable    Kind = "drop_table"
	SQL          Kind = "sql"
)

// Operation is one change, as it is written in a file: Kind says which of the fields it has.
type Operation struct {
	Kind   Kind   `json:"kind"`
	Column string `json:"column,omitempty"`
	// To is the new name of what is renamed, or the new type of what changes its type.
	To   string `json:"to,omitempty"`
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
	// columns of the table, each with the name that it has there, where that is another one: "amount AS total".
	Columns []string `json:"columns,omitempty"`
	Unique  bool     `json:"unique,omitempty"`
	Include []string `json:"include,omitempty"`
	Where   string   `json:"where,omitempty"`
	Method  string   `json:"method,omitempty"` // of an index; empty: btree
	Comment string   `json:"comment,omitempty"`
	// Act are statements of the author's own, Undo those that take them back, and Probe is a query of one boolean: whether they have been done. Placed
	// says what stands in them for the table. Locks is the strongest lock that they take on it, in the words of Postgres.
	Act   []string `json:"act,omitempty"`
	Undo  []string `json:"undo,omitempty"`
	Probe string   `json:"probe,omitempty"`
	Locks string   `json:"locks,omitempty"`
	// Made are the columns of a table that is made, and Key those of them that are its primary key, in order.
	Made []MadeColumn `json:"made,omitempty"`
	Key  []string     `json:"key,omitempty"`
}

// MadeColumn is a column of a table that is made.
type MadeColumn struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required,omitempty"` // never null
}

// texts are everything that an author wrote of an operation.
func (o Operation) texts() []string {
	all := slices.Concat([]string{string(o.Kind), o.Column, o.To, o.Type, o.Default, o.Up, o.Down, o.Name, o.Check, o.Where, o.Method, o.Comment, o.Probe, o.Locks}, o.Columns, o.Include, o.Act, o.Undo, o.Key)
	for _, c := range o.Made {
		all = append(all, c.Name, c.Type)
	}
	return all
}
