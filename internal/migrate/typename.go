package migrate

import (
	"regexp"
	"strconv"
	"strings"
)

// typePattern splits a type into its words, its modifiers, the words after them, and the brackets of an array.
var typePattern = regexp.MustCompile(`^([a-z0-9 ]+?) *(?:\( *([0-9]{1,6})(?: *, *([0-9]{1,6}))? *\))?( with time zone| without time zone)?((?:\[\])*)$`)

// TypeName is a type that Postgres brings along as the server writes it; known is false of any other.
func TypeName(written string) (name string, known bool) { return typeName(written) }

// typeName is a type as the server writes it (format_type), of a name that an author wrote. It knows types that Postgres brings
// along, and whose values need no room of their own beside the row: a domain may rewrite the table, and a type of somebody else's
// may change.
func typeName(written string) (name string, ok bool) {
	m := typePattern.FindStringSubmatch(strings.Join(strings.Fields(strings.ToLower(written)), " "))
	if m == nil {
		return "", false
	}
	base, zone := m[1], m[4]
	var modifiers []string
	for _, text := range []string{m[2], m[3]} {
		if text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return "", false
			}
			modifiers = append(modifiers, strconv.Itoa(n))
		}
	}
	name, ok = typeOf(base, zone, modifiers)
	if m[5] != "" {
		name += "[]" // Postgres keeps no number of dimensions
	}
	return name, ok
}

func typeOf(base, zone string, modifiers []string) (name string, ok bool) {
	switch base {
	case "timestamptz", "timetz":
		base, zone = strings.TrimSuffix(base, "tz"), zone+" with time zone"
	}
	switch base {
	case "timestamp", "time":
		if zone == "" {
			zone = " without time zone"
		}
		if len(modifiers) > 1 || len(modifiers) == 1 && len(modifiers[0]) > 1 || strings.Count(zone, "zone") > 1 {
			return "", false
		}
		return base + inParentheses(modifiers) + zone, true
	case "numeric", "decimal":
		if len(modifiers) == 1 {
			modifiers = append(modifiers, "0")
		}
		return "numeric" + inParentheses(modifiers), zone == "" && (len(modifiers) == 0 || modifiers[0] != "0")
	case "varchar", "character varying":
		return "character varying" + inParentheses(modifiers), zone == "" && lengthOf(modifiers)
	case "char", "character":
		if len(modifiers) == 0 {
			modifiers = []string{"1"}
		}
		return "character" + inParentheses(modifiers), zone == "" && lengthOf(modifiers)
	}
	other := map[string]string{"int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "float8": "double precision", "float4": "real", "bool": "boolean"}
	if canonical, alias := other[base]; alias {
		base = canonical
	}
	switch base {
	case "smallint", "integer", "bigint", "real", "double precision", "boolean", "text", "bytea", "date", "interval", "uuid",
		"json", "jsonb", "inet", "cidr", "macaddr", "macaddr8", "xml", "tsvector", "point",
		"int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange":
		return base, zone == "" && len(modifiers) == 0
	}
	return "", false
}

func lengthOf(modifiers []string) bool {
	return len(modifiers) == 0 || len(modifiers) == 1 && modifiers[0] != "0"
}

func inParentheses(modifiers []string) string {
	if len(modifiers) == 0 {
		return ""
	}
	return "(" + strings.Join(modifiers, ",") + ")"
}

// typeHint says which types there are.
const typeHint = "write one that Postgres brings along, such as bigint, numeric(12,2), text, varchar(20), date, timestamptz, uuid or jsonb"

var scaled = regexp.MustCompile(`^numeric\([0-9]+,-?[0-9]+\)$`)

// exact says whether two values of a type that are equal are the same in every byte, so that "=" sees every change.
func exact(name, collation string) bool {
	switch name {
	case "smallint", "integer", "bigint", "boolean", "date", "uuid", "bytea", "timestamp without time zone", "timestamp with time zone":
		return true
	}
	if scaled.MatchString(name) { // equal numbers of one scale are written with as many digits
		return true
	}
	return collation == "" && (name == "text" || strings.HasPrefix(name, "character varying") && !strings.HasSuffix(name, "[]"))
}

// widens says whether a column becomes of a type without that a row is read or written: the server changes the catalog only.
func widens(from, to string) bool {
	length := func(name string) (n int, ok bool) {
		rest, ok := strings.CutPrefix(name, "character varying")
		if !ok || strings.HasSuffix(name, "[]") {
			return 0, false
		}
		if rest == "" {
			return 1 << 30, true
		}
		n, err := strconv.Atoi(strings.Trim(rest, "()"))
		return n, err == nil
	}
	a, fromVarchar := length(from)
	b, toVarchar := length(to)
	if fromVarchar {
		return to == "text" || toVarchar && b > a
	}
	if from == "text" {
		return to == "character varying"
	}
	parts := func(name string) (precision, scale int, ok bool) {
		m := regexp.MustCompile(`^numeric\(([0-9]+),([0-9]+)\)$`).FindStringSubmatch(name)
		if m == nil {
			return 0, 0, false
		}
		precision, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, 0, false
		}
		scale, err = strconv.Atoi(m[2])
		return precision, scale, err == nil
	}
	p, s, ok := parts(from)
	if !ok {
		return false
	}
	q, u, bounded := parts(to)
	return to == "numeric" || bounded && u == s && q > p
}
