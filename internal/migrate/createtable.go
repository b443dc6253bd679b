package migrate

import (
	"fmt"
	"slices"
	"strings"
)

func (p *planner) createTable(o Operation) {
	t := p.in.Table
	p.plan.Creates = true
	var definitions, described []string
	for _, c := range o.Made {
		name, _ := typeName(c.Type) // else it is among the mistakes
		definition, required := quote(c.Name)+" "+name, c.Required || slices.Contains(o.Key, c.Name)
		if required {
			definition += " NOT NULL"
		}
		definitions = append(definitions, definition)
		described = append(described, fmt.Sprintf("%s %s %t", c.Name, name, required))
	}
	key := "NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')"
	if len(o.Key) > 0 {
		definitions = append(definitions, "PRIMARY KEY ("+quoteAll(o.Key)+")")
		key = "(SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY n.place) FROM pg_catalog.pg_constraint k, pg_catalog.unnest(k.conkey) WITH ORDINALITY n (number, place), pg_catalog.pg_attribute a " +
			"WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attrelid = c.oid AND a.attnum = n.number) = " + literals(o.Key)
	}
	p.step(Expand, "create", t.Name, Step{
		Title: "Make the table " + shown(t.Name),
		Act:   []string{"CREATE TABLE " + p.table() + " (" + strings.Join(definitions, ", ") + ")"},
		Probe: probe(fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_class c WHERE %s)", all(
			"c.oid = "+p.relation(), "c.relkind = 'r'",
			"(SELECT pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::pg_catalog.text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) = "+literals(described),
			key))),
		Gone: probe(p.relation() + " IS NULL"),
		Undo: []string{
			"LOCK TABLE " + p.table() + " IN ACCESS EXCLUSIVE MODE",
			where("EXISTS (SELECT FROM "+p.table()+")", "RAISE EXCEPTION 'there are rows in it' USING ERRCODE = 'dependent_objects_still_exist'"),
			"DROP TABLE " + p.table() + " RESTRICT",
		},
		Fresh: true,
	})
}
