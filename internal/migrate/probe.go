package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Probes are queries of the catalog, of one boolean. They name what they look for with its schema, and the catalog's functions with
// theirs, so that they mean the same in every session.

// relation is an expression of a table's OID: NULL where there is none.
func relation(schema, table string) string {
	return "pg_catalog.to_regclass(" + literal(qualified(schema, table)) + ")"
}

// all joins conditions.
func all(conditions ...string) string { return strings.Join(conditions, " AND ") }

// either joins conditions of which one is enough.
func either(conditions ...string) string {
	if len(conditions) == 1 {
		return conditions[0]
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

func no(condition string) string { return "NOT " + condition }

// hasColumn is whether a table has a column of the name that meets the conditions, which call it a.
func (p *planner) hasColumn(name string, conditions ...string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE %s)", all(append([]string{
		"a.attrelid = " + p.relation(), "a.attnum > 0", "NOT a.attisdropped", "a.attname = " + literal(name),
	}, conditions...)...))
}

// Conditions of a column, for hasColumn.
const (
	neverNull = "a.attnotnull"
	mayBeNull = "NOT a.attnotnull"
	noDefault = "NOT a.atthasdef"
)

func ofType(name string) string {
	return "pg_catalog.format_type(a.atttypid, a.atttypmod) = " + literal(name)
}

// withDefault is a condition of a column: its default is written back as text.
func withDefault(text string) string {
	return "(SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) = " + literal(text)
}

// withComment is a condition of a column; an empty comment is none.
func withComment(text string) string {
	if text == "" {
		return "pg_catalog.col_description(a.attrelid, a.attnum) IS NULL"
	}
	return "pg_catalog.col_description(a.attrelid, a.attnum) = " + literal(text)
}

// hasCheck is whether the table has a CHECK of the name that meets the conditions, which call it k.
func (p *planner) hasCheck(name string, conditions ...string) string {
	return hasCheckOn(p.relation(), name, conditions...)
}

func hasCheckOn(relation, name string, conditions ...string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE %s)", all(append([]string{
		"k.conrelid = " + relation, "k.contype = 'c'", "k.conname = " + literal(name),
	}, conditions...)...))
}

// saying is a condition of a CHECK: what it says, as the server writes it back.
func saying(text string) string {
	return "pg_catalog.pg_get_expr(k.conbin, k.conrelid) = " + literal(text)
}

// hasFunction is whether the function of a dual write says exactly one of the bodies.
func (p *planner) hasFunction(name string, bodies ...string) string {
	sums := make([]string, len(bodies))
	for i, body := range bodies {
		sum := sha256.Sum256([]byte(body))
		sums[i] = literal(hex.EncodeToString(sum[:]))
	}
	settings := "f.proconfig IS NULL"
	if p.authored() {
		settings = "f.proconfig = ARRAY['search_path=\"\"']"
	}
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace WHERE %s)", all(
		"s.nspname = "+literal(p.ledger()), "f.proname = "+literal(name), "f.pronargs = 0", "NOT f.prosecdef",
		settings,
		"pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(f.prosrc, 'UTF8')), 'hex') IN ("+strings.Join(sums, ", ")+")"))
}

// anyColumn is whether the table has a column of one of the names, whatever it is.
func (p *planner) anyColumn(names ...string) string {
	var found []string
	for _, name := range names {
		found = append(found, p.hasColumn(name))
	}
	return either(found...)
}

// hadDefault is whether a column has the default that it had before; an empty one is none.
func (p *planner) hadDefault(column, text string) string {
	if text == "" {
		return p.hasColumn(column, noDefault)
	}
	return p.hasColumn(column, withDefault(text))
}

// anyFunction is whether there is a function of the name.
func (p *planner) anyFunction(name string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace WHERE s.nspname = %s AND f.proname = %s AND f.pronargs = 0)",
		literal(p.ledger()), literal(name))
}

// hasTrigger is whether the table has a trigger of a dual write, switched on, and with its function, and each of its partitions too.
func (p *planner) hasTrigger(w writer, function string) string {
	there := fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace WHERE %s)", all(
		"t.tgrelid = "+p.relation(), "t.tgname = "+literal(w.name), "NOT t.tgisinternal", "t.tgenabled IN ('O', 'A')",
		fmt.Sprintf("t.tgtype = %d", w.fires), "t.tgqual IS NOT NULL", "s.nspname = "+literal(p.ledger()), "f.proname = "+literal(function)))
	if !p.partitioned() {
		return there
	}
	return all(there, fmt.Sprintf("NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(%s) m WHERE m.isleaf AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger c JOIN pg_catalog.pg_trigger t ON t.tgfoid = c.tgfoid WHERE %s))",
		p.relation(), all("c.tgrelid = m.relid", "c.tgname = "+literal(w.name), "c.tgenabled IN ('O', 'A')", fmt.Sprintf("c.tgtype = %d", w.fires), "t.tgrelid = "+p.relation(), "t.tgname = c.tgname")))
}

// anyTrigger is whether the table has a trigger of the name.
func (p *planner) anyTrigger(name string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = %s AND NOT t.tgisinternal AND t.tgname = %s)", p.relation(), literal(name))
}

// where does statements only if a condition holds.
func where(condition string, statements ...string) string {
	body := "\nBEGIN\n  IF " + condition + " THEN\n    " + strings.Join(statements, ";\n    ") + ";\n  END IF;\nEND\n"
	tag := quoting(body)
	return "DO " + tag + body + tag
}

// probe is a query of conditions that all hold.
func probe(conditions ...string) string { return "SELECT " + all(conditions...) }
