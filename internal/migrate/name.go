package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"drawbridge/internal/check"
)

// maxName is how many bytes Postgres keeps of a name; it cuts longer ones, and they may then be another's.
const maxName = 63

// The column that takes the place of one whose type changes is called new until the switch; from then on the other one is called
// old.
const (
	newSuffix = "__new"
	oldSuffix = "__old"
)

// ledgerSuffix makes the name of the schema in which Drawbridge keeps what belongs to a schema.
const ledgerSuffix = "__ledger"

// quote renders an identifier, literal a text, as SQL.
func quote(name string) string   { return check.Quote(name) }
func literal(text string) string { return check.Literal(text) }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}

// qualified is a relation as SQL.
func qualified(schema, name string) string { return quote(schema) + "." + quote(name) }

// badName says why a text cannot be a name; empty: it can.
func badName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return "holds characters that no name has"
	case len(name) > maxName:
		return fmt.Sprintf("has %d bytes, and Postgres keeps %d of a name", len(name), maxName)
	}
	return ""
}

// cut shortens a name to a number of bytes, at a character's end.
func cut(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	for limit > 0 && !utf8.RuneStart(name[limit]) {
		limit--
	}
	return name[:limit]
}

// The triggers of a dual write are called as their function, with what they fire on.
const (
	insertSuffix = "_i"
	updateSuffix = "_u"
)

// dualWriter names the function of a migration's dual write. Triggers fire in the order of their names: it begins so that those of others
// fire before it, and what they change is seen.
func dualWriter(pipeline, migration string) string {
	sum := sha256.Sum256([]byte(pipeline + "/" + migration))
	const before, after = "zz_drawbridge_", 9 + len(insertSuffix)
	return before + cut(migration, maxName-len(before)-after) + "_" + hex.EncodeToString(sum[:4])
}

// notNullCheck names the constraint that lets a column become NOT NULL without a scan under a lock.
func notNullCheck(column string) string {
	const after = "_not_null"
	sum := sha256.Sum256([]byte(column))
	if len("drawbridge_"+column+after) > maxName {
		return "drawbridge_" + hex.EncodeToString(sum[:8]) + after
	}
	return "drawbridge_" + column + after
}

// heirName is what is called so until the contract that takes the place of something over a replaced column.
func heirName(name string) string {
	if len(name+newSuffix) <= maxName {
		return name + newSuffix
	}
	sum := sha256.Sum256([]byte(name))
	after := "_" + hex.EncodeToString(sum[:4]) + newSuffix
	return cut(name, maxName-len(after)) + after
}

// slug is a name as a part of a step's ID: letters, digits and underscores.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '_'
	}, name)
}

// shown is a name in a sentence: as it is, or quoted where it is unusual.
func shown(name string) string {
	if slug(name) == name && name != "" {
		return name
	}
	return strconv.Quote(name)
}
