package check

import (
	"fmt"
	"regexp"
	"strings"
)

// Column is a column of a relation as the server describes it.
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"`               // as format_type prints it: "numeric(12,2)", "text[]"
	NotNull bool   `json:"not_null,omitempty"` // no row can hold a NULL here
}

// modifier is the part of a type that does not change how its values compare: (12,2) of numeric(12,2).
var modifier = regexp.MustCompile(`\([^)]*\)`)

// BaseType is the type without its modifiers and its array brackets: two columns of one base type compare.
func (c Column) BaseType() string {
	return strings.TrimSuffix(strings.Join(strings.Fields(modifier.ReplaceAllString(c.Type, "")), " "), "[]")
}

// Array says whether the column holds arrays.
func (c Column) Array() bool { return strings.HasSuffix(c.Type, "[]") }

// Comparable is an SQL expression of the column's value that has equality and a hash: the column itself where its type
// is known to have them, so that numeric 1.0 equals 1.00; else its text, which is stricter and never laxer (json,
// xml, and the geometric types, whose own "=" compares areas).
func (c Column) Comparable() string {
	switch c.BaseType() {
	case "boolean", "smallint", "integer", "bigint", "numeric", "real", "double precision", "oid",
		"text", "character varying", "character", "name", "bytea", "uuid", "jsonb",
		"date", "time without time zone", "time with time zone", "timestamp without time zone",
		"timestamp with time zone", "interval", "inet", "cidr", "macaddr", "macaddr8",
		"int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange":
		return Quote(c.Name)
	default:
		return Quote(c.Name) + "::text"
	}
}

// RowHash is an SQL expression of a row's 64-bit hash over exactly these columns, in this order. It is good within one
// server only: Postgres promises the same hash neither across versions nor across machines. Equal rows have equal
// hashes; two different rows share one by a chance of at most one in 2^32, as Postgres folds a bigint or a timestamp to
// 32 bits before it hashes it.
//
// The outer hash must never go: Postgres combines a record's columns linearly (31a + b), so without it a sum over rows
// would not see two rows swap their values of a column.
func RowHash(columns []Column) string {
	return fmt.Sprintf("pg_catalog.hashtextextended(pg_catalog.hash_record_extended(ROW(%s), 0)::text, 0)", join(columns, ", ", Column.Comparable))
}

// distinct is an SQL expression with as many values as there are keys, or a few less: cheap to sort, which text in a
// linguistic collation is not.
func distinct(key []Column) string {
	if len(key) == 1 {
		switch key[0].Type {
		case "smallint", "integer", "bigint", "date", "uuid":
			return Quote(key[0].Name)
		}
	}
	return RowHash(key)
}

// Checksum is an SQL aggregate over rows: equal for equal multisets of rows, whatever their order. It is a sum, as XOR
// would cancel rows that occur twice; Postgres sums bigints in 128 bits into a numeric, so it never overflows.
func Checksum(columns []Column) string {
	return fmt.Sprintf("coalesce(pg_catalog.sum(%s), 0)", RowHash(columns))
}

// Quote renders an identifier.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal renders a text constant that means the same under any standard_conforming_strings.
func Literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// embed puts an author's SQL in parentheses. The line break ends a trailing "--" comment; guard has made sure that
// nothing else in it reaches past the parenthesis.
func embed(sql string) string { return "(" + strings.TrimSpace(sql) + "\n)" }

func join[T any](items []T, separator string, render func(T) string) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = render(item)
	}
	return strings.Join(parts, separator)
}
