package lint

import (
	"fmt"
	"slices"
	"strings"
)

// String is the type as people write it.
func (t typeName) String() string {
	name := t.name
	switch name {
	case "int2":
		name = "smallint"
	case "int4":
		name = "integer"
	case "int8":
		name = "bigint"
	case "float4":
		name = "real"
	case "float8":
		name = "double precision"
	case "bool":
		name = "boolean"
	case "bpchar":
		name = "char"
	}
	if len(t.mods) > 0 {
		mods := make([]string, len(t.mods))
		for i, m := range t.mods {
			mods[i] = fmt.Sprint(m)
		}
		name += "(" + strings.Join(mods, ",") + ")"
	}
	if t.array {
		name += "[]"
	}
	return name
}

// unchanged says in words which changes of a type rewrite no row.
const unchanged = "varchar(n) to a longer varchar or to text, numeric to a greater precision at the same scale, times to a greater precision, cidr to inet"

// rewrites says whether Postgres writes every row again where a column changes its type.
func rewrites(from, to typeName) bool {
	switch {
	case from.array != to.array:
		return true
	case from.name == to.name && slices.Equal(from.mods, to.mods):
		return false
	case from.array: // its elements are converted one by one
		return true
	case in(from.name, "varchar text") && in(to.name, "varchar text"):
		return !wider(from.mods, to.mods)
	case from.name == "numeric" && to.name == "numeric":
		return len(to.mods) > 0 && (len(from.mods) == 0 || scale(from) != scale(to) || from.mods[0] > to.mods[0])
	case from.name == to.name && in(from.name, "timestamp timestamptz time timetz varbit"):
		return !wider(from.mods, to.mods)
	case from.name == "cidr" && to.name == "inet":
		return false
	}
	return true
}

// wider says that a limit is as wide as another, or that there is none.
func wider(from, to []int) bool {
	return len(to) == 0 || len(from) > 0 && to[0] >= from[0]
}

func scale(t typeName) int {
	if len(t.mods) < 2 {
		return 0
	}
	return t.mods[1]
}
