package migrate

import "slices"

// Table is what the server says of a table, before anything is planned. Reading it takes no lock that anybody waits for.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	OID    uint32 `json:"oid"`
	// Kind is how the server calls the relation: "table", "partitioned table", "view", …; empty: there is none of this name.
	Kind string `json:"kind"`
	// Managed says that Drawbridge makes the table: it is an output, or a part of one. Pipeline is then whose.
	Managed  bool   `json:"managed,omitempty"`
	Pipeline string `json:"pipeline,omitempty"`
	// Owned says that our login may alter it.
	Owned   bool         `json:"owned"`
	Rows    int64        `json:"rows"`  // as the server estimates; -1: unknown
	Bytes   int64        `json:"bytes"` // of the heap, without indexes
	Pages   int64        `json:"pages"`
	Version int          `json:"version"` // of the server: 150018
	Columns []Column     `json:"columns"`
	Key     []string     `json:"key,omitempty"` // of its primary key, in order; else of a unique index over columns that are never null
	Indexes []Index      `json:"indexes,omitempty"`
	Checks  []Constraint `json:"checks,omitempty"`
	// Uniques are its primary key and its unique constraints, ForeignKeys the keys by which it leads to tables.
	Uniques     []Unique     `json:"uniques,omitempty"`
	ForeignKeys []ForeignKey `json:"foreign_keys,omitempty"`
	// Statistics are the extended ones that somebody made over its columns.
	Statistics []Statistics `json:"statistics,omitempty"`
	// Readers are the relations and functions of others that depend on a column.
	Readers []Reader `json:"readers,omitempty"`
	// Triggers are those that somebody made on it, by name.
	Triggers []Trigger `json:"triggers,omitempty"`
	// Expressions is what the server says of the expressions of a migration, by Typed.Key.
	Expressions map[string]Expression `json:"expressions,omitempty"`
	// References is what the server says of the foreign keys of a migration, by their names, and Enums of the types that get values.
	References map[string]Reference `json:"references,omitempty"`
	Enums      map[string]Enum      `json:"enums,omitempty"`
	// Grants are the rights on the whole table that its owner gave.
	Grants []Grant `json:"grants,omitempty"`
	// RowSecurity says that policies decide who sees which rows.
	RowSecurity bool `json:"row_security,omitempty"`
	// PartitionKey are the columns by which the rows of a partitioned table are placed, at any level, also within expressions; PlacedBy says
	// that one of these is an expression. Partitions are where the rows lie, and what is partitioned between, from the top down.
	PartitionKey []string    `json:"partition_key,omitempty"`
	PlacedBy     bool        `json:"placed_by,omitempty"`
	Partitions   []Partition `json:"partitions,omitempty"`
	// LockSlots is how many locks the server's lock table holds, of all sessions; 0: it was not asked.
	LockSlots int64 `json:"lock_slots,omitempty"`
	// Open is the workflow whose migration of this table has not ended; empty: there is none.
	Open string `json:"open,omitempty"`
}

// Column is a column as it is.
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // as format_type says
	NotNull bool   `json:"not_null,omitempty"`
	// Unproved is the name of a NOT NULL that only new rows are known to keep, which Postgres has from 18 on.
	Unproved string `json:"unproved,omitempty"`
	Default  string `json:"default,omitempty"`
	Comment  string `json:"comment,omitempty"`
	// Collation is that of the column where it is not its type's, as SQL has it: quoted, and with its schema.
	Collation string `json:"collation,omitempty"`
	// Storage is a word where it is not its type's: PLAIN, MAIN, EXTERNAL, EXTENDED. Compression is pglz, lz4, or the server's.
	Storage     string `json:"storage,omitempty"`
	Compression string `json:"compression,omitempty"`
	// Target is how finely it is sampled; nil: as the server does by itself.
	Target *int `json:"target,omitempty"`
	// Options are name=value.
	Options []string `json:"options,omitempty"`
	// Grants are the rights on this column alone that the table's owner gave.
	Grants []Grant `json:"grants,omitempty"`
	// Sequences go with it.
	Sequences []Sequence `json:"sequences,omitempty"`
	// Holds are what of it cannot be carried over to another column, in words: "the foreign key orders_channel_fkey", "an identity".
	Holds []string `json:"holds,omitempty"`
	// Stays are those of them that do not go with the column, and keep it from being dropped: "the rule kept".
	Stays []string `json:"stays,omitempty"`
	// Unlike are partitions in which the column is not as in the table, in words: "the partition sales_2026 has another default".
	Unlike []string `json:"unlike,omitempty"`
}

// Partition is a part of a partitioned table, at any level.
type Partition struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Of is the name of the table that it is a part of.
	Of string `json:"of"`
	// Kind is "table" where rows lie in it, "partitioned table" where it has parts itself, else how the server calls it.
	Kind  string `json:"kind"`
	Owned bool   `json:"owned"` // our login may alter it
	Bytes int64  `json:"bytes"`
	// Checks are the names of those that it has by itself.
	Checks []string `json:"checks,omitempty"`
}

// Sequence is a sequence that goes with a column.
type Sequence struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// Grant is a right on a column, or on the whole table.
type Grant struct {
	Privilege string `json:"privilege"`    // SELECT, INSERT, UPDATE, REFERENCES, …
	To        string `json:"to,omitempty"` // a role; empty: everybody
	// Grantable says that the role may give it to others.
	Grantable bool `json:"grantable,omitempty"`
}

// Index is an index as it is.
type Index struct {
	Name       string   `json:"name"`
	Definition string   `json:"definition"` // as pg_get_indexdef says
	Columns    []string `json:"columns"`    // that it reads, also in expressions and conditions
	Keys       []string `json:"keys"`       // columns by which it is ordered, up to the first that is an expression
	Unique     bool     `json:"unique,omitempty"`
	Primary    bool     `json:"primary,omitempty"`
	Constraint bool     `json:"constraint,omitempty"` // it belongs to one
	Valid      bool     `json:"valid"`
	Distinct   bool     `json:"distinct,omitempty"`   // no two rows of the whole table have the same keys, at any moment
	Replica    bool     `json:"replica,omitempty"`    // subscribers know rows by it
	Tablespace string   `json:"tablespace,omitempty"` // where it is not the database's
	Comment    string   `json:"comment,omitempty"`
	// Carried is asked for where a column of it is replaced: what stands in CREATE INDEX after the table.
	Carried *Carried `json:"carried,omitempty"`
}

// Constraint is a CHECK as it is.
type Constraint struct {
	Name       string   `json:"name"`
	Definition string   `json:"definition"` // as pg_get_constraintdef says
	Columns    []string `json:"columns"`
	Valid      bool     `json:"valid"`
	NoInherit  bool     `json:"no_inherit,omitempty"`
	Comment    string   `json:"comment,omitempty"`
	// Carried is asked for where a column of it is replaced: the condition.
	Carried *Carried `json:"carried,omitempty"`
}

// Unique is a primary key or a unique constraint as it is. Its index has its name.
type Unique struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"` // in order
	Primary bool     `json:"primary,omitempty"`
	// Deferrable says that it may be looked at when a transaction ends.
	Deferrable bool   `json:"deferrable,omitempty"`
	Comment    string `json:"comment,omitempty"`
	// Led are the foreign keys that lead to it, in words: "orders_customer_fkey of orders".
	Led []string `json:"led,omitempty"`
}

// ForeignKey is one by which a table leads to another, or to itself, as it is.
type ForeignKey struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	// Schema and Table are where it leads, Key the columns there, and Owned says that our login may alter that table.
	Schema string   `json:"schema"`
	Table  string   `json:"table"`
	Key    []string `json:"key"`
	Owned  bool     `json:"owned"`
	// OnDelete, OnUpdate, Match and Deferrable are in the words of a file; what it says nothing of is empty.
	OnDelete   string `json:"on_delete,omitempty"`
	OnUpdate   string `json:"on_update,omitempty"`
	Match      string `json:"match,omitempty"`
	Deferrable string `json:"deferrable,omitempty"`
	Valid      bool   `json:"valid"`
	Comment    string `json:"comment,omitempty"`
	// Refused is why it cannot be carried over to another column; empty: it can.
	Refused string `json:"refused,omitempty"`
}

// Reference is what the server says of a foreign key that is to be made.
type Reference struct {
	// Table is the one that it leads to, as it is.
	Table Table `json:"table"`
	// Refused is why such columns cannot lead to such a key; empty: they can.
	Refused string `json:"refused,omitempty"`
	// Collations are those by which values are compared with the key's, for each column; empty: the column's own.
	Collations []string `json:"collations,omitempty"`
}

// Enum is a type of its schema that has named values.
type Enum struct {
	Found  bool     `json:"found"`
	Owned  bool     `json:"owned"`  // our login may alter it
	Values []string `json:"values"` // in order
	// Columns of the table are of it, and Others of other tables, in words: "state of orders".
	Columns []string `json:"columns,omitempty"`
	Others  []string `json:"others,omitempty"`
}

// Statistics are those of several columns, or of expressions, as they are.
type Statistics struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Target  *int     `json:"target,omitempty"` // nil: as the server does by itself
	Owner   string   `json:"owner,omitempty"`  // where it is not our login
	Comment string   `json:"comment,omitempty"`
	// Carried is asked for where a column of it is replaced: what stands in CREATE STATISTICS between the name and the table.
	Carried *Carried `json:"carried,omitempty"`
}

// Carried is what the server makes of something once other columns take the place of those that it is over: it writes that itself, on a
// copy of the table.
type Carried struct {
	// Refused is why nothing can be made of it; empty: it can.
	Refused string `json:"refused,omitempty"`
	// Until has the names that the columns have until the switch, After those that they have from then on.
	Until string `json:"until,omitempty"`
	After string `json:"after,omitempty"`
	// Where is the condition in Until, of an index over a part of the rows.
	Where string `json:"where,omitempty"`
}

// Trigger is a trigger as it is.
type Trigger struct {
	Name string `json:"name"`
	// Update says that it fires in our sessions where rows are updated; Of are the columns that have to be named then, none: any.
	Update bool     `json:"update,omitempty"`
	Of     []string `json:"of,omitempty"`
}

// Reader is something that reads a column, as the catalog knows it.
type Reader struct {
	Column string `json:"column"`
	Kind   string `json:"kind"` // view, materialized view, function, policy, trigger, publication, generated column
	Name   string `json:"name"`
	Owner  string `json:"owner"`
	// Guessed says that the catalog knows no such dependency: the column's name stands in a function's text.
	Guessed bool `json:"guessed,omitempty"`
}

// Expression is what the server says of an expression over the table's columns, without running it.
type Expression struct {
	// Refused is why it is not allowed, or no expression; empty: it is one that always gives the same value for the same row, and
	// calls nothing but what Postgres brings along.
	Refused string   `json:"refused,omitempty"`
	Type    string   `json:"type,omitempty"` // of its value
	Columns []string `json:"columns,omitempty"`
	// Text is the expression as the server writes it back (pg_get_expr), by which it is recognised in a default or a condition.
	Text string `json:"text,omitempty"`
}

// The kinds of relation that are changed in place.
const (
	Plain       = "table"
	Partitioned = "partitioned table"
)

// Column finds a column.
func (t Table) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Carries says whether an index is that of a key that can be carried over to another column.
func (t Table) Carries(index string) bool {
	return slices.ContainsFunc(t.Uniques, func(u Unique) bool { return u.Name == index && !u.Deferrable })
}
