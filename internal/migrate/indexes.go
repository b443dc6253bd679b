package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/sqltext"
)

// soundConcurrently is the first version in which an index that is made beside writers is always whole.
const soundConcurrently = 140004

func indexRecipes() []Recipe {
	return []Recipe{
		{
			Kind: CreateIndex, Since: soundConcurrently, Lock: ShareUpdateExclusive, plan: (*planner).createIndex,
			What: "Makes an index, unique or not.",
			How:  "CREATE INDEX CONCURRENTLY; an invalid one that an attempt left is dropped first. Of a partitioned table: ON ONLY the table (SHARE ROW EXCLUSIVE for a moment), CONCURRENTLY on each partition, ATTACH PARTITION.",
			Undo: "DROP INDEX CONCURRENTLY. Of a partitioned table: DROP INDEX, under ACCESS EXCLUSIVE on all partitions for a moment.",
		},
		{
			Kind: DropIndex, Since: soundConcurrently, Lock: ShareUpdateExclusive, plan: (*planner).dropIndex,
			What: "Takes an index away.",
			How:  "Nothing happens before contract. Then DROP INDEX CONCURRENTLY. Of a partitioned table: DROP INDEX, under ACCESS EXCLUSIVE on all partitions for a moment.",
			Undo: "None is needed before contract. After it the index has to be made again.",
		},
	}
}

// IndexColumn is a column of an index, and its order.
type IndexColumn struct {
	Name       string
	Descending bool
	NullsFirst bool
}

// ParseIndexColumn reads NAME [ASC|DESC] [NULLS FIRST|NULLS LAST]. A name with other characters than lower-case letters, digits and
// underscores stands in double quotes. As in Postgres, nulls are last, and first where the order is descending.
func ParseIndexColumn(text string) (IndexColumn, error) {
	wrong := errors.New("must be a column, and after it ASC or DESC, and NULLS FIRST or NULLS LAST")
	tokens, err := sqltext.Scan(text)
	if err != nil || len(tokens) == 0 {
		return IndexColumn{}, wrong
	}
	end := 0
	for _, t := range tokens {
		if strings.TrimSpace(text[end:t.Start]) != "" { // a number, a string or a comment
			return IndexColumn{}, wrong
		}
		end = t.End
	}
	if strings.TrimSpace(text[end:]) != "" || tokens[0].Kind != sqltext.Word && tokens[0].Kind != sqltext.Quoted {
		return IndexColumn{}, wrong
	}
	c := IndexColumn{Name: tokens[0].Text}
	var words []string
	for _, t := range tokens[1:] {
		if t.Kind != sqltext.Word {
			return IndexColumn{}, wrong
		}
		words = append(words, t.Text)
	}
	if len(words) > 0 && (words[0] == "asc" || words[0] == "desc") {
		c.Descending, words = words[0] == "desc", words[1:]
	}
	c.NullsFirst = c.Descending
	if len(words) == 2 && words[0] == "nulls" && (words[1] == "first" || words[1] == "last") {
		c.NullsFirst, words = words[1] == "first", nil
	}
	if len(words) > 0 {
		return IndexColumn{}, wrong
	}
	return c, nil
}

// sql is the column as an index has it; option is how the catalog keeps its order (pg_index.indoption).
func (c IndexColumn) sql() string {
	text := quote(c.Name)
	if c.Descending {
		text += " DESC"
	}
	if c.NullsFirst != c.Descending {
		text += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[c.NullsFirst]
	}
	return text
}

func (c IndexColumn) option() string {
	n := 0
	if c.Descending {
		n++
	}
	if c.NullsFirst {
		n += 2
	}
	return fmt.Sprint(n)
}

// Methods are the kinds of index that there are.
func Methods() []string { return []string{"btree", "hash", "gin", "gist", "brin"} }

func (p *planner) createIndex(o Operation) {
	for _, i := range p.in.Table.Indexes {
		if i.Name == o.Name {
			p.invalid("choose another name", "%s has an index %s already", shown(p.in.Table.Name), shown(o.Name))
			return
		}
	}
	columns, ok := p.indexColumns(o)
	if !ok {
		return
	}
	method := o.Method
	if method == "" {
		method = "btree"
	}
	var keys []string
	for _, c := range columns {
		keys = append(keys, c.sql())
	}
	begin, unique := "CREATE", "NOT i.indisunique"
	if o.Unique {
		begin, unique = "CREATE UNIQUE", "i.indisunique"
	}
	rest := fmt.Sprintf("USING %s (%s)", method, strings.Join(keys, ", "))
	if len(o.Include) > 0 {
		rest += " INCLUDE (" + quoteAll(o.Include) + ")"
	}
	predicate := "i.indpred IS NULL"
	if o.Where != "" {
		e, ok := p.said(o, Typed{Expression: o.Where, Type: "boolean"})
		if !ok {
			return
		}
		rest += " WHERE " + embed(o.Where)
		predicate = "pg_catalog.pg_get_expr(i.indpred, i.indrelid) = " + literal(e.Text)
	}
	risk := "Writes cost a little more from here on."
	if o.Unique {
		risk = "A write of a key that is there already fails from here on; where two rows have one now, the index is not made."
	}
	like := slices.Concat([]string{unique, "m.amname = " + literal(method)}, p.keyed(columns, o.Include), []string{predicate})
	if p.partitioned() {
		p.divide(division{phase: Expand, name: o.Name, of: o.Name, part: o.Name, begin: begin, rest: rest, like: func(string, bool) []string { return like }, risk: risk})
		return
	}
	drop := "DROP INDEX CONCURRENTLY IF EXISTS " + qualified(p.in.Table.Schema, o.Name)
	p.step(Expand, "index", o.Name, Step{
		Title: "Make the index " + shown(o.Name),
		Act:   []string{fmt.Sprintf("%s INDEX CONCURRENTLY %s ON %s %s", begin, quote(o.Name), p.table(), rest)},
		Probe: probe(p.hasIndex(o.Name, slices.Concat([]string{"i.indisvalid", "i.indisready"}, like)...)),
		Gone:  probe(no(p.hasIndex(o.Name))),
		Half:  probe(p.hasIndex(o.Name, "NOT (i.indisvalid AND i.indisready)")),
		Clean: []string{drop}, Undo: []string{drop},
		Lock: ShareUpdateExclusive, Class: Concurrent, Risk: risk,
	})
}

// keyed are conditions of an index, which call it i: it is over just these columns, each by the usual order of its type, and includes others.
func (p *planner) keyed(columns []IndexColumn, include []string) []string {
	var names, options []string
	for _, c := range columns {
		names, options = append(names, c.Name), append(options, c.option())
	}
	return []string{
		fmt.Sprintf("i.indnkeyatts = %d", len(columns)), "i.indexprs IS NULL", "i.indoption::pg_catalog.text = " + literal(strings.Join(options, " ")),
		"(SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY c.place) FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY c (number, place) JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = c.number) = " + literals(slices.Concat(names, include)),
		"NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indclass::pg_catalog.oid[]) c (class) JOIN pg_catalog.pg_opclass o ON o.oid = c.class WHERE NOT o.opcdefault)",
	}
}

func literals(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = literal(text)
	}
	return "ARRAY[" + strings.Join(all, ", ") + "]"
}

// hasIndex is whether the table has an index of the name that meets the conditions, which call it i, its relation x and its method m.
func (p *planner) hasIndex(name string, conditions ...string) string {
	return hasIndexOn(p.relation(), name, conditions...)
}

func hasIndexOn(relation, name string, conditions ...string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam WHERE %s)",
		all(append([]string{"i.indrelid = " + relation, "x.relname = " + literal(name)}, conditions...)...))
}

// indexColumns are those of an index to be made. Each is one of the table, or one that the same file adds.
func (p *planner) indexColumns(o Operation) ([]IndexColumn, bool) {
	ok := true
	exists := func(name string) {
		if _, there := p.in.Table.Column(name); !there && !p.adds(name) {
			p.invalid(p.columnsHint(), "the index %s is over a column %s, and %s has none", shown(o.Name), shown(name), shown(p.in.Table.Name))
			ok = false
		}
	}
	var columns []IndexColumn
	for _, text := range o.Columns {
		c, err := ParseIndexColumn(text)
		ok = ok && err == nil
		exists(c.Name)
		columns = append(columns, c)
	}
	for _, name := range o.Include {
		exists(name)
	}
	return columns, ok
}

// adds says whether the file adds a column of the name, in whatever order it is written.
func (p *planner) adds(name string) bool {
	return slices.ContainsFunc(p.in.Migration.Operations, func(o Operation) bool {
		return o.Kind == AddColumn && o.Column == name || o.Kind == RenameColumn && o.To == name
	})
}

func (p *planner) dropIndex(o Operation) {
	for _, i := range p.in.Table.Indexes {
		if i.Name != o.Name {
			continue
		}
		if i.Primary || i.Constraint {
			p.refuse("use drop_unique, if it is a unique constraint, or drop the constraint by hand", "the index %s belongs to a constraint", shown(o.Name))
			return
		}
		if p.known(i.Name) {
			return
		}
		if i.Unique {
			p.warn("Nothing keeps rows apart by %s from contract on.", strings.Join(i.Columns, ", "))
		}
		s := Step{
			Title: "Take the index " + shown(o.Name) + " away",
			Act:   []string{"DROP INDEX CONCURRENTLY " + qualified(p.in.Table.Schema, o.Name)},
			Probe: probe(no(p.hasIndex(o.Name))),
			Lock:  ShareUpdateExclusive, Class: Concurrent,
			Risk: "Queries that use it are slower.",
		}
		if p.partitioned() { // of which Postgres drops none beside readers
			s.Act, s.Lock, s.Class = []string{"DROP INDEX " + qualified(p.in.Table.Schema, o.Name)}, AccessExclusive, Instant
		}
		p.step(Contract, "drop-index", o.Name, s)
		return
	}
	p.invalid(namesHint("indexes", p.in.Table.Indexes, func(i Index) string { return i.Name }), "%s has no index %s", shown(p.in.Table.Name), shown(o.Name))
}

// namesHint says which there are.
func namesHint[T any](what string, all []T, name func(T) string) string {
	if len(all) == 0 {
		return "leave it out: it has no " + what
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = shown(name(one))
	}
	return "its " + what + " are " + strings.Join(names, ", ")
}
